"""One pass: look, admit what is stable, score it, write it. The only place that knows both ends."""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

from sqlalchemy import Engine

from ecgbatch import isolation, telemetry
from ecgbatch.admission import bundle_for, load_scorer
from ecgbatch.errors import EcgbatchError, InputFault, LeaseLost, SetupFault, TransientFault
from ecgbatch.identity import Pseudonymiser
from ecgbatch.pipeline import Instruments, assess
from ecgbatch.preparation import open_database, pseudonymiser_of
from ecgbatch.provenance import code_version, library_versions, pipeline_id
from ecgbatch.records import Outcome, Provenance, Quarantined, RetryLater, WorkUnit
from ecgbatch.settings import Settings
from ecgbatch.sources.folder import FolderSource
from ecgbatch.store import ledger, overview, queries
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import sqlite_path, transaction
from ecgbatch.store.locks import source_lock
from ecgbatch.store.overview import ReasonCount
from ecgbatch.terms import Disposition, ExitCode, ReasonCode

_NOTE_BATCH = 500


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


@dataclass(frozen=True, slots=True)
class Reporter:
    """How a run speaks while it works: a plain line, and progress as (done, expected)."""

    notice: Callable[[str], None]
    progress: Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class _Pass:
    """What stays the same during one run."""

    settings: Settings
    engine: Engine
    champion: BundleRow
    bundle_folder: Path
    pseudonymiser: Pseudonymiser
    reporter: Reporter
    source: FolderSource
    source_id: int
    run_id: int
    worker: str
    finished: dict[Disposition, int] = field(default_factory=dict)


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
        for line in (*notices, *made, *chosen):
            reporter.notice(line)
        source = _source(settings)
        source_id = _source_id(engine, settings, source)
        with source_lock(engine, source_id):
            worker = f"{socket.gethostname()}:{os.getpid()}"
            with transaction(engine) as connection:
                run_id = ledger.start_run(connection, "run-once", source_id, worker)
            return _closed(
                _Pass(
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
                )
            )
    finally:
        engine.dispose()


def _source(settings: Settings) -> FolderSource:
    if not settings.source.folder:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "source.folder is empty")
    database = sqlite_path(settings.database_url())
    own = () if database is None else (database.resolve(), database.resolve().with_suffix(".key"))
    return FolderSource(
        Path(settings.source.folder).resolve(), settings.limits.recording_bytes, own
    )


def _source_id(engine: Engine, settings: Settings, source: FolderSource) -> int:
    with transaction(engine) as connection:
        return ledger.ensure_source(
            connection,
            name=settings.source.name or str(source.root),
            kind="folder",
            root=str(source.root),
            authority=settings.site.authority,
            time_zone=settings.site.time_zone or None,
        )


def _closed(one: _Pass) -> RunSummary:
    """Work the run through and close its row, whatever happens in between."""
    log = telemetry.logger().bind(run_id=one.run_id)
    log.info("run_started", source_id=one.source_id, bundle=one.champion.digest[:12])
    started, exit_code = time.monotonic(), ExitCode.INTERNAL
    try:
        _look_and_work(one)
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


def _look_and_work(one: _Pass) -> None:
    settle_s = one.settings.stability.settle_s
    looked_at = _look(one)
    unstable = _admit(one)
    _work(one)
    if unstable and settle_s:
        one.reporter.notice(
            f"{unstable} new or changed: looking again in {settle_s:g} s (--settle)"
        )
        time.sleep(settle_s)
        looked_at = _look(one)
        _admit(one)
        _work(one)
    with transaction(one.engine) as connection:
        ledger.mark_missing(connection, one.source_id, looked_at, one.run_id)


def _look(one: _Pass) -> datetime:
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
            ledger.note(connection, one.source_id, batch, one.run_id)
    if present and not n_seen:
        raise SetupFault(ReasonCode.SOURCE_UNAVAILABLE, "suddenly empty")
    return looked_at


