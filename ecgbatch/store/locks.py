"""One scan of a source at a time, across processes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from ecgbatch.errors import SetupFault
from ecgbatch.store.faults import fault
from ecgbatch.terms import ReasonCode

_ADVISORY_SPACE = 0x6563
"""First half of the advisory lock's number, so that other programs' locks are not met."""


@contextmanager
def source_lock(engine: Engine, source_id: int) -> Iterator[None]:
    """Hold the source while the block runs; the lock ends with the process at the latest.

    PostgreSQL: an advisory lock on a connection of its own. SQLite: a locked file beside the
    database, which stays there empty.

    Raises:
        SetupFault: RUN_LOCKED, somebody else holds it.
    """
    if engine.dialect.name == "sqlite":
        with _file_lock(Path(f"{engine.url.database}.{source_id}.lock")):
            yield
    else:
        with _advisory_lock(engine, source_id):
            yield


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        raise SetupFault(ReasonCode.DATABASE_UNAVAILABLE, "lock file") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupFault(ReasonCode.RUN_LOCKED) from None
        yield
    finally:
        os.close(handle)


@contextmanager
def _advisory_lock(engine: Engine, source_id: int) -> Iterator[None]:
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        numbers = {"space": _ADVISORY_SPACE, "source": source_id}
        ask = text("SELECT pg_try_advisory_lock(:space, CAST(:source AS integer))")
        held = bool(connection.execute(ask, numbers).scalar_one())
    except SQLAlchemyError as error:
        raise fault(error) from None
    try:
        if not held:
            raise SetupFault(ReasonCode.RUN_LOCKED)
        yield
    finally:
        # Closed for good, not put back into the pool: the lock ends with the connection.
        connection.invalidate()
        connection.close()
