"""Connections to the database, and where its library's errors end."""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, create_engine, event, func, make_url, select
from sqlalchemy import Engine as Engine  # noqa: PLC0414 - for those who only hold one
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.pool import ConnectionPoolEntry

from ecgbatch.errors import EcgbatchError, SetupFault, TransientFault
from ecgbatch.terms import ReasonCode

_SQLITE_PRAGMAS = (
    # One rollback journal for every SQLite version: older ones corrupt a WAL under load.
    "PRAGMA journal_mode=DELETE",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)
_SQLITE_BUSY_S = 30.0
_SQLITE_FULL = 13
_SQLITE_SETUP = (3, 8, 11, 14, 23, 26)
"""SQLite result codes that no retry mends: perm, readonly, corrupt, cantopen, auth, notadb."""

_POSTGRES_OPTIONS: Mapping[str, str] = {
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
    "timezone": "UTC",
}
_POSTGRES_CONNECT: Mapping[str, int] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_POSTGRES_TRANSIENT = ("08", "25", "40", "53", "55", "57")
_POSTGRES_DISK_FULL = "53100"
_POSTGRES_BAD_VALUE = ("22", "23")


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


def open_engine(url: str) -> Engine:
    """An engine that was seen to connect; a missing SQLite file is never created.

    Raises:
        SetupFault: DATABASE_MISSING, DATABASE_UNAVAILABLE, SETTINGS_INVALID.
    """
    return _seen(_engine(normalise(url), _POSTGRES_OPTIONS, "BEGIN IMMEDIATE"))


def read_only(url: str) -> Engine:
    """The same for a session that cannot write."""
    options = {**_POSTGRES_OPTIONS, "default_transaction_read_only": "on"}
    return _seen(_engine(normalise(url), options, "BEGIN", ("PRAGMA query_only=ON",)))


def owner_engine(url: str) -> Engine:
    """The same for migrations, which may take longer than any statement of a worker."""
    options = {"lock_timeout": "30s", "timezone": "UTC"}
    return _seen(_engine(normalise(url), options, "BEGIN IMMEDIATE"))


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


def now(connection: Connection) -> datetime:
    """The database's clock (UTC); of an SQLite file that is this machine's."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment.astimezone(UTC)


def fault(error: SQLAlchemyError) -> EcgbatchError:
    """Our error for the library's; none of its text, which carries values."""
    if isinstance(error, IntegrityError) or not isinstance(error, DBAPIError):
        return EcgbatchError(ReasonCode.INTERNAL_FAULT, "database")
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_fault(getattr(error.orig, "sqlite_errorcode", 0) & 0xFF)
    lost = error.connection_invalidated or isinstance(error, OperationalError)
    return _postgres_fault(getattr(error.orig, "sqlstate", None) or "", lost)


def _sqlite_fault(code: int) -> EcgbatchError:
    if code == _SQLITE_FULL:
        return TransientFault(ReasonCode.DISK_FULL)
    kind = SetupFault if code in _SQLITE_SETUP else TransientFault
    return kind(ReasonCode.DATABASE_UNAVAILABLE)


def _postgres_fault(sqlstate: str, lost: bool) -> EcgbatchError:
    if sqlstate == _POSTGRES_DISK_FULL:
        return TransientFault(ReasonCode.DISK_FULL)
    if sqlstate[:2] in _POSTGRES_BAD_VALUE:
        return EcgbatchError(ReasonCode.INTERNAL_FAULT, "database")
    if sqlstate[:2] in _POSTGRES_TRANSIENT or (not sqlstate and lost):
        return TransientFault(ReasonCode.DATABASE_UNAVAILABLE)
    return SetupFault(ReasonCode.DATABASE_UNAVAILABLE)


def _is_postgres(url: URL) -> bool:
    return url.get_backend_name() == "postgresql"


def _engine(
    url: URL, options: Mapping[str, str], begin: str, pragmas: tuple[str, ...] = ()
) -> Engine:
    if _is_postgres(url):
        return _postgres_engine(url, options)
    return _sqlite_engine(url, begin, _SQLITE_PRAGMAS + pragmas)


def _postgres_engine(url: URL, options: Mapping[str, str]) -> Engine:
    if find_spec("psycopg") is None:
        raise SetupFault(ReasonCode.DATABASE_UNAVAILABLE, "install ecgbatch[postgres]")
    text = " ".join(f"-c {name}={value}" for name, value in options.items())
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        # A plan made while the tables were empty would be kept: never prepare.
        connect_args={**_POSTGRES_CONNECT, "options": text, "prepare_threshold": None},
    )


def _sqlite_engine(url: URL, begin: str, pragmas: tuple[str, ...]) -> Engine:
    path = Path(url.database or "").absolute()
    if not os.path.exists(path):  # noqa: PTH110 - says no where Path raises
        raise SetupFault(ReasonCode.DATABASE_MISSING)

    def connect() -> sqlite3.Connection:
        # mode=rw: a file that vanished meanwhile is an error, not a new database.
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=_SQLITE_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )

    engine = create_engine(url, hide_parameters=True, creator=connect)

    def prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        for pragma in pragmas:
            connection.execute(pragma)

    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", start)
    return engine


def _seen(engine: Engine) -> Engine:
    probe = "PRAGMA schema_version" if engine.dialect.name == "sqlite" else "SELECT 1"
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(probe)
    except SQLAlchemyError:
        engine.dispose()
        raise SetupFault(ReasonCode.DATABASE_UNAVAILABLE) from None
    return engine
