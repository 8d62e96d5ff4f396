"""Dates, times, age and sex as files write them; whatever cannot be read is None."""

import re
from collections.abc import Sequence
from datetime import date, datetime, time

_TIME = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,6})\d*)?", re.ASCII)
_BLANKED_YEAR = 1900
"""Exports that hide dates write 1/1/1 or 01-01-1900."""
_DAYS_PER_YEAR = 365.2425
_OLDEST_YEARS = 130.0
_SEXES = {"male": "male", "m": "male", "female": "female", "f": "female"}


def wall_clock(day: str, clock: str, formats: Sequence[str]) -> datetime | None:
    """The file's wall clock, without zone; None unless both date and time are legible."""
    on, at = _date(day.strip(), formats), _time(clock.strip())
    return datetime.combine(on, at) if on and at is not None else None


def age_between(born: date, on: date) -> float | None:
    """Age in years; None where it is no age of a living person."""
    years = (on - born).days / _DAYS_PER_YEAR
    return years if 0 <= years <= _OLDEST_YEARS else None


def sex_of(text: str) -> str | None:
    """`male`, `female` or None."""
    return _SEXES.get(text.strip().casefold())


def _date(text: str, formats: Sequence[str]) -> date | None:
    for pattern in formats:
        try:
            day = datetime.strptime(text, pattern).date()  # noqa: DTZ007 - a date has no zone
        except ValueError:
            continue
        return day if day.year > _BLANKED_YEAR else None
    return None


def _time(text: str) -> time | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second, fraction = match.groups()
    try:
        return time(int(hour), int(minute), int(second), int((fraction or "0").ljust(6, "0")))
    except ValueError:
        return None
