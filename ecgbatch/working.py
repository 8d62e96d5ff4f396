"""The work loop: claim, read, assess, finish. Leases are kept alive, outages waited out."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from ecgbatch import telemetry
from ecgbatch.bench import Bench
from ecgbatch.errors import EcgbatchError, InputFault, LeaseLost, SetupFault, TransientFault
from ecgbatch.heartbeat import Heartbeat
from ecgbatch.identity import Pseudonymiser
from ecgbatch.pipeline import Instruments, assess
from ecgbatch.records import (
    Finish,
    Outcome,
    Provenance,
    Quarantined,
    RecordingBytes,
    RetryLater,
    WorkUnit,
)
from ecgbatch.settings import Settings
from ecgbatch.stopping import Stopping
from ecgbatch.store import identifiers, ledger
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.claims import Lane
from ecgbatch.store.engine import Connection, Engine, transaction
from ecgbatch.terms import Disposition, ReasonCode
from ecgbatch.worker_name import is_dead

LANES: tuple[Lane, ...] = ("new", "rescore")
"""In this order: what was asked for again never delays what is new."""

_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 5.0
_AWAY = (ReasonCode.DATABASE_UNAVAILABLE, ReasonCode.DISK_FULL)
_Answer = TypeVar("_Answer")


class Reads(Protocol):
    """What the work loop needs of a source."""

    def read(self, locator: str, fingerprint: str) -> RecordingBytes: ...


@dataclass(frozen=True, slots=True)
class Reporter:
    """How a run speaks while it works: a plain line, and progress as (done, expected).

    Attributes:
        pause: waits so many seconds between two looks; KeyboardInterrupt ends the run there.
    """

    notice: Callable[[str], None]
    progress: Callable[[int, int], None]
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Desk:
    """What stays the same while one worker works.

    Attributes:
        champion: whose work is done here; in the challengers' lane that is a challenger.
        lanes: of the work, in this order.
        source_id: only of this source; None for all.
        source_of: opens a source by its number.
        kind: of the run.
        stop: set when the worker is to end after the ECG in its hands.
        patience_s: how long an outage of the database is waited out; None is for ever.
        finished: how the units of this run ended.
    """

    settings: Settings
    engine: Engine
    champion: BundleRow
    bundle_folder: Path
    pseudonymiser: Pseudonymiser
    reporter: Reporter
    source_id: int | None
    source_of: Callable[[int], Reads]
    run_id: int
    worker: str
    kind: str
    stop: Stopping
    patience_s: float | None
    lanes: tuple[Lane, ...] = LANES
    finished: dict[Disposition, int] = field(default_factory=dict)


def bury_the_dead(engine: Engine, source_id: int | None) -> None:
    """Take over at once from workers of this machine that are dead, not when their lease ends."""
    with transaction(engine) as connection:
        for worker in ledger.holders(connection, source_id):
            if is_dead(worker):
                ledger.bury(connection, worker)


def work_through(
    desk: Desk, bench: Bench, heart: Heartbeat, expected: int, as_of: datetime | None = None
) -> int:
    """Work until nothing more can be claimed, or the worker is told to stop.

    Args:
        expected: how many units there seem to be, for the progress.
        as_of: as of `claims.claim`; None: what was put back waits for the settings' `idle_s`.

    Returns:
        How many units were worked.
    """
    n_done = 0
    desk.reporter.progress(0, expected)

    def count() -> None:
        nonlocal n_done
        n_done += 1
        desk.reporter.progress(n_done, max(expected, n_done))

    while work_batch(desk, bench, heart, as_of, count):
        pass
    return n_done


def work_batch(
    desk: Desk,
    bench: Bench,
    heart: Heartbeat,
    as_of: datetime | None = None,
    count: Callable[[], None] = lambda: None,
) -> bool:
    """One claim and what it brought; False if it brought nothing, or the worker is to stop.

    Args:
        as_of: as of `work_through`.
        count: called after every unit.
    """
    provenance = replace(bench.provenance, run_id=desk.run_id)
    units = _claimed(desk, provenance, as_of)
    heart.hold(units)
    for place, unit in enumerate(units):
        if desk.stop.is_set():
            _give_back(desk, units[place:])
            return False
        try:
            _work_one(desk, unit, bench.instruments, provenance, heart)
        except BaseException as fault:
            _give_back(desk, units[place + _is_its_own(fault) :])
            raise
        count()
    return bool(units)


def prove(desk: Desk, bench: Bench) -> None:
    """Send the run's canary before its first ECG; its outcome stands in `run` alone.

    Raises:
        SetupFault: `canary_differs`; the detail is the stage.
    """
    canary = bench.send_canary(desk.run_id)

    def note() -> None:
        with transaction(desk.engine) as connection:
            ledger.note_canary(connection, desk.run_id, canary)

    patiently(desk, note)
    if canary.stage is not None:
        raise SetupFault(ReasonCode.CANARY_DIFFERS, canary.stage)


def patiently(desk: Desk, act: Callable[[], _Answer]) -> _Answer:
    """Do it again while the database is away: no ECG is to blame, and no worker ends for it.

    Raises:
        TransientFault: it stayed away for longer than the desk waits, or the worker is to stop.
    """
    wait_s, until = _FIRST_WAIT_S, _until(desk.patience_s)
    while True:
        try:
            return act()
        except TransientFault as fault:
            if fault.reason not in _AWAY or time.monotonic() >= until or desk.stop.is_set():
                raise
            telemetry.logger().warning("database_away", run_id=desk.run_id, reason=fault.reason)
            desk.stop.wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


def waited_until(connection: Connection, desk: Desk) -> datetime:
    """What was put back before this is due again: an incomplete file is not read in a circle."""
    return ledger.now(connection) - timedelta(seconds=desk.settings.work.idle_s)


def _until(patience_s: float | None) -> float:
    return float("inf") if patience_s is None else time.monotonic() + patience_s


def _claimed(desk: Desk, provenance: Provenance, as_of: datetime | None) -> list[WorkUnit]:
    is_again = False

    def claim() -> list[WorkUnit]:
        nonlocal is_again
        with transaction(desk.engine) as connection:
            if is_again:
                # The answer to an earlier claim may have been lost on its way.
                ledger.release_all(connection, desk.worker, desk.run_id)
            is_again = True
            due_at = as_of or waited_until(connection, desk)
            for lane in desk.lanes:
                units = ledger.claim(
                    connection,
                    desk.source_id,
                    desk.champion.digest,
                    pipeline_id=provenance.pipeline_id,
                    worker=desk.worker,
                    limit=desk.settings.work.claim,
                    lease_s=desk.settings.work.lease_s,
                    as_of=due_at,
                    run_id=desk.run_id,
                    lane=lane,
                    max_losses=desk.settings.work.max_losses,
                )
                if units:
                    return units
        return []

    if desk.stop.is_set():
        return []
    return patiently(desk, claim)


def _is_its_own(fault: BaseException) -> bool:
    """Whether the ECG at hand may be to blame for the end of its worker.

    Then it is not given back: its lease runs out, it is claimed alone, and after a few workers it
    is set aside. Given back it would be the first again, and nothing behind it ever scored.
    """
    innocent = (KeyboardInterrupt, SystemExit, SetupFault, TransientFault)
    return not isinstance(fault, innocent)


def _give_back(desk: Desk, units: list[WorkUnit]) -> None:
    """Stopped or failed in the middle: nothing may wait for its lease to run out."""
    with suppress(EcgbatchError), transaction(desk.engine) as connection:
        ledger.release(connection, units, desk.run_id)


def _work_one(
    desk: Desk,
    unit: WorkUnit,
    instruments: Instruments,
    provenance: Provenance,
    heart: Heartbeat,
) -> None:
    log = telemetry.logger().bind(run_id=desk.run_id, item_id=unit.item_id, work_id=unit.work_id)
    if not heart.begin(unit):
        log.warning("lease_lost")
        return
    try:
        outcome = _outcome(desk, unit, instruments)
        heart.end()
        ended = patiently(desk, lambda: _written(desk, unit, outcome, provenance))
    except LeaseLost:
        log.warning("lease_lost")
        return
    finally:
        heart.end()
        heart.drop(unit)
    desk.finished[ended.disposition] = desk.finished.get(ended.disposition, 0) + 1
    if ended.disposition is not Disposition.SCORED:
        log.info("not_scored", disposition=ended.disposition, reason=ended.reason)


def _outcome(desk: Desk, unit: WorkUnit, instruments: Instruments) -> Outcome:
    try:
        source = desk.source_of(unit.source_id).read(unit.locator, unit.fingerprint)
    except TransientFault as fault:
        return RetryLater(fault.reason, "read")
    except InputFault as fault:
        return Quarantined(None, fault.reason, "read")
    return assess(source, instruments)


def _written(desk: Desk, unit: WorkUnit, outcome: Outcome, provenance: Provenance) -> Finish:
    """One transaction; an ECG that gave another number before is set aside, the others go on."""
    stability = desk.settings.stability
    try:
        with transaction(desk.engine) as connection:
            ended = ledger.finish(
                connection,
                unit,
                outcome,
                provenance,
                stability.grace_s,
                unreadable_s=stability.unreadable_s,
            )
            identifiers.keep(connection, outcome)
            return ended
    except EcgbatchError as fault:
        if fault.reason is not ReasonCode.NONDETERMINISTIC:
            raise
    doubtful = Quarantined(None, ReasonCode.NONDETERMINISTIC, "finish")
    with transaction(desk.engine) as connection:
        return ledger.finish(connection, unit, doubtful, provenance, stability.grace_s)
