"""A run of a worker's own: opened, checked and closed, whatever happens in between."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ecgbatch import telemetry
from ecgbatch.errors import SetupFault
from ecgbatch.store import checks, ledger
from ecgbatch.store.engine import transaction
from ecgbatch.terms import ExitCode
from ecgbatch.working import Desk, patiently


@contextmanager
def own_run(desk: Desk, kind: str) -> Iterator[Desk]:
    """The desk with a run of its own, closed at the end; what it finished is added to the desk's.

    Args:
        kind: of the run.
    """

    def start() -> int:
        with transaction(desk.engine) as connection:
            return ledger.start_run(connection, kind, desk.source_id, desk.worker)

    def check() -> None:
        with transaction(desk.engine) as connection:
            checks.cheap(connection, run_id)

    run_id = patiently(desk, start)
    running = replace(desk, run_id=run_id, finished={})
    log = telemetry.logger().bind(run_id=run_id)
    log.info("run_started", bundle=desk.champion.digest[:12])
    exit_code = ExitCode.INTERNAL
    try:
        yield running
        patiently(desk, check)
        exit_code = ExitCode.DONE
    except KeyboardInterrupt:
        exit_code = ExitCode.INTERRUPTED
        raise
    except SetupFault as fault:
        exit_code = ExitCode.UNFIT
        log.warning("run_unfit", reason=fault.reason)
        raise
    finally:
        counted = {str(name): number for name, number in running.finished.items()}
        for name, number in running.finished.items():
            desk.finished[name] = desk.finished.get(name, 0) + number

        def end() -> None:
            with transaction(desk.engine) as connection:
                ledger.end_run(connection, run_id, exit_code, counted)

        # What failed may have failed for the database: then nobody waits for it here.
        patiently(desk, end) if exit_code is ExitCode.DONE else end()
        log.info("run_ended", exit_code=exit_code, counts=counted)
