"""`run_once` and `scan_once`: prepare, take the source's lock, make one pass, close the run."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ecgbatch import telemetry
from ecgbatch.admission import bundle_for, champion_of
from ecgbatch.errors import SetupFault, TransientFault
from ecgbatch.onepass import Pass, look_and_work
from ecgbatch.preparation import open_database, pseudonymiser_of
from ecgbatch.settings import Settings
from ecgbatch.sources.registry import open_source
from ecgbatch.sources.source import Source
from ecgbatch.store import checks, identifiers, ledger, overview, queries
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import Engine, sqlite_path, transaction
from ecgbatch.store.locks import source_lock
from ecgbatch.store.overview import ReasonCount
from ecgbatch.store.runs import SCAN
from ecgbatch.terms import Disposition, ExitCode
from ecgbatch.worker_name import own_name
from ecgbatch.working import Desk, Reporter


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What one run did, and what the ledger says after it.

    Attributes:
        finished: how the units of this run ended.
        counts: all items of the database by disposition.
        reasons: why those that are not scored are not.
        attention: failed or unsupported items that nobody has acknowledged.
    """

    run_id: int
    exit_code: int
    champion: BundleRow
    finished: Mapping[Disposition, int]
    counts: Mapping[Disposition, int]
    reasons: Sequence[ReasonCount]
    attention: int
    seconds: float


def run_once(
    settings: Settings,
    reporter: Reporter,
    *,
    may_create: bool = False,
    stated_bundle: Path | None = None,
) -> RunSummary:
    """Look through the source once and score what is new.

    Args:
        may_create: a missing SQLite database is created, and a database without a champion
            activates the stated bundle, else the demonstration.

    Raises:
        SetupFault: the set-up is unfit or another run holds the source; nothing was claimed.
        EcgbatchError: the ledger does not balance.
    """
    engine, notices = open_database(settings, create=may_create)
    try:
        people, made = pseudonymiser_of(settings, engine)
        champion, folder, chosen = bundle_for(settings, engine, stated_bundle, first_use=may_create)
        for line in (*chosen, *notices, *made):
            reporter.notice(line)
        with _begun(settings, engine, champion, reporter, "run-once") as one:
            desk = Desk(
                settings=settings,
                engine=engine,
                champion=champion,
                bundle_folder=folder,
                pseudonymiser=people,
                reporter=reporter,
                source_id=one.source_id,
                source_of=lambda _: one.source,
                run_id=one.run_id,
                worker=one.worker,
                kind="run-once",
                stop=threading.Event(),
                patience_s=settings.work.database_wait_s,
            )
            return _closed(replace(one, desk=desk))
    finally:
        engine.dispose()


def scan_once(settings: Settings, reporter: Reporter) -> RunSummary:
    """Look through the source once and give work to what is new; workers score it.

    Raises:
        SetupFault: the set-up is unfit, or another scan holds the source.
        EcgbatchError: the ledger does not balance.
    """
    engine, _ = open_database(settings)
    try:
        champion = champion_of(settings, engine)
        with _begun(settings, engine, champion, reporter, SCAN) as one:
            return _closed(one)
    finally:
        engine.dispose()


@contextmanager
def _begun(
    settings: Settings, engine: Engine, champion: BundleRow, reporter: Reporter, kind: str
) -> Iterator[Pass]:
    """A pass over the settings' source, with its lock held and its run opened."""
    source = source_of(settings)
    source_id = source_number(engine, settings, source)
    with closing(source), source_lock(engine, source_id) as held:
        worker = own_name()
        with transaction(engine) as connection:
            run_id = ledger.start_run(connection, kind, source_id, worker)
        yield Pass(settings, engine, champion, reporter, source, source_id, run_id, worker, held)


def source_of(settings: Settings) -> Source:
    """The settings' source; what this program itself writes is no part of it."""
    database = sqlite_path(settings.database_url())
    own: tuple[Path, ...] = ()
    if database is not None:
        database = database.resolve()
        own = (database, database.with_suffix(".key"), identifiers.file_beside(database))
    return open_source(settings, own)


def source_number(engine: Engine, settings: Settings, source: Source) -> int:
    """The key of the source in the database, which gets to know it if it is new."""
    with transaction(engine) as connection:
        return ledger.ensure_source(
            connection,
            name=settings.source.name or source.place,
            kind=source.kind,
            root=source.place,
            authority=settings.site.authority,
            time_zone=settings.site.time_zone or None,
        )


def _closed(one: Pass) -> RunSummary:
    """Work the run through and close its row, whatever happens in between."""
    log = telemetry.logger().bind(run_id=one.run_id)
    log.info("run_started", source_id=one.source_id, bundle=one.champion.digest[:12])
    finished: Mapping[Disposition, int] = {} if one.desk is None else one.desk.finished
    started, exit_code = time.monotonic(), ExitCode.INTERNAL
    try:
        look_and_work(one)
        with transaction(one.engine) as connection:
            counts = ledger.balance(connection)
            checks.cheap(connection, one.run_id)
            reasons = overview.reasons(connection)
            attention = queries.attention(connection)
        exit_code = ExitCode.ATTENTION if attention else ExitCode.DONE
    except KeyboardInterrupt:
        exit_code = ExitCode.INTERRUPTED
        raise
    except (SetupFault, TransientFault) as fault:
        exit_code = ExitCode.UNFIT
        log.warning("run_unfit", reason=fault.reason)
        raise
    finally:
        seconds = round(time.monotonic() - started, 3)
        counted = {str(name): number for name, number in finished.items()}
        with transaction(one.engine) as connection:
            ledger.end_run(connection, one.run_id, exit_code, counted)
        log.info("run_ended", exit_code=exit_code, counts=counted, seconds=seconds)
    return RunSummary(
        one.run_id, exit_code, one.champion, finished, counts, reasons, attention, seconds
    )
