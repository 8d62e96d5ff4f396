"""An export kept as a run, so that `status` tells how the newest one ended."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ecgbatch.errors import EcgbatchError, exit_code_of
from ecgbatch.preparation import open_database
from ecgbatch.settings import Settings
from ecgbatch.store import exports
from ecgbatch.store.engine import Engine, transaction
from ecgbatch.terms import ExitCode, ReasonCode
from ecgbatch.worker_name import own_name


@contextmanager
def kept(settings: Settings) -> Iterator[int | None]:
    """Note that an export began, and how the block ended; gives the number of the run.

    Each is a short transaction of its own: the export itself only reads. Where the account or the
    database lets nothing be written (a standby, a full disk), the number is None or the run stays
    open, and the export goes on all the same.
    """
    begun = _begun(settings)
    if begun is None:
        yield None
        return
    engine, run_id = begun
    exit_code: int = ExitCode.INTERNAL
    reason: ReasonCode | None = ReasonCode.INTERNAL_FAULT
    try:
        yield run_id
        exit_code, reason = ExitCode.DONE, None
    except KeyboardInterrupt:
        exit_code, reason = ExitCode.INTERRUPTED, None
        raise
    except EcgbatchError as fault:
        exit_code, reason = exit_code_of(fault), fault.reason
        raise
    finally:
        with suppress(EcgbatchError), transaction(engine) as connection:
            exports.end(connection, run_id, exit_code, reason)
        engine.dispose()


def _begun(settings: Settings) -> tuple[Engine, int] | None:
    try:
        engine, _ = open_database(settings)
    except EcgbatchError:
        return None
    try:
        with transaction(engine) as connection:
            return engine, exports.start(connection, own_name())
    except EcgbatchError:
        engine.dispose()
        return None
