"""`run_once`: prepare, take the source's lock, make one pass, close the run's row."""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ecgbatch import telemetry
from ecgbatch.admission import bundle_for
from ecgbatch.errors import SetupFault, TransientFault
from ecgbatch.onepass import Pass, Reporter, look_and_work
from ecgbatch.preparation import open_database, pseudonymiser_of
from ecgbatch.settings import Settings
from ecgbatch.sources.registry import open_source
from ecgbatch.sources.source import Source
from ecgbatch.store import ledger, overview, queries
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import Engine, sqlite_path, transaction
from ecgbatch.store.locks import source_lock
from ecgbatch.store.overview import ReasonCount
from ecgbatch.terms import Disposition, ExitCode


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
        pseudonymiser, made = pseudonymiser_of(settings, engine)
        champion, folder, chosen = bundle_for(settings, engine, stated_bundle, first_use=may_create)
        for line in (*chosen, *notices, *made):
            reporter.notice(line)
        source = _source(settings)
        source_id = _source_id(engine, settings, source)
        with closing(source), source_lock(engine, source_id) as held:
            worker = f"{socket.gethostname()}:{os.getpid()}"
            with transaction(engine) as connection:
                run_id = ledger.start_run(connection, "run-once", source_id, worker)
            return _closed(
                Pass(
                    settings,
                    engine,
                    champion,
                    folder,
                    pseudonymiser,
                    reporter,
                    source,
                    source_id,
                    run_id,
                    worker,
                    held,
                )
            )
    finally:
        engine.dispose()


def _source(settings: Settings) -> Source:
    database = sqlite_path(settings.database_url())
    own = () if database is None else (database.resolve(), database.resolve().with_suffix(".key"))
    return open_source(settings, own)


def _source_id(engine: Engine, settings: Settings, source: Source) -> int:
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
    started, exit_code = time.monotonic(), ExitCode.INTERNAL
    try:
        look_and_work(one)
        with transaction(one.engine) as connection:
            counts = ledger.balance(connection)
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
        counted = {str(name): number for name, number in one.finished.items()}
        with transaction(one.engine) as connection:
            ledger.end_run(connection, one.run_id, exit_code, counted)
        log.info("run_ended", exit_code=exit_code, counts=counted, seconds=seconds)
    return RunSummary(
        one.run_id, exit_code, one.champion, one.finished, counts, reasons, attention, seconds
    )
