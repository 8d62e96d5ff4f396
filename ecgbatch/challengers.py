"""The challengers' lane of one worker: a batch at a time, and only when the champion has none.

Whatever a challenger does, live work goes on: one that cannot be used is put aside for a while,
said in the log, in an event and in `status`.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime

from ecgbatch import telemetry
from ecgbatch.admission import find_bundle
from ecgbatch.bench import Bench, bench_for
from ecgbatch.errors import EcgbatchError
from ecgbatch.heartbeat import Heartbeat
from ecgbatch.own_run import own_run
from ecgbatch.store import bundles, control, ledger, overview, standing
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import transaction
from ecgbatch.store.runs import CHALLENGER
from ecgbatch.terms import ExitCode, ReasonCode
from ecgbatch.working import Desk, patiently, prove, waited_until, work_batch

_AGAIN_S = 600.0
"""A challenger that could not be used is tried again after so long."""


@dataclass(slots=True)
class Challengers:
    """Loads one challenger's net at a time, when there is something to score with it."""

    _opened: tuple[Desk, Bench] | None = None
    _resources: ExitStack = field(default_factory=ExitStack)
    _aside_until: dict[str, float] = field(default_factory=dict)

    def is_waiting(self, desk: Desk, as_of: datetime | None = None) -> bool:
        """Whether a challenger that is not put aside has something to score.

        Args:
            desk: of the champion's work.
            as_of: as of `working.work_through`.
        """
        return self._next(desk, as_of) is not None

    def work_batch(self, desk: Desk, heart: Heartbeat, as_of: datetime | None = None) -> bool:
        """One claim for one challenger, in a run of its own kind.

        Returns:
            Whether to ask again: something was scored, or a challenger was put aside.
        """
        one = self._next(desk, as_of)
        if one is None:
            return False
        try:
            beside, bench = self._open(desk, one)
            return work_batch(beside, bench, heart, as_of)
        except Exception as fault:  # noqa: BLE001 - no fault of a challenger ends a worker
            self._put_aside(desk, one, fault)
            return True

    def close(self) -> None:
        """Let go of the net and end the run; the lane can be used again."""
        self._opened = None
        self._resources.close()

    def _next(self, desk: Desk, as_of: datetime | None) -> BundleRow | None:
        """The one whose net is loaded, else the oldest that has something to score."""

        def ask() -> BundleRow | None:
            with transaction(desk.engine) as connection:
                if control.is_halted(connection):
                    return None
                due_at = as_of or waited_until(connection, desk)
                waiting = (
                    one
                    for one in self._in_turn(bundles.challengers(connection))
                    if overview.due(connection, desk.source_id, one.digest, due_at, at_most=1)
                )
                return next(waiting, None)

        return None if desk.stop.is_set() else patiently(desk, ask)

    def _in_turn(self, challengers: list[BundleRow]) -> Iterator[BundleRow]:
        moment = time.monotonic()
        loaded = None if self._opened is None else self._opened[0].champion.digest
        for one in sorted(challengers, key=lambda one: one.digest != loaded):
            if self._aside_until.get(one.digest, 0.0) <= moment:
                yield one

    def _open(self, desk: Desk, one: BundleRow) -> tuple[Desk, Bench]:
        if self._opened is not None and self._opened[0].champion.digest == one.digest:
            return self._opened
        self.close()
        folder = find_bundle(desk.settings, one)
        # Its patience is the champion's; what it finishes is counted in its own run alone.
        beside = replace(desk, champion=one, bundle_folder=folder, lanes=("new",), finished={})
        with ExitStack() as opening:
            bench = opening.enter_context(
                bench_for(desk.settings, one, folder, desk.pseudonymiser, desk.worker)
            )
            running = opening.enter_context(own_run(beside, CHALLENGER))
            prove(running, bench)
            self._resources = opening.pop_all()
        with transaction(desk.engine) as connection:
            standing.note_fitness(connection, running.run_id, one.digest, None)
        self._opened = (running, bench)
        return self._opened

    def _put_aside(self, desk: Desk, one: BundleRow, fault: Exception) -> None:
        self._aside_until[one.digest] = time.monotonic() + _AGAIN_S
        reason = fault.reason if isinstance(fault, EcgbatchError) else _reason_of(fault)
        telemetry.logger().warning("challenger_unfit", bundle=one.digest[:12], reason=reason)
        self.close()

        def note() -> None:
            with transaction(desk.engine) as connection:
                of_run = (CHALLENGER, desk.source_id, desk.worker)
                run_id = ledger.start_run(connection, *of_run)
                standing.note_fitness(connection, run_id, one.digest, reason)
                ledger.end_run(connection, run_id, ExitCode.UNFIT, {})

        patiently(desk, note)


def _reason_of(fault: Exception) -> ReasonCode:
    return ReasonCode.OUT_OF_MEMORY if isinstance(fault, MemoryError) else ReasonCode.INTERNAL_FAULT
