"""`work`: claim and score whatever the scans admit; any number of workers at once."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ecgbatch.admission import bundle_for, champion_of
from ecgbatch.bench import bench_for
from ecgbatch.challengers import Challengers
from ecgbatch.errors import SetupFault
from ecgbatch.heartbeat import Heartbeat
from ecgbatch.own_run import own_run
from ecgbatch.preparation import open_database, pseudonymiser_of
from ecgbatch.run import source_number, source_of
from ecgbatch.settings import Settings
from ecgbatch.sources.folder import FolderSource
from ecgbatch.sources.source import Source
from ecgbatch.stopping import Stopping
from ecgbatch.store import control, ledger, overview, queries
from ecgbatch.store.engine import Engine, transaction
from ecgbatch.store.runs import has_other_than_folders, source_root
from ecgbatch.terms import Disposition, ExitCode, ReasonCode
from ecgbatch.worker_name import own_name
from ecgbatch.working import (
    Desk,
    Reporter,
    bury_the_dead,
    patiently,
    prove,
    waited_until,
    work_through,
)

_RUN_S = 3600.0
"""An idle worker closes its run after this long, so that no run's row stays open for a year."""
_LOOKED_AT = 1000
"""So many units are counted to see whether there is something to do."""
_CONTENDED_S = 0.2
"""Between two tries to claim what others have locked for a moment."""


@dataclass(frozen=True, slots=True)
class WorkSummary:
    """What one worker did; `attention` is of the whole database."""

    exit_code: int
    finished: Mapping[Disposition, int]
    attention: int
    is_halted: bool
    is_clinical: bool


def work(settings: Settings, reporter: Reporter, *, drain: bool, stop: Stopping) -> WorkSummary:
    """Claim and score until told to stop.

    Args:
        drain: end as soon as nothing is due.
        stop: set when the worker is to end after what its net is computing.

    Raises:
        SetupFault: the set-up is unfit, at the start or after a change of the champion.
    """
    engine, _ = open_database(settings)
    try:
        desk = _desk(settings, engine, reporter, stop)
        bury_the_dead(engine, desk.source_id)
        with (
            Heartbeat(engine, desk.worker, desk.kind, settings.work) as heart,
            closing(Challengers()) as beside,
        ):
            while not stop.is_set() and (desk := _with_champion(desk)):
                if _due(desk) or beside.is_waiting(desk):
                    _serve(desk, heart, beside, drain=drain)
                if drain:
                    break
                stop.wait(settings.work.idle_s)
        return _summary(desk, drain=drain)
    finally:
        engine.dispose()


def _desk(settings: Settings, engine: Engine, reporter: Reporter, stop: Stopping) -> Desk:
    people, made = pseudonymiser_of(settings, engine)
    champion, folder, _ = bundle_for(settings, engine)
    for line in made:
        reporter.notice(line)
    is_named = bool(settings.source.folder) or settings.source.kind != "folder"
    one = source_of(settings) if is_named else None
    if one is None:
        with transaction(engine) as connection:
            if has_other_than_folders(connection):
                raise SetupFault(ReasonCode.SETTINGS_INVALID, "a database source needs --config")
    opened: dict[int, Source] = {}

    def source_at(source_id: int) -> Source:
        if one is not None:
            return one
        if source_id not in opened:
            with transaction(engine) as connection:
                root = Path(source_root(connection, source_id))
            opened[source_id] = FolderSource(root, settings.limits.recording_bytes)
        return opened[source_id]

    return Desk(
        settings=settings,
        engine=engine,
        champion=champion,
        bundle_folder=folder,
        pseudonymiser=people,
        reporter=reporter,
        source_id=None if one is None else source_number(engine, settings, one),
        source_of=source_at,
        run_id=0,
        worker=own_name(),
        kind="work",
        stop=stop,
        patience_s=None,
    )


def _with_champion(desk: Desk) -> Desk:
    """The desk for whoever is champion now; its files are looked for only when it is another."""
    champion = patiently(desk, lambda: champion_of(desk.settings, desk.engine))
    if champion.digest == desk.champion.digest:
        return desk
    champion, folder, _ = patiently(desk, lambda: bundle_for(desk.settings, desk.engine))
    return replace(desk, champion=champion, bundle_folder=folder)


def _due(desk: Desk) -> int:
    def ask() -> int:
        with transaction(desk.engine) as connection:
            if control.is_halted(connection):
                return 0
            as_of = waited_until(connection, desk)
            here = (desk.source_id, desk.champion.digest)
            return overview.due(connection, *here, as_of, at_most=_LOOKED_AT)

    return patiently(desk, ask)


def _serve(desk: Desk, heart: Heartbeat, beside: Challengers, *, drain: bool) -> None:
    """Work with one champion, until it is replaced or there has been nothing to do for long.

    Challengers get a batch only when there is nothing to do for the champion.
    """
    with (
        bench_for(
            desk.settings, desk.champion, desk.bundle_folder, desk.pseudonymiser, desk.worker
        ) as bench,
        own_run(desk, desk.kind) as running,
        _named(heart, running.run_id),
        closing(beside),
    ):
        prove(running, bench)
        until = time.monotonic() + _RUN_S
        while not desk.stop.is_set():
            expected = _due(running)
            n_done = work_through(running, bench, heart, expected) if expected else 0
            if n_done:
                continue
            if _with_champion(desk) is not desk:
                return
            if not expected and beside.work_batch(desk, heart):
                continue
            if expected:
                desk.stop.wait(_CONTENDED_S)
            elif drain or time.monotonic() > until:
                return
            else:
                desk.stop.wait(desk.settings.work.idle_s)


@contextmanager
def _named(heart: Heartbeat, run_id: int) -> Iterator[None]:
    """The heartbeat says which run it beats for."""
    heart.run_id = run_id
    try:
        yield
    finally:
        heart.run_id = None


def _summary(desk: Desk, *, drain: bool) -> WorkSummary:
    with transaction(desk.engine) as connection:
        ledger.balance(connection)
        attention = queries.attention(connection)
        is_halted = control.is_halted(connection)
    exit_code = ExitCode.ATTENTION if drain and attention else ExitCode.DONE
    return WorkSummary(exit_code, desk.finished, attention, is_halted, desk.champion.is_clinical)
