"""The scheduled sample of replays: whether what stands in the database still comes out here."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice

from ecgbatch import telemetry
from ecgbatch.errors import SetupFault, TransientFault
from ecgbatch.preparation import open_database
from ecgbatch.provenance import code_version
from ecgbatch.replay.replayer import Replayed, Replayer
from ecgbatch.service import timetable
from ecgbatch.settings import Settings
from ecgbatch.stopping import Stopping
from ecgbatch.store import firings, ledger, proofs
from ecgbatch.store.engine import Engine, transaction
from ecgbatch.store.replays import KeptResult, of_results, sample_of
from ecgbatch.store.runs import VERIFY
from ecgbatch.terms import ExitCode, ReplayOutcome
from ecgbatch.worker_name import own_name

_AGAIN = 100
"""So many results that differed are looked at once more, beside the random ones."""

_OTHER_GATES = "other_gates"
"""Counted so: whether these come out otherwise cannot be said under the gates of today."""


def schedule_name(settings: Settings) -> str:
    """The schedule in the database, the same for all services that share it."""
    return (
        f"verify {settings.verification.sample}, {timetable.title(timetable.of_samples(settings))}"
    )


def take_sample(settings: Settings, due_at: datetime, service: str, stop: Stopping) -> bool:
    """Compute a random sample of the current results again, if no other service does.

    What differed the last time is looked at too, so that an alarm ends with its cause.

    Args:
        due_at: which of the due times of the timetable.
        service: who takes it; what the same service took before is taken again.
        stop: set when it is to end after the result in its hands.

    Returns:
        Whether the due time was free.

    Raises:
        SetupFault: nothing can be computed here.
        TransientFault: the database is away, or memory is too short.
    """
    engine, _ = open_database(settings)
    try:
        with transaction(engine) as connection:
            name = schedule_name(settings)
            is_free = firings.take(connection, name, due_at, service, repeats=True)
        if is_free:
            _run(settings, engine, stop)
        return is_free
    finally:
        engine.dispose()


def _run(settings: Settings, engine: Engine, stop: Stopping) -> None:
    with transaction(engine) as connection:
        run_id = ledger.start_run(connection, VERIFY, None, own_name())
    log = telemetry.logger().bind(run_id=run_id)
    log.info("sample_started")
    counts: Counter[str] = Counter()
    exit_code = ExitCode.INTERNAL
    try:
        with Replayer(settings, engine) as replayer:
            for replayed in replayer.replay(_drawn(settings, engine, seed=run_id)):
                _keep(engine, run_id, replayed)
                counts[_OTHER_GATES if replayed.is_of_settings else replayed.outcome] += 1
                if stop.is_set():
                    break
        differs = counts[ReplayOutcome.DIFFERS]
        exit_code = ExitCode.ATTENTION if differs else ExitCode.DONE
    except (SetupFault, TransientFault) as fault:
        exit_code = ExitCode.UNFIT
        log.warning("sample_unfit", reason=fault.reason)
        raise
    finally:
        with transaction(engine) as connection:
            ledger.end_run(connection, run_id, exit_code, counts)
        log.info("sample_ended", exit_code=exit_code, counts=dict(counts))


def _drawn(settings: Settings, engine: Engine, seed: int) -> Iterator[KeptResult]:
    """What differed the last time, then the random ones; the run's number is the seed."""
    with transaction(engine) as connection:
        again = list(islice(proofs.differing(connection), _AGAIN))
    drawn = sample_of(engine, settings.verification.sample, seed)
    return chain(of_results(engine, again), (one for one in drawn if one.result_id not in again))


def _keep(engine: Engine, run_id: int, replayed: Replayed) -> None:
    """Write it down, unless other gates say nothing of whether it still comes out."""
    if replayed.is_of_settings:
        return
    with transaction(engine) as connection:
        proofs.keep(
            connection,
            run_id,
            replayed.result_id,
            replayed.outcome,
            stage=replayed.stage,
            difference=replayed.difference,
            code_version=code_version(),
        )
    if replayed.outcome is ReplayOutcome.DIFFERS:
        telemetry.logger().warning("replay_differs", run_id=run_id, stage=replayed.stage)
