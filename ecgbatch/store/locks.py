"""One scan of a source at a time, across processes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, text, update
from sqlalchemy.exc import SQLAlchemyError

from ecgbatch.errors import EcgbatchError, SetupFault
from ecgbatch.store.engine import transaction
from ecgbatch.store.faults import fault
from ecgbatch.store.tables import source
from ecgbatch.terms import ReasonCode

_ADVISORY_SPACE = 0x6563
"""First half of the advisory lock's number, so that other programs' locks are not met."""


@dataclass(frozen=True, slots=True)
class Held:
    """The lock on a source. Its number is the fence of every write of the scan.

    A lock can be lost without a sign (a terminated connection, a lock file on a share). The
    number cannot: whoever takes the lock next counts it up, and older scans write nothing more.
    """

    source_id: int
    token: int


@contextmanager
def source_lock(engine: Engine, source_id: int) -> Iterator[Held]:
    """Hold the source while the block runs; the lock ends with the process at the latest.

    PostgreSQL: an advisory lock on a connection of its own. SQLite: a locked file beside the
    database, which stays there empty.

    Raises:
        SetupFault: RUN_LOCKED, somebody else holds it.
    """
    if engine.dialect.name == "sqlite":
        lock = _file_lock(Path(f"{engine.url.database}.{source_id}.lock"))
    else:
        lock = _advisory_lock(engine, source_id)
    with lock:
        yield Held(source_id, _next_token(engine, source_id))


def fence(connection: Connection, held: Held | None) -> None:
    """Let the transaction go on only while no other scan of the source has begun.

    The row stays locked until the transaction ends, so that none begins before that either.

    Args:
        held: None where nobody else can scan.

    Raises:
        SetupFault: LOCK_LOST; roll back.
    """
    if held is None:
        return
    ours = (source.c.source_id == held.source_id, source.c.scan_token == held.token)
    fenced = connection.execute(update(source).where(*ours).values(scan_token=held.token))
    if fenced.rowcount != 1:
        raise SetupFault(ReasonCode.LOCK_LOST)


def _next_token(engine: Engine, source_id: int) -> int:
    counted = (
        update(source)
        .where(source.c.source_id == source_id)
        .values(scan_token=source.c.scan_token + 1)
        .returning(source.c.scan_token)
    )
    with transaction(engine) as connection:
        token: int | None = connection.execute(counted).scalar()
    if token is None:
        raise EcgbatchError(ReasonCode.INTERNAL_FAULT, "no such source")
    return token


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
        with suppress(SQLAlchemyError):
            connection.execute(text("SELECT pg_advisory_unlock_all()"))
        # Closed for good, not put back into the pool: at the latest the lock ends with it.
        connection.invalidate()
        connection.close()
