"""How numbers, times and words look in the report."""

from datetime import datetime

from ecgbatch.store.reporting import Period
from ecgbatch.terms import ANY_VESSEL, Disposition, ExitCode

ABSENT = "\N{EN DASH}"
"""Stands where something is not known or there is none."""

MEANING = {
    Disposition.WAITING: "seen, not yet read or still to be tried again",
    Disposition.SCORED: "has a risk and a stratum per vessel",
    Disposition.REJECTED: "read with certainty, but not fit to be scored",
    Disposition.UNSUPPORTED: "of a format or variant that is not read",
    Disposition.FAILED: "damaged, contradicting itself, or given up",
    Disposition.DUPLICATE: "the same bytes already have their result",
    Disposition.SUPERSEDED: "a newer version of the same ECG stands instead",
    Disposition.VANISHED: "gone before it could be read",
    Disposition.IGNORED: "taken out by an operator or a rule",
}

_ENDINGS = {
    ExitCode.DONE: "done",
    ExitCode.ATTENTION: "done; some ECGs need a person",
    ExitCode.LOCKED: "another run held the lock",
    ExitCode.UNFIT: "set-up unfit",
    ExitCode.INTERNAL: "internal fault",
    ExitCode.INTERRUPTED: "stopped",
}


def ending(exit_code: int | None) -> str:
    """How a run ended, in words and with its code."""
    if exit_code is None:
        return "not ended"
    return f"{_ENDINGS.get(exit_code, 'ended')} ({exit_code})"


def task_name(task: str, *, is_experimental: bool = False) -> str:
    name = "any vessel" if task == ANY_VESSEL else task
    return f"{name} (experimental)" if is_experimental else name


def duration(seconds: float | None) -> str:
    """`0.8 s`, `42 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return ABSENT
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def moment(at: datetime | None) -> str:
    """`2026-11-27 08:15`; the page says once that times are UTC."""
    return ABSENT if at is None else f"{at:%Y-%m-%d %H:%M}"


def share(value: float | None) -> str:
    """A share 0..1 in per cent with one digit."""
    return ABSENT if value is None else f"{100 * value:.1f} %"


def estimate(value: tuple[float, float, float] | None) -> str:
    """`96.1 % (94.0 to 97.5)`: a share with its 95 % interval."""
    if value is None:
        return ABSENT
    middle, lower, upper = (100 * one for one in value)
    return f"{middle:.1f} % ({lower:.1f} to {upper:.1f})"


def days(period: Period) -> str:
    """`20 to 27 November 2026`, no more words than needed."""
    since, until = period.since, period.until
    last = f"{until.day} {until:%B %Y}"
    if since == until:
        return last
    if (since.year, since.month) == (until.year, until.month):
        return f"{since.day} to {last}"
    first = f"{since.day} {since:%B}" if since.year == until.year else f"{since.day} {since:%B %Y}"
    return f"{first} to {last}"
