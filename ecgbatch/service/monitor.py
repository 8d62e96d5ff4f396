"""A thread that asks the database how things are, keeps the answer, and raises alarms."""

import shutil
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.triggers.base import BaseTrigger

from ecgbatch import telemetry
from ecgbatch.errors import EcgbatchError, TransientFault
from ecgbatch.provenance import code_version
from ecgbatch.service import alerts
from ecgbatch.service.alerts import OF_THIS_HOST, Alarm, Facts, Holding
from ecgbatch.service.messages import Message
from ecgbatch.service.outbox import Outbox
from ecgbatch.service.schedule import SILENT_S, Schedule, schedule_name
from ecgbatch.settings import Settings
from ecgbatch.store import alarms, health, ledger
from ecgbatch.store.alarms import Change, Phase
from ecgbatch.store.engine import Engine, transaction
from ecgbatch.store.health import Health
from ecgbatch.store.revision import check_revision
from ecgbatch.terms import ReasonCode

READ_S = 5.0
"""Seconds between two looks; more where a look takes long."""
_SHARE = 20
"""A look is followed by a pause of so many times its length: at most 5 % of one connection,"""
_LONGEST_PAUSE_S = 300.0
"""but by no longer one."""
WRITE_S = 15.0
"""Seconds between two heartbeats of the service."""
_RATE_S = 300.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was seen last.

    Attributes:
        health: None before the first answer.
        taken: when (monotonic clock), and how many seconds it took.
        fault: why the database did not answer the newest look or heartbeat; None if it did.
        away_s: for how long.
        results_per_second: over the last five minutes.
        lost_leases: since the service began.
        holding: alarms that hold.
    """

    health: Health | None = None
    taken: float = 0.0
    took_s: float = 0.0
    fault: ReasonCode | None = None
    away_s: float = 0.0
    results_per_second: float | None = None
    lost_leases: int = 0
    holding: tuple[Holding, ...] = ()

    @property
    def unready(self) -> ReasonCode | None:
        """Why nothing can be scored now; None if it can."""
        if self.fault is not None:
            return self.fault
        if self.health is None:
            return ReasonCode.DATABASE_UNAVAILABLE
        if self.health.champion is None:
            return ReasonCode.BUNDLE_NOT_ACTIVE
        # A halt is an operator's act; the audit says whose and why.
        return None if self.health.halted_at is None else ReasonCode.OPERATOR


class Monitor:
    """Looks every few seconds, in a thread of its own.

    Args:
        reader: for the look; it cannot write.
        writer: for heartbeats and alarms.
        identity: the service in the table of heartbeats.
        source_id: the source that it scans.
        database: the SQLite file, whose disk is watched; None for a server.
    """

    def __init__(
        self,
        settings: Settings,
        reader: Engine,
        writer: Engine,
        *,
        identity: str,
        source_id: int,
        host: str,
        timetable: BaseTrigger,
        schedule: Schedule,
        outbox: Outbox,
        database: Path | None,
    ) -> None:
        self._settings, self._reader, self._writer = settings, reader, writer
        self._identity, self._host, self._database = identity, host, database
        self._source_id = source_id
        self._timetable, self._schedule, self._outbox = timetable, schedule, outbox
        self._version = code_version()
        self._away = _Away(settings.alerts.repeat_s)
        self._answered = self._looked = time.monotonic()
        self._written = self._judged = float("-inf")
        self._is_unfit = False
        self._began: datetime | None = None
        self._results: deque[tuple[float, int]] = deque()
        self._last_event: int | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="monitor", daemon=True)
        self.now = Snapshot()

    def start(self) -> None:
        """Take the first look here, so that there is an answer; then go on in the thread."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """End, and take the service's row out of the heartbeats."""
        self._over.set()
        self._thread.join(WRITE_S)
        try:
            with transaction(self._writer) as connection:
                ledger.leave(connection, self._identity)
        except EcgbatchError:
            telemetry.logger().warning("heartbeat_missed")

    def age_s(self) -> float:
        """Seconds since the thread last came round, whatever the answer was."""
        return time.monotonic() - self._looked

    def look(self) -> None:
        """Ask, judge, write down, pass on."""
        started = time.monotonic()
        snapshot = self.now
        try:
            snapshot = self._asked(snapshot)
            facts = self._facts(snapshot)
            if started - self._judged >= WRITE_S or snapshot.fault is not None:
                self._write(facts)
            self._answered, self._is_unfit = time.monotonic(), False
            snapshot = replace(snapshot, fault=None, away_s=0.0)
        except EcgbatchError as fault:
            snapshot = replace(snapshot, fault=fault.reason, away_s=self._away_s(fault))
        self._tell_of_the_database(snapshot)
        holding = tuple(alerts.holding(self._facts(snapshot), self._settings.alerts))
        self.now = replace(snapshot, holding=holding, took_s=time.monotonic() - started)
        self._looked = time.monotonic()

    def _away_s(self, fault: EcgbatchError) -> float:
        """For how long the database has not answered, after a look that failed."""
        self._is_unfit = not isinstance(fault, TransientFault)
        if not self._is_unfit:
            # The look itself may have been too long for a database that does answer.
            self._written = float("-inf")
            if self._beat():
                return 0.0
        return time.monotonic() - self._answered

    def _go_on(self) -> None:
        due = time.monotonic() + self._pause_s()
        while not self._over.wait(READ_S):
            try:
                if time.monotonic() >= due or not self._beat():
                    self.look()
                    due = time.monotonic() + self._pause_s()
            except Exception:  # noqa: BLE001 - its text may carry values; the next look may succeed
                telemetry.logger().error("look_failed", reason=ReasonCode.INTERNAL_FAULT)

    def _pause_s(self) -> float:
        return min(max(READ_S, _SHARE * self.now.took_s), _LONGEST_PAUSE_S)

    def _beat(self) -> bool:
        """The heartbeat alone, between two looks that are far apart; False if it failed."""
        if time.monotonic() - self._written >= WRITE_S:
            try:
                with transaction(self._writer) as connection:
                    ledger.beat(connection, self._identity, "serve", None)
            except EcgbatchError:
                return False
            self._written = time.monotonic()
            if not self._is_unfit:
                self._answered = self._written
        self._looked = time.monotonic()
        return True

    def _asked(self, before: Snapshot) -> Snapshot:
        check_revision(self._reader)
        with transaction(self._reader) as connection:
            found = health.read(connection, self._source_id)
            since = found.last_event if self._last_event is None else self._last_event
            lost = health.lost_leases(connection, since, found.last_event)
        self._last_event = found.last_event
        self._began = self._began or found.moment
        return replace(
            before,
            health=found,
            taken=time.monotonic(),
            results_per_second=self._rate(found.results),
            lost_leases=before.lost_leases + lost,
        )

    def _rate(self, results: int) -> float | None:
        now = time.monotonic()
        self._results.append((now, results))
        while now - self._results[0][0] > _RATE_S:
            self._results.popleft()
        then, before = self._results[0]
        return None if now == then else (results - before) / (now - then)

    def _facts(self, snapshot: Snapshot) -> Facts:
        found = snapshot.health
        return Facts(
            health=found,
            database_away_s=snapshot.away_s,
            database_fault=snapshot.fault,
            started_at=self._began,
            scan_overdue_s=0.0 if found is None else self._overdue_s(found),
            scan_fault=self._schedule.last_fault,
            has_scanned=self._schedule.has_scanned,
            free_bytes=_free(self._database),
            worker_silent_s=self._settings.work.lease_s,
        )

    def _overdue_s(self, found: Health) -> float:
        """Since the first due time after the last success, or after the service's start."""
        last = found.last_success_at or self._began or found.moment
        due = self._timetable.get_next_fire_time(None, last)
        return 0.0 if due is None else max(0.0, (found.moment - due).total_seconds())

    def _write(self, facts: Facts) -> None:
        """The heartbeat, and the alarms that the database can keep."""
        limits = self._settings.alerts
        holding = {one.alarm: one for one in alerts.holding(facts, limits)}
        kept = alerts.switched_on(limits) - {Alarm.DATABASE_AWAY}
        names = {self._name(alarm): alarm for alarm in kept}
        judged = alerts.judged(facts, limits)
        is_alone = facts.health is not None and self._is_alone(facts.health)
        with transaction(self._writer) as connection:
            ledger.beat(connection, self._identity, "serve", None)
            changes = alarms.decide(
                connection,
                {name: holding[alarm].size for name, alarm in names.items() if alarm in holding},
                [name for name, alarm in names.items() if alarm in judged],
                limits.repeat_s,
            )
            alarms.forget(connection, list(names), limits.repeat_s, is_alone=is_alone)
        self._written = self._judged = time.monotonic()
        for change in changes:
            alarm = names[change.name]
            self._tell(alarm, change, holding.get(alarm))

    def _is_alone(self, found: Health) -> bool:
        others = (one for one in found.beats if one.worker != self._identity)
        return not any(one.kind == "serve" and one.age_s(found.moment) < SILENT_S for one in others)

    def _name(self, alarm: Alarm) -> str:
        """In the database: equal for all services that judge it alike, and for no others."""
        limit = alerts.limit(alarm, self._settings.alerts)
        judged_by: list[object] = [] if limit is None else [limit]
        if alarm is Alarm.SCAN_SILENCE:
            judged_by.append(schedule_name(self._settings.service, self._source_id))
        if alarm in (Alarm.SOURCE_SILENCE, Alarm.SOURCE_UNAVAILABLE):
            judged_by.append(self._source_id)
        if alarm is Alarm.WORKERS_GONE:
            judged_by.append(self._settings.work.lease_s)
        host = self._host if alarm in OF_THIS_HOST else None
        return alarms.name_of(alarm, host, judged_by)

    def _tell_of_the_database(self, snapshot: Snapshot) -> None:
        """The one alarm that cannot be written down."""
        away = Alarm.DATABASE_AWAY
        found = alerts.holding(self._facts(snapshot), self._settings.alerts)
        held = next((one for one in found if one.alarm is away), None)
        change = self._away.decide(snapshot.away_s if held is not None else None)
        if change is not None:
            self._tell(away, change, held)

    def _tell(self, alarm: Alarm, change: Change, held: Holding | None) -> None:
        telemetry.logger().warning("alarm", alarm=alarm, phase=change.phase)
        self._outbox.put(
            Message(
                alarm,
                change.phase,
                self._host,
                self._version,
                change.since_at,
                None if held is None else held.value,
                None if held is None else held.limit,
                None if held is None else held.reason,
            )
        )


class _Away:
    """As `alarms.decide`, in memory."""

    def __init__(self, repeat_s: float) -> None:
        self._repeat_s = repeat_s
        self._since: datetime | None = None
        self._told = 0.0

    def decide(self, away_s: float | None) -> Change | None:
        """`away_s`: since when the database is away, if that is an alarm."""
        phase = self._phase(away_s)
        if phase is None:
            return None
        if phase is Phase.BEGINS:
            self._since = datetime.now(UTC) - timedelta(seconds=away_s or 0.0)
        since = self._since or datetime.now(UTC)
        if phase is Phase.ENDS:
            self._since = None
        else:
            self._told = time.monotonic()
        return Change(Alarm.DATABASE_AWAY, phase, since)

    def _phase(self, away_s: float | None) -> Phase | None:
        if away_s is None:
            return None if self._since is None else Phase.ENDS
        if self._since is None:
            return Phase.BEGINS
        is_due = time.monotonic() - self._told >= self._repeat_s
        return Phase.HOLDS if is_due else None


def _free(database: Path | None) -> int | None:
    if database is None:
        return None
    try:
        return shutil.disk_usage(database.parent).free
    except OSError:
        return None
