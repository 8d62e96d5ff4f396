"""The alarms: which of them hold. Numbers and reason codes, nothing of any ECG."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ecgbatch.settings import Alerts
from ecgbatch.store.health import Health
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
    Alarm.DISK_LOW: "The disk of the database is nearly full. Free space; workers wait and go on "
    "by themselves.",
    Alarm.HALTED_LONG: "Claims have been halted for long. `ecgbatch resume` lets them go on.",
}
"""What to do, one sentence or two each; docs/operations.md says more."""

OF_THIS_HOST = frozenset({Alarm.SOURCE_UNAVAILABLE, Alarm.DISK_LOW})
"""What a service on another host may judge otherwise; in the database the host is in the name."""


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
        free_bytes: on the disk of the database; None where that is a server.
        worker_silent_s: a worker not seen for so long counts as gone.
    """

    health: Health | None
    database_away_s: float
    database_fault: ReasonCode | None
    started_at: datetime | None
    scan_overdue_s: float
    scan_fault: ReasonCode | None
    free_bytes: int | None
    worker_silent_s: float


@dataclass(frozen=True, slots=True)
class Holding:
    """An alarm that holds, with the number that raised it and the one that it may not pass."""

    alarm: Alarm
    value: float
    limit: float
    reason: ReasonCode | None = None


def holding(facts: Facts, limits: Alerts) -> list[Holding]:
    """All alarms that hold. A limit of 0 switches its alarm off."""
    found = [*_of_this_host(facts, limits)]
    if facts.health is not None and not facts.database_away_s:
        found += _of_the_database(facts, facts.health, limits)
    return found


def judged(facts: Facts) -> set[Alarm]:
    """The alarms that can be judged now: without the database only its absence."""
    if facts.health is not None and not facts.database_away_s:
        return set(Alarm)
    return {Alarm.DATABASE_AWAY}


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
    is_new = since(facts.started_at) < facts.worker_silent_s
    if not health.alive("work", facts.worker_silent_s) and not is_new:
        yield Holding(Alarm.WORKERS_GONE, 0, 1)


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