def _admit(one: _Pass) -> int:
    """Give work to what is stable; how many are not yet."""
    stability = one.settings.stability
    with transaction(one.engine) as connection:
        ledger.admit(
            connection,
            one.source_id,
            one.champion.digest,
            stability.settle_s,
            stability.grace_s,
        )
        return ledger.unstable(connection, one.source_id)


def _work(one: _Pass) -> None:
    """Score everything that is due. Weights are loaded, and proven, only if there is something."""
    with transaction(one.engine) as connection:
        as_of = ledger.now(connection)
        expected = overview.due(connection, one.source_id, one.champion.digest, as_of)
    if not expected:
        return
    instruments, provenance = _instruments(one)
    one.reporter.progress(0, expected)
    n_done = 0
    while units := _claimed(one, provenance, as_of):
        for place, unit in enumerate(units):
            try:
                _finish(one, unit, _outcome(one, unit, instruments), provenance)
            except BaseException:
                _give_back(one, units[place:])
                raise
            n_done += 1
            one.reporter.progress(n_done, max(expected, n_done))


def _claimed(one: _Pass, provenance: Provenance, as_of: datetime) -> list[WorkUnit]:
    with transaction(one.engine) as connection:
        return ledger.claim(
            connection,
            one.source_id,
            one.champion.digest,
            pipeline_id=provenance.pipeline_id,
            worker=one.worker,
            limit=one.settings.work.claim,
            lease_s=one.settings.work.lease_s,
            as_of=as_of,
            run_id=one.run_id,
        )


def _give_back(one: _Pass, units: list[WorkUnit]) -> None:
    """Stopped or failed in the middle: nothing may wait for its lease to run out."""
    with suppress(EcgbatchError), transaction(one.engine) as connection:
        ledger.release(connection, units, one.run_id)


def _outcome(one: _Pass, unit: WorkUnit, instruments: Instruments) -> Outcome:
    try:
        source = one.source.read(unit.locator, unit.fingerprint)
    except TransientFault as fault:
        return RetryLater(fault.reason, "read")
    except InputFault as fault:
        return Quarantined(None, fault.reason, "read")
    return assess(source, instruments)


def _finish(one: _Pass, unit: WorkUnit, outcome: Outcome, provenance: Provenance) -> None:
    log = telemetry.logger().bind(run_id=one.run_id, item_id=unit.item_id, work_id=unit.work_id)
    try:
        with transaction(one.engine) as connection:
            ended = ledger.finish(
                connection, unit, outcome, provenance, one.settings.stability.grace_s
            )
    except LeaseLost:
        log.warning("lease_lost")
        return
    one.finished[ended.disposition] = one.finished.get(ended.disposition, 0) + 1
    if ended.disposition is not Disposition.SCORED:
        log.info("not_scored", disposition=ended.disposition, reason=ended.reason)


def _instruments(one: _Pass) -> tuple[Instruments, Provenance]:
    """Everything an assessment depends on, and what every row will say of it."""
    settings = one.settings
    scorer = load_scorer(settings, one.champion, one.bundle_folder)
    manifest = scorer.bundle.manifest
    instruments = Instruments(
        decode=isolation.decode,
        score=lambda prepared: scorer.score([prepared])[0],
        manifest=manifest,
        numerics=settings.scoring.precision,
        quality=settings.quality,
        eligibility=settings.eligibility,
        pseudonymiser=one.pseudonymiser,
        time_zone=settings.site.time_zone,
    )
    return instruments, Provenance(
        pipeline_id=pipeline_id(
            manifest.preprocessing.digest, settings.gate_digest, settings.scoring.precision
        ),
        preprocessing_digest=manifest.preprocessing.digest,
        settings_digest=settings.gate_digest,
        runtime=scorer.runtime,
        precision=settings.scoring.precision,
        code_version=code_version(),
        library_versions=library_versions(),
        worker=one.worker,
        run_id=one.run_id,
    )
