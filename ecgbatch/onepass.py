"""The steps of one pass over a source: look, admit, claim, assess, finish."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ecgbatch import telemetry
from ecgbatch.admission import load_scorer
from ecgbatch.archiving import put_away
from ecgbatch.errors import EcgbatchError, InputFault, LeaseLost, TransientFault
from ecgbatch.identity import Pseudonymiser
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.looking import Looker, conclude, look
from ecgbatch.pipeline import Instruments, assess
from ecgbatch.provenance import code_version, library_versions, pipeline_id
from ecgbatch.records import Finish, Outcome, Provenance, Quarantined, RetryLater, WorkUnit
from ecgbatch.settings import Settings
from ecgbatch.sources.source import Source
from ecgbatch.store import ledger, overview
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import Engine, transaction
from ecgbatch.store.locks import Held
from ecgbatch.terms import Disposition, ReasonCode


@dataclass(frozen=True, slots=True)
class Reporter:
    """How a run speaks while it works: a plain line, and progress as (done, expected)."""

    notice: Callable[[str], None]
    progress: Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Pass:
    """What stays the same during one run."""

    settings: Settings
    engine: Engine
    champion: BundleRow
    bundle_folder: Path
    pseudonymiser: Pseudonymiser
    reporter: Reporter
    source: Source
    source_id: int
    run_id: int
    worker: str
    held: Held
    finished: dict[Disposition, int] = field(default_factory=dict)

    @property
    def settle_s(self) -> float:
        """Seconds between the two looks that must agree; 0 where the source needs no second."""
        return self.settings.stability.settle_s if self.source.settles else 0.0


def look_and_work(one: Pass) -> None:
    settle_s = one.settle_s
    _bury(one)
    looker = Looker(one.engine, one.source, one.source_id, one.run_id, one.held)
    put_away(looker)
    last = look(looker)
    unstable = _admit(one)
    _work(one)
    if unstable and settle_s:
        one.reporter.notice(
            f"{unstable} new or changed: looking again in {settle_s:g} s (--settle)"
        )
        time.sleep(settle_s)
        last = look(looker)
        _admit(one)
        _work(one)
    conclude(looker, last)
    if left := put_away(looker):
        one.reporter.notice(f"{left} could not be archived; the next run tries again")


def _bury(one: Pass) -> None:
    """Take over at once from workers of this machine that are dead, not when their lease ends."""
    with transaction(one.engine) as connection:
        for worker in ledger.holders(connection, one.source_id):
            host, _, pid = worker.rpartition(":")
            is_here = host == socket.gethostname() and pid.isdigit()
            # A lease in this very name is of an earlier life: nothing was claimed yet.
            if worker == one.worker or (is_here and not _is_running(int(pid))):
                ledger.bury(connection, worker)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _admit(one: Pass) -> int:
    """Give work to what is stable; how many are not yet."""
    stability = one.settings.stability
    with transaction(one.engine) as connection:
        ledger.admit(
            connection,
            one.source_id,
            one.champion.digest,
            one.settle_s,
            stability.grace_s,
            held=one.held,
        )
        return ledger.unstable(connection, one.source_id)


def _work(one: Pass) -> None:
    """Score everything that is due. Weights are loaded, and proven, only if there is something."""
    with transaction(one.engine) as connection:
        as_of = ledger.now(connection)
        expected = overview.due(connection, one.source_id, one.champion.digest, as_of)
    if not expected:
        return
    with Decoder(one.settings.isolation) as decoder:
        instruments, provenance = _instruments(one, decoder)
        decoder.wait_until_ready()
        _work_through(one, instruments, provenance, expected, as_of)


def _work_through(
    one: Pass, instruments: Instruments, provenance: Provenance, expected: int, as_of: datetime
) -> None:
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


def _claimed(one: Pass, provenance: Provenance, as_of: datetime) -> list[WorkUnit]:
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
            max_losses=one.settings.work.max_losses,
        )


def _give_back(one: Pass, units: list[WorkUnit]) -> None:
    """Stopped or failed in the middle: nothing may wait for its lease to run out."""
    with suppress(EcgbatchError), transaction(one.engine) as connection:
        ledger.release(connection, units, one.run_id)


def _outcome(one: Pass, unit: WorkUnit, instruments: Instruments) -> Outcome:
    try:
        source = one.source.read(unit.locator, unit.fingerprint)
    except TransientFault as fault:
        return RetryLater(fault.reason, "read")
    except InputFault as fault:
        return Quarantined(None, fault.reason, "read")
    return assess(source, instruments)


def _finish(one: Pass, unit: WorkUnit, outcome: Outcome, provenance: Provenance) -> None:
    log = telemetry.logger().bind(run_id=one.run_id, item_id=unit.item_id, work_id=unit.work_id)
    try:
        ended = _written(one, unit, outcome, provenance)
    except LeaseLost:
        log.warning("lease_lost")
        return
    one.finished[ended.disposition] = one.finished.get(ended.disposition, 0) + 1
    if ended.disposition is not Disposition.SCORED:
        log.info("not_scored", disposition=ended.disposition, reason=ended.reason)


def _written(one: Pass, unit: WorkUnit, outcome: Outcome, provenance: Provenance) -> Finish:
    """One transaction; an ECG that gave another number before is set aside, the others go on."""
    stability = one.settings.stability
    try:
        with transaction(one.engine) as connection:
            return ledger.finish(
                connection,
                unit,
                outcome,
                provenance,
                stability.grace_s,
                unreadable_s=stability.unreadable_s,
            )
    except EcgbatchError as fault:
        if fault.reason is not ReasonCode.NONDETERMINISTIC:
            raise
    doubtful = Quarantined(None, ReasonCode.NONDETERMINISTIC, "finish")
    with transaction(one.engine) as connection:
        return ledger.finish(connection, unit, doubtful, provenance, stability.grace_s)


def _instruments(one: Pass, decoder: Decoder) -> tuple[Instruments, Provenance]:
    """Everything an assessment depends on, and what every row will say of it."""
    settings = one.settings
    scorer = load_scorer(settings, one.champion, one.bundle_folder)
    manifest = scorer.bundle.manifest
    instruments = Instruments(
        decode=decoder.decode,
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
