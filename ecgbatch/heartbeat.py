"""A thread beside the work: it keeps the leases alive, and ends a worker that hangs."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from ecgbatch import telemetry
from ecgbatch.errors import EcgbatchError
from ecgbatch.records import WorkUnit
from ecgbatch.settings import Work
from ecgbatch.store import ledger
from ecgbatch.store.engine import Engine, transaction
from ecgbatch.terms import ExitCode, ReasonCode

_BEATS_PER_LEASE = 3
_AGAIN_S = 2.0
"""After a beat that failed: the database may be back sooner than the next beat is due."""


class Heartbeat:
    """Beats while the block runs: the worker's row, and the leases of the units it holds.

    Work that does not move for longer than the settings' `expire_s` ends the process. Its leases
    run out, another worker takes each unit alone, and one that hangs that worker too is held to
    hang every worker.

    Args:
        end: what ends the process.
    """

    def __init__(
        self,
        engine: Engine,
        worker: str,
        kind: str,
        settings: Work,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self.run_id: int | None = None
        self._engine, self._worker, self._kind = engine, worker, kind
        self._lease_s, self._expire_s, self._end = settings.lease_s, settings.expire_s, end
        self._held: dict[int, WorkUnit] = {}
        self._lost: set[int] = set()
        self._began: float | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        with suppress(EcgbatchError), transaction(self._engine) as connection:
            ledger.leave(connection, self._worker)

    def hold(self, units: Sequence[WorkUnit]) -> None:
        """From now on the leases of `units` are renewed, too."""
        with self._lock:
            self._held |= {unit.work_id: unit for unit in units}
            self._lost -= {unit.work_id for unit in units}

    def is_ours(self, unit: WorkUnit) -> bool:
        """Whether its lease is not known to be another's meanwhile."""
        with self._lock:
            return unit.work_id not in self._lost

    def moved(self) -> None:
        """Start the clock anew: something was done."""
        with self._lock:
            self._began = time.monotonic()

    def end(self) -> None:
        """Stop the clock: waiting for the database is no hanging, nor is having nothing to do."""
        with self._lock:
            self._began = None

    def drop(self, unit: WorkUnit) -> None:
        """The unit is finished or given up."""
        with self._lock:
            self._held.pop(unit.work_id, None)
            self._lost.discard(unit.work_id)

    def _beat_on(self) -> None:
        interval_s = self._lease_s / _BEATS_PER_LEASE
        due = time.monotonic() + interval_s
        while not self._over.wait(min(interval_s, self._expire_s, 1.0)):
            self._end_if_hung()
            if time.monotonic() >= due:
                due = time.monotonic() + (interval_s if self._try_to_beat() else _AGAIN_S)

    def _end_if_hung(self) -> None:
        with self._lock:
            began = self._began
        if began is not None and time.monotonic() - began > self._expire_s:
            telemetry.logger().error(
                "worker_hung", run_id=self.run_id, reason=ReasonCode.INTERNAL_FAULT
            )
            self._end(ExitCode.INTERNAL)

    def _try_to_beat(self) -> bool:
        try:
            self._beat()
        except EcgbatchError as fault:
            telemetry.logger().warning("heartbeat_missed", run_id=self.run_id, reason=fault.reason)
            return False
        return True

    def _beat(self) -> None:
        with self._lock:
            held = tuple(self._held.values())
        with transaction(self._engine) as connection:
            ledger.beat(connection, self._worker, self._kind, self.run_id)
            ours = ledger.renew(connection, held, self._lease_s)
        with self._lock:
            self._lost |= {unit.work_id for unit in held} - ours
