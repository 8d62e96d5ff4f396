"""The steps of one pass over a source: look, admit, work, and once more if need be."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from ecgbatch.errors import SetupFault
from ecgbatch.heartbeat import Heartbeat
from ecgbatch.settings import Settings
from ecgbatch.sources.folder import FolderSource
from ecgbatch.store import ledger, overview
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import Engine, transaction
from ecgbatch.store.locks import Held
from ecgbatch.terms import ReasonCode
from ecgbatch.working import Desk, Reporter, bench_for, bury_the_dead, work_through

_NOTE_BATCH = 500


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
    source: FolderSource
    source_id: int
    run_id: int
    worker: str
    held: Held
    desk: Desk | None = None


def look_and_work(one: Pass) -> None:
    settle_s = one.settings.stability.settle_s
    bury_the_dead(one.engine, one.source_id)
    looked_at = _look(one)
    unstable = _admit(one)
    _work(one)
    if unstable and settle_s:
        one.reporter.notice(
            f"{unstable} new or changed: looking again in {settle_s:g} s (--settle)"
        )
        one.reporter.pause(settle_s)
        looked_at = _look(one)
        _admit(one)
        _work(one)
    with transaction(one.engine) as connection:
        ledger.mark_missing(connection, one.source_id, looked_at, one.run_id, one.held)


def _look(one: Pass) -> datetime:
    """Note everything that is there; returns when the look began.

    Raises:
        SetupFault: the source is missing, or suddenly empty.
    """
    with transaction(one.engine) as connection:
        looked_at = ledger.now(connection)
        present = ledger.present_items(connection, one.source_id)
    n_seen = 0
    sightings = one.source.scan()
    while batch := list(islice(sightings, _NOTE_BATCH)):
        n_seen += len(batch)
        with transaction(one.engine) as connection:
            ledger.note(connection, one.source_id, batch, one.run_id, one.held)
    if present and not n_seen:
        raise SetupFault(ReasonCode.SOURCE_UNAVAILABLE, "suddenly empty")
    return looked_at


def _admit(one: Pass) -> int:
    """Give work to what is stable; how many are not yet."""
    stability = one.settings.stability
    with transaction(one.engine) as connection:
        ledger.admit(
            connection,
            one.source_id,
            one.champion.digest,
            stability.settle_s,
            stability.grace_s,
            held=one.held,
        )
        return ledger.unstable(connection, one.source_id)


def _work(one: Pass) -> None:
    """Score everything that is due. Weights are loaded, and proven, only if there is something."""
    desk = one.desk
    if desk is None:
        return
    with transaction(one.engine) as connection:
        as_of = ledger.now(connection)
        expected = overview.due(connection, one.source_id, desk.champion.digest, as_of)
    if not expected:
        return
    with (
        Heartbeat(one.engine, desk.worker, desk.kind, desk.settings.work) as heart,
        bench_for(
            desk.settings, desk.champion, desk.bundle_folder, desk.pseudonymiser, desk.worker
        ) as bench,
    ):
        heart.run_id = desk.run_id
        work_through(desk, bench, heart, expected, as_of)
