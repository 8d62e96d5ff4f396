"""The steps of one pass over a source: look, admit, work, and once more if need be."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

from ecgbatch.archiving import put_away
from ecgbatch.bench import Bench, bench_for
from ecgbatch.challengers import Challengers
from ecgbatch.heartbeat import Heartbeat
from ecgbatch.looking import Looker, conclude, look
from ecgbatch.settings import Settings
from ecgbatch.sources.source import Source
from ecgbatch.store import ledger, overview
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import Engine, transaction
from ecgbatch.store.locks import Held
from ecgbatch.working import Desk, Reporter, bury_the_dead, prove, work_through

_BESIDE_S = 300.0
"""So long at most a pass works for challengers: the next one looks for new ECGs again."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over one source.

    Attributes:
        desk: of the worker; without it the pass looks and admits, and others score.
    """

    settings: Settings
    engine: Engine
    champion: BundleRow
    reporter: Reporter
    source: Source
    source_id: int
    run_id: int
    worker: str
    held: Held
    desk: Desk | None = None

    @property
    def settle_s(self) -> float:
        """Seconds between the two looks that must agree; 0 where the source needs no second."""
        return self.settings.stability.settle_s if self.source.settles else 0.0


def look_and_work(one: Pass) -> None:
    settle_s = one.settle_s
    bury_the_dead(one.engine, one.source_id)
    looker = Looker(one.engine, one.source, one.source_id, one.run_id, one.held)
    put_away(looker)
    last = look(looker)
    unstable = _admit(one)
    with _scoring(one) as score_what_is_due:
        score_what_is_due()
        if unstable and settle_s:
            one.reporter.notice(
                f"{unstable} new or changed: looking again in {settle_s:g} s (--settle)"
            )
            one.reporter.pause(settle_s)
            last = look(looker)
            _admit(one)
            score_what_is_due()
    conclude(looker, last)
    if left := put_away(looker):
        one.reporter.notice(f"{left} could not be archived; the next run tries again")
    _work_beside(one)


def _admit(one: Pass) -> int:
    """Give work to what is stable; how many are not yet."""
    stability = one.settings.stability
    with transaction(one.engine) as connection:
        ledger.admit(
            connection,
            one.source_id,
            one.settle_s,
            stability.grace_s,
            held=one.held,
        )
        return ledger.unstable(connection, one.source_id)


@contextmanager
def _scoring(one: Pass) -> Iterator[Callable[[], None]]:
    """What scores everything that is due; it may be called again.

    Weights are loaded, and proven by the run's canary, the first time that there is something.
    """
    with ExitStack() as stack:
        opened: list[tuple[Bench, Heartbeat]] = []

        def score_what_is_due() -> None:
            desk = one.desk
            if desk is None:
                return
            as_of, expected = _due(one, desk)
            if not expected:
                return
            if not opened:
                opened.append(_opened(desk, stack))
            work_through(desk, *opened[0], expected, as_of)

        yield score_what_is_due


def _opened(desk: Desk, stack: ExitStack) -> tuple[Bench, Heartbeat]:
    heart = stack.enter_context(Heartbeat(desk.engine, desk.worker, desk.kind, desk.settings.work))
    bench = stack.enter_context(
        bench_for(desk.settings, desk.champion, desk.bundle_folder, desk.pseudonymiser, desk.worker)
    )
    heart.run_id = desk.run_id
    prove(desk, bench)
    return bench, heart


def _work_beside(one: Pass) -> None:
    """Score for challengers, while the champion has nothing to do."""
    desk = one.desk
    if desk is None:
        return
    until = time.monotonic() + _BESIDE_S
    as_of, _ = _due(one, desk)
    with closing(Challengers()) as beside:
        if not beside.is_waiting(desk, as_of):
            return
        with Heartbeat(one.engine, desk.worker, desk.kind, desk.settings.work) as heart:
            heart.run_id = desk.run_id
            while time.monotonic() < until and not _due(one, desk)[1]:
                if not beside.work_batch(desk, heart, as_of):
                    return


def _due(one: Pass, desk: Desk) -> tuple[datetime, int]:
    """Now, and how many units the champion could score."""
    with transaction(one.engine) as connection:
        as_of = ledger.now(connection)
        return as_of, overview.due(connection, one.source_id, desk.champion.digest, as_of)
