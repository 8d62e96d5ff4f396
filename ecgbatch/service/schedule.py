"""The scans of `serve`: due by a timetable, taken in the database, one at a time."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from threading import Lock

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler

from ecgbatch import telemetry
from ecgbatch.errors import EcgbatchError
from ecgbatch.service import timetable
from ecgbatch.settings import Service
from ecgbatch.store import firings
from ecgbatch.store.engine import Connection, Engine, transaction
from ecgbatch.terms import ReasonCode

SILENT_S = 120.0
"""A service that wrote no heartbeat for so long is dead; its unfinished scan is taken over."""
_TICK_S = 5
_AGAIN_S = 300
_JUMP_S = 30.0

Take = Callable[[Connection, str, datetime, str], bool]
Scan = Callable[[], object]
"""One scan of the source. Raises EcgbatchError if it could not look at everything, or
KeyboardInterrupt if the service ends."""


class Schedule:
    """Runs `scan` when it is due and no other service has taken that time.

    A time that passed while no service lived is made up for at the start, once. A scan that
    failed, or whose service died, is tried again every five minutes until the next is due.
    """

    def __init__(
        self, settings: Service, source_id: int, engine: Engine, identity: str, scan: Scan
    ) -> None:
        """Args:
        source_id: number of the source in the database.
        identity: this service, unlike any other.

        Raises:
            SetupFault: SETTINGS_INVALID, the timetable.
        """
        # Its texts are no JSON; what matters of them is logged here.
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
        self._timetable = timetable.trigger(settings)
        self._name = schedule_name(settings, source_id)
        self._source_id = source_id
        self._engine = engine
        self._identity = identity
        self._scan = scan
        self._one = Lock()
        self._is_open = True
        self._executor = _Executor(max_workers=1)
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"scan": self._executor, "default": {"type": "threadpool", "max_workers": 1}},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._ticked = time.monotonic()
        self._offset = time.time() - time.monotonic()
        self.last_fault: ReasonCode | None = None
        """Why the newest scan of this service failed; None if it did not."""
        self.has_scanned = False
        """Whether one has succeeded since the start."""

    def start(self) -> None:
        """Begin, with the newest due time that has passed; whoever has taken it keeps it."""
        add = self._scheduler.add_job
        passed = timetable.last_due(self._timetable, datetime.now(UTC))
        first = {} if passed is None else {"next_run_time": passed}
        add(self._due, self._timetable, id="scan", executor="scan", **first)
        add(self._again, "interval", seconds=_AGAIN_S, id="again", executor="scan")
        add(self._tick, "interval", seconds=_TICK_S, id="tick")
        self._scheduler.start()

    def stop(self) -> None:
        """Begin no other scan; one that runs is not waited for."""
        self._is_open = False
        self._scheduler.shutdown(wait=False)

    def is_idle(self, within_s: float) -> bool:
        """Whether no scan runs, or the one that does ends within so many seconds."""
        if not self._one.acquire(timeout=within_s):
            return False
        self._one.release()
        return True

    def age_s(self) -> float:
        """Seconds since the scheduler's thread last showed that it lives."""
        return time.monotonic() - self._ticked

    def watch_clock(self) -> None:
        """Plan anew after the machine's clock was set: what waits would wait for the old time."""
        offset = time.time() - time.monotonic()
        if abs(offset - self._offset) < _JUMP_S:
            return
        self._offset = offset
        telemetry.logger().warning("clock_set")
        # From the newest due time by the new clock on: what the jump passed over is made up for.
        if (passed := timetable.last_due(self._timetable, datetime.now(UTC))) is not None:
            self._scheduler.modify_job("scan", next_run_time=passed)
        self._scheduler.reschedule_job("again", trigger="interval", seconds=_AGAIN_S)
        self._scheduler.reschedule_job("tick", trigger="interval", seconds=_TICK_S)

    def _tick(self) -> None:
        self._ticked = time.monotonic()

    def _due(self) -> None:
        """The timetable's moment has come."""
        self._run(self._executor.due_at, partial(firings.take, repeats=True))

    def _again(self) -> None:
        """Look whether the newest due time has had its scan."""
        passed = timetable.last_due(self._timetable, datetime.now(UTC))
        if passed is not None:
            self._run(passed, self._take_over)

    def _take_over(
        self, connection: Connection, schedule: str, due_at: datetime, identity: str
    ) -> bool:
        return firings.take(connection, schedule, due_at, identity) or firings.take_over(
            connection,
            schedule,
            due_at,
            identity,
            source_id=self._source_id,
            silent_s=SILENT_S,
        )

    def _run(self, due_at: datetime, take: Take) -> None:
        """Scan if the due time is ours; a fault is logged and shown, and ends nothing."""
        with self._one:
            try:
                with transaction(self._engine) as connection:
                    is_ours = self._is_open and take(connection, self._name, due_at, self._identity)
                if is_ours:
                    self._scan()
                    self.last_fault, self.has_scanned = None, True
            except KeyboardInterrupt:
                telemetry.logger().info("scan_stopped")
            except EcgbatchError as fault:
                self.last_fault = fault.reason
                telemetry.logger().warning("scan_failed", reason=fault.reason)
            except Exception:  # noqa: BLE001 - its text may carry paths; the service goes on
                self.last_fault = ReasonCode.INTERNAL_FAULT
                telemetry.logger().error("scan_failed", reason=ReasonCode.INTERNAL_FAULT)


class _Executor(ThreadPoolExecutor):  # type: ignore[misc] # APScheduler is not typed
    """One thread, which knows when its job was due: APScheduler keeps that to itself."""

    due_at: datetime

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        if job.id == "scan":
            self.due_at = timetable.rounded(run_times[-1])
        super()._do_submit_job(job, run_times)


def schedule_name(settings: Service, source_id: int) -> str:
    """The schedule in the database, the same for all services that share it."""
    return f"{timetable.title(settings)}, source {source_id}"
