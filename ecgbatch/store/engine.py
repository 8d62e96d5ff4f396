"""Connections to the database: opened and seen to work, one transaction at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL, func, make_url, select
from sqlalchemy import Connection as Connection  # noqa: PLC0414 - for those who only pass one on
from sqlalchemy import Engine as Engine  # noqa: PLC0414 - for those who only hold one
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from ecgbatch.errors import SetupFault
from ecgbatch.store.engine_postgres import (
    GRACE_S,
    OWNER,
    READER,
    WORKER,
    is_over_network,
    postgres_engine,
)
from ecgbatch.store.engine_sqlite import sqlite_engine
from ecgbatch.store.faults import fault
from ecgbatch.store.options import DEFAULT, DatabaseOptions
from ecgbatch.terms import ReasonCode


def normalise(url: str) -> URL:
    """Parse a database URL; a plain `postgresql://` gets the driver this program uses.

    Raises:
        SetupFault: SETTINGS_INVALID for anything but SQLite in a file or PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "database URL") from None
    if parsed.drivername in {"postgres", "postgresql", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "database: sqlite or postgresql")
    if parsed.database in {None, "", ":memory:"} or parsed.query:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "database: an SQLite file")
    return parsed


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite URL; None for PostgreSQL."""
    parsed = normalise(url)
    return None if _is_postgres(parsed) else Path(parsed.database or "")


def open_engine(url: str, options: DatabaseOptions = DEFAULT) -> Engine:
    """An engine that was seen to connect; a missing SQLite file is never created.

    Raises:
        SetupFault: DATABASE_MISSING, DATABASE_UNAVAILABLE, SETTINGS_INVALID, SQLITE_ON_NETWORK_FS.
    """
    parsed = normalise(url)
    if _is_postgres(parsed):
        return _seen(postgres_engine(parsed, WORKER, options))
    return _seen(sqlite_engine(parsed, writes=True))


def read_only(url: str, options: DatabaseOptions = DEFAULT) -> Engine:
    """The same for a session that cannot write."""
    parsed = normalise(url)
    if _is_postgres(parsed):
        return _seen(postgres_engine(parsed, READER, options))
    return _seen(sqlite_engine(parsed, writes=False))


def owner_engine(url: str, options: DatabaseOptions = DEFAULT) -> Engine:
    """The same for migrations, which may take longer than any statement of a worker."""
    parsed = normalise(url)
    if _is_postgres(parsed):
        return _seen(postgres_engine(parsed, OWNER, options))
    return _seen(sqlite_engine(parsed, writes=True))


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction: committed at the end, rolled back on any error.

    Raises:
        TransientFault: the database or its disk failed; the work can be tried again.
        SetupFault: the database is not usable as it stands.
        EcgbatchError: INTERNAL_FAULT, a value that the tables refuse.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise fault(error) from None


WHOLE_TABLES_S = 600
"""How long a statement over all items may take; millions of them take tens of seconds."""


def take_time(connection: Connection, longest_s: int = 0) -> None:
    """Let this transaction read whole tables: a worker's statements end after seconds.

    Args:
        longest_s: how long a statement may take; 0 is for ever.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{longest_s}s'")
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        from ecgbatch.store.silence import lift  # noqa: PLC0415 - only with the driver installed

        lift(connection.connection.driver_connection, longest_s + GRACE_S if longest_s else None)


def now(connection: Connection) -> datetime:
    """The database's clock (UTC); of an SQLite file that is this machine's."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment.astimezone(UTC)


def _is_postgres(url: URL) -> bool:
    return url.get_backend_name() == "postgresql"


def _seen(engine: Engine) -> Engine:
    is_sqlite = engine.dialect.name == "sqlite"
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA schema_version" if is_sqlite else "SELECT 1")
    except SQLAlchemyError:
        engine.dispose()
        over_network = not is_sqlite and is_over_network(engine.url)
        detail = "over TCP; see database.tls" if over_network else ""
        raise SetupFault(ReasonCode.DATABASE_UNAVAILABLE, detail) from None
    return engine
