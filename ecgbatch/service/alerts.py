"""The alarms: which of them hold. Numbers and reason codes, nothing of any ECG."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ecgbatch.settings import Alerts
from ecgbatch.store.health import Health
from ecgbatch.store.proofs import Proofs
from ecgbatch.terms import ReasonCode


class Alarm(StrEnum):
    DATABASE_AWAY = "database_away"
    SCAN_SILENCE = "scan_silence"
    SOURCE_UNAVAILABLE = "source_unavailable"
    SOURCE_SILENCE = "source_silence"
    WORKERS_GONE = "workers_gone"
    QUEUE_OLD = "queue_old"
    FAILURES_OPEN = "failures_open"
    LEDGER_UNBALANCED = "ledger_unbalanced"
    CANARY_DIFFERS = "canary_differs"
    REPLAY_DIFFERS = "replay_differs"
    EXPORT_FAILED = "export_failed"
    DISK_LOW = "disk_low"
    HALTED_LONG = "halted_long"


ADVICE: dict[Alarm, str] = {
    Alarm.DATABASE_AWAY: "The database does not answer. Check its server, disk and network; "
    "nothing is lost, workers wait and go on by themselves.",
    Alarm.SCAN_SILENCE: "No scan has succeeded for too long. See `ecgbatch status` for the last "
    "scan, then the log of the service; `ecgbatch doctor` names what is unfit.",
    Alarm.SOURCE_UNAVAILABLE: "The source is missing, unreadable or suddenly empty. Check that "
    "it is mounted; nothing counts as gone until it is back.",
    Alarm.SOURCE_SILENCE: "No new ECG has come for too long. Ask whoever runs the exporting "
    "system; if the pause is expected, raise alerts.source_silence_s.",
    Alarm.WORKERS_GONE: "No worker shows a sign of life. See the log for why they end; "
    "`ecgbatch doctor` checks bundle and readers.",
    Alarm.QUEUE_OLD: "An ECG has waited too long. See `ecgbatch status --failures` for what is "
    "stuck; if nothing is, add workers.",
    Alarm.FAILURES_OPEN: "Failed or unsupported ECGs wait for someone. `ecgbatch status "
    "--failures` names them and what to do; then retry or acknowledge them.",
    Alarm.LEDGER_UNBALANCED: "The ledger does not add up. Stop the service, keep the database as "
    "it is, run `ecgbatch ledger check` and report what it finds.",
    Alarm.CANARY_DIFFERS: "A golden ECG does not come out as it must on some machine, so "
    "nothing is scored there. v_run_health says which worker; `ecgbatch doctor` there, at what "
    "stage.",
    Alarm.REPLAY_DIFFERS: "A current result came out otherwise when it was computed again from its "
    "file. `ecgbatch status` names its recording, `ecgbatch verify` computes it once more and says "
    "at what stage. It ends when a later replay agrees, or the ECG is scored again.",
    Alarm.EXPORT_FAILED: "The newest export did not bring its folder up to date. `ecgbatch "
    "status` says why; mend that and export again, nothing is lost or doubled.",
    Alarm.DISK_LOW: "The disk of the database is nearly full. Free space; workers wait and go on "
    "by themselves.",
    Alarm.HALTED_LONG: "Claims have been halted for long. `ecgbatch resume` lets them go on.",
}
"""What to do, one sentence or two each; docs/operations.md says more."""

_LIMITS: dict[Alarm, str] = {
    Alarm.DATABASE_AWAY: "database_away_s",
    Alarm.SCAN_SILENCE: "scan_silence_s",
    Alarm.SOURCE_SILENCE: "source_silence_s",
    Alarm.QUEUE_OLD: "waiting_s",
    Alarm.FAILURES_OPEN: "failures",
    Alarm.DISK_LOW: "free_bytes",
    Alarm.HALTED_LONG: "halted_s",
}
"""The setting in [alerts] that raises it; the others have none."""

_RECENT = timedelta(days=1)
"""An export that failed before that was somebody's single try."""

OF_THIS_HOST = frozenset({Alarm.SOURCE_UNAVAILABLE, Alarm.DISK_LOW})
"""What a service on another host may judge otherwise; in the database the host is in the name."""

COUNTED = frozenset({Alarm.FAILURES_OPEN})
"""What is told again when there is much more of it than was told."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the service knows beside the database.

    Attributes:
        health: the newest answer of the database.
        database_away_s: seconds since it last answered; 0 if it does.
        database_fault: why it does not.
        started_at: of the service, by the database's clock.
        scan_overdue_s: seconds since a scan was due after the last one that succeeded.
        scan_fault: why the newest scan of this service failed.
        has_scanned: whether one has succeeded since its start.
        free_bytes: on the disk of the database; None where that is a server.
        worker_silent_s: a worker not seen for so long counts as gone.
    """

    health: Health | None
    database_away_s: float
    database_fault: ReasonCode | None
    started_at: datetime | None
    scan_overdue_s: float
    scan_fault: ReasonCode | None
    has_scanned: bool
    free_bytes: int | None
    worker_silent_s: float


@dataclass(frozen=True, slots=True)
class Holding:
    """An alarm that holds, with the number that raised it and the one that it may not pass."""

    alarm: Alarm
    value: float
    limit: float
    reason: ReasonCode | None = None

    @property
    def size(self) -> int:
        """How much there is of what may rise, at least 1; 1 where nothing is counted."""
        return max(1, int(self.value)) if self.alarm in COUNTED else 1


