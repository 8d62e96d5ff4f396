"""The work loop: what the flow asks of the ledger. Leases are kept alive, outages waited out."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from ecgbatch import telemetry
from ecgbatch.bench import Bench
from ecgbatch.errors import EcgbatchError, SetupFault, TransientFault
from ecgbatch.flow import Bounds, Flow, Steps
from ecgbatch.heartbeat import Heartbeat
from ecgbatch.identity import Pseudonymiser
from ecgbatch.pace import Pace, Reading
from ecgbatch.records import Finish, Provenance, RecordingBytes, WorkUnit
from ecgbatch.settings import Settings
from ecgbatch.stopping import Stopping
from ecgbatch.store import control, identifiers, ledger
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.claims import Lane
from ecgbatch.store.engine import Connection, Engine, transaction
from ecgbatch.store.finish_many import Ended
from ecgbatch.terms import Disposition, ReasonCode
from ecgbatch.worker_name import is_dead

LANES: tuple[Lane, ...] = ("new", "rescore")
"""In this order: what was asked for again never delays what is new."""

_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 5.0
_TELL_S = 60.0
"""Between two lines of the log about how the work goes on."""
_AWAY = (ReasonCode.DATABASE_UNAVAILABLE, ReasonCode.DISK_FULL)
_Answer = TypeVar("_Answer")


class Reads(Protocol):
    """What the work loop needs of a source."""

    def read(self, locator: str, fingerprint: str) -> RecordingBytes: ...


@dataclass(frozen=True, slots=True)
class Reporter:
    """How a run speaks while it works: a plain line, and its pace after every unit.

    Attributes:
        pause: waits so many seconds between two looks; KeyboardInterrupt ends the run there.
    """

    notice: Callable[[str], None]
    progress: Callable[[Reading], None]
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
        stop: set when the worker is to end after what its net is computing.
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
    n_done, pace, told = 0, Pace(time.monotonic), time.monotonic()
    desk.reporter.progress(pace.note(0, expected))

    def count() -> None:
        nonlocal n_done, told
        n_done += 1
        reading = pace.note(n_done, max(expected, n_done))
        desk.reporter.progress(reading)
        if time.monotonic() - told >= _TELL_S:
            told = time.monotonic()
            _tell(desk, reading)

    _flow(desk, bench, heart, as_of, count).run()
    return n_done


def _tell(desk: Desk, reading: Reading) -> None:
    per_second, remaining_s = reading.per_second, reading.remaining_s
    telemetry.logger().info(
        "progress",
        run_id=desk.run_id,
        done=reading.done,
        expected=reading.expected,
        per_second=None if per_second is None else round(per_second, 1),
        remaining_s=None if remaining_s is None else round(remaining_s),
    )


def work_batch(desk: Desk, bench: Bench, heart: Heartbeat, as_of: datetime | None = None) -> bool:
    """One claim and what it brought; False if it brought nothing, or the worker is to stop.

    Args:
        as_of: as of `work_through`.
    """
    return _flow(desk, bench, heart, as_of, lambda: None).run(max_claims=1)


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


def _flow(
    desk: Desk,
    bench: Bench,
    heart: Heartbeat,
    as_of: datetime | None,
    count: Callable[[], None],
) -> Flow:
    """The flow of this desk's work; `count` is called after every unit."""
    provenance = replace(bench.provenance, run_id=desk.run_id)
    halted, doubt = threading.Event(), threading.Event()

    def write(ended: Sequence[Ended]) -> Sequence[Finish | None]:
        return patiently(desk, lambda: _written(desk, ended, provenance, halted))

    def finished(unit: WorkUnit, finish: Finish) -> None:
        desk.finished[finish.disposition] = desk.finished.get(finish.disposition, 0) + 1
        if finish.disposition is not Disposition.SCORED:
            log = telemetry.logger().bind(
                run_id=desk.run_id, item_id=unit.item_id, work_id=unit.work_id
            )
            log.info("not_scored", disposition=finish.disposition, reason=finish.reason)
        count()

    steps = Steps(
        claim=lambda is_holding: _claimed(desk, provenance, as_of, is_holding, doubt),
        read=lambda unit: desk.source_of(unit.source_id).read(unit.locator, unit.fingerprint),
        write=write,
        give_back=lambda units: _give_back(desk, units),
        is_stopping=lambda: desk.stop.is_set() or halted.is_set(),
        finished=finished,
    )
    work = desk.settings.work
    return Flow(bench, heart, steps, Bounds(work.claim, work.write, work.expire_s))


def _claimed(
    desk: Desk,
    provenance: Provenance,
    as_of: datetime | None,
    is_holding: bool,
    doubt: threading.Event,
) -> list[WorkUnit]:
    """Lease more.

    Args:
        doubt: set while the answer to a claim may have been lost on its way.
    """

    def claim() -> list[WorkUnit]:
        if doubt.is_set() and is_holding:
            return []
        with transaction(desk.engine) as connection:
            if doubt.is_set():
                ledger.release_all(connection, desk.worker, desk.run_id)
            doubt.set()
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
                    is_holding=is_holding,
                )
                if units:
                    return units
        return []

    units = patiently(desk, claim)
    if not is_holding or units:
        doubt.clear()
    return units


def _give_back(desk: Desk, units: Sequence[WorkUnit]) -> None:
    """Stopped or failed in the middle: nothing may wait for its lease to run out."""
    with suppress(EcgbatchError), transaction(desk.engine) as connection:
        ledger.release(connection, units, desk.run_id)


def _written(
    desk: Desk, ended: Sequence[Ended], provenance: Provenance, halted: threading.Event
) -> list[Finish | None]:
    """One transaction for all of them; and a look whether the ledger was halted meanwhile."""
    stability = desk.settings.stability
    with transaction(desk.engine) as connection:
        finishes = ledger.finish_many(
            connection,
            ended,
            provenance,
            stability.grace_s,
            unreadable_s=stability.unreadable_s,
        )
        identifiers.keep_many(connection, [one.outcome for one in ended])
        if control.is_halted(connection):
            halted.set()
    return finishes