def holding(facts: Facts, limits: Alerts) -> list[Holding]:
    """All alarms that hold. A limit of 0 switches its alarm off."""
    found = [*_of_this_host(facts, limits)]
    if facts.health is not None and not facts.database_away_s:
        found += _of_the_database(facts, facts.health, limits)
    return found


def judged(facts: Facts, limits: Alerts) -> set[Alarm]:
    """The alarms that can be judged now; what is not known, or switched off, ends none."""
    on = switched_on(limits)
    if facts.health is None or facts.database_away_s:
        return on & {Alarm.DATABASE_AWAY}
    holds = {one.alarm for one in holding(facts, limits)}
    return on - (set(_unknown(facts, facts.health)) - holds)


def switched_on(limits: Alerts) -> set[Alarm]:
    """Those whose limit is not 0."""
    return {alarm for alarm in Alarm if limit(alarm, limits) != 0}


def limit(alarm: Alarm, limits: Alerts) -> float | None:
    """What raises it; None where no setting does."""
    return float(getattr(limits, _LIMITS[alarm])) if alarm in _LIMITS else None


def _unknown(facts: Facts, health: Health) -> Iterator[Alarm]:
    """What a service that has just begun cannot know yet, unless it holds already."""
    if facts.scan_fault is not None or not facts.has_scanned:
        yield Alarm.SOURCE_UNAVAILABLE
    if health.last_success_at is None:
        yield Alarm.SCAN_SILENCE
    if health.newest_item_at is None:
        yield Alarm.SOURCE_SILENCE
    if facts.free_bytes is None:
        yield Alarm.DISK_LOW
    if _is_new(facts, health):
        yield Alarm.WORKERS_GONE


def _of_this_host(facts: Facts, limits: Alerts) -> Iterator[Holding]:
    away_s, away_limit = facts.database_away_s, limits.database_away_s
    yield from _above(Alarm.DATABASE_AWAY, away_s, away_limit, facts.database_fault)
    if facts.scan_fault is ReasonCode.SOURCE_UNAVAILABLE:
        yield Holding(Alarm.SOURCE_UNAVAILABLE, 1, 0, facts.scan_fault)
    if facts.free_bytes is not None and facts.free_bytes < limits.free_bytes:
        yield Holding(Alarm.DISK_LOW, facts.free_bytes, limits.free_bytes)


def _of_the_database(facts: Facts, health: Health, limits: Alerts) -> Iterator[Holding]:
    def since(moment: datetime | None) -> float:
        return 0.0 if moment is None else (health.moment - moment).total_seconds()

    overdue_s, overdue_limit = facts.scan_overdue_s, limits.scan_silence_s
    yield from _above(Alarm.SCAN_SILENCE, overdue_s, overdue_limit, facts.scan_fault)
    # Where there has never been an ECG, the service's start counts.
    newest = health.newest_item_at or facts.started_at
    yield from _above(Alarm.SOURCE_SILENCE, since(newest), limits.source_silence_s)
    yield from _above(Alarm.QUEUE_OLD, since(health.oldest_waiting_at), limits.waiting_s)
    yield from _above(Alarm.HALTED_LONG, since(health.halted_at), limits.halted_s)
    n_open = sum(health.failures.values())
    yield from _above(Alarm.FAILURES_OPEN, n_open, limits.failures, _most(health))
    if health.unaccounted:
        unbalanced = ReasonCode.LEDGER_UNBALANCED
        yield Holding(Alarm.LEDGER_UNBALANCED, health.unaccounted, 0, unbalanced)
    yield from _of_the_proofs(health.proofs)
    yield from _of_the_exports(health)
    if not health.alive("work", facts.worker_silent_s) and not _is_new(facts, health):
        yield Holding(Alarm.WORKERS_GONE, 0, 1)


def _of_the_proofs(proofs: Proofs) -> Iterator[Holding]:
    if proofs.unfit_machines:
        differs = ReasonCode.CANARY_DIFFERS
        yield Holding(Alarm.CANARY_DIFFERS, proofs.unfit_machines, 0, differs)
    if proofs.differing:
        yield Holding(Alarm.REPLAY_DIFFERS, proofs.differing, 0)


def _of_the_exports(health: Health) -> Iterator[Holding]:
    last = health.last_export
    if last is None or not last.has_failed or health.moment - last.started_at > _RECENT:
        return
    reason = None if last.reason == "other" else last.reason
    yield Holding(Alarm.EXPORT_FAILED, 1, 0, reason)


def _is_new(facts: Facts, health: Health) -> bool:
    """Whether workers may still be loading."""
    began = facts.started_at
    return began is None or (health.moment - began).total_seconds() < facts.worker_silent_s


def _above(
    alarm: Alarm, value: float, limit: float, reason: ReasonCode | None = None
) -> Iterator[Holding]:
    if limit and value >= limit:
        yield Holding(alarm, value, limit, reason)


def _most(health: Health) -> ReasonCode | None:
    """The most frequent reason of the open failures, if this version knows it."""
    failures = health.failures
    most = max(failures, key=lambda reason: failures[reason], default=None)
    return None if most is None or most == "other" else most
