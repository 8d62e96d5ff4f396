"""Sessions in a source database: they read, and nothing else."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    InternalError,
    NoSuchModuleError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.pool import ConnectionPoolEntry

from ecgbatch.errors import SetupFault
from ecgbatch.store.engine_postgres import postgres_engine
from ecgbatch.store.options import DatabaseOptions
from ecgbatch.terms import ReasonCode

_SESSION = {
    "default_transaction_read_only": "on",
    "statement_timeout": "600s",
    "lock_timeout": "5s",
    # A look writes to the ledger between two fetches.
    "idle_in_transaction_session_timeout": "600s",
    "timezone": "UTC",
}
_SQL_ERROR = 1
"""SQLite's code for a statement that cannot be prepared."""
_MAY_WRITE = text(
    "SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR EXISTS ("
    " SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'v', 'f')"
    " AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
    " AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))"
)


def source_engine(stated: str, tls: str, tls_root: str) -> Engine:
    """An engine for a URL; nothing is connected yet.

    Args:
        tls, tls_root: as `database.tls` of the settings, for PostgreSQL over a network.

    Raises:
        SetupFault: SETTINGS_INVALID.
    """
    try:
        return _engine(make_url(stated), tls, tls_root)
    except (ArgumentError, ValueError):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "source.url") from None
    except (NoSuchModuleError, ImportError):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "source.url: no such driver") from None


def place_of(url: URL) -> str:
    """Where the database is, without who logs in."""
    where = URL.create(url.get_backend_name(), None, None, url.host, url.port, url.database)
    return where.render_as_string()


@contextmanager
def session(engine: Engine) -> Iterator[Connection]:
    """A connection that is rolled back at its end.

    Raises:
        SetupFault: SOURCE_QUERY_INVALID, SOURCE_UNAVAILABLE.
    """
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise _fault(error) from None


def may_write(connection: Connection) -> bool:
    """Whether the role could change a table, were the session not read-only; on PostgreSQL."""
    if connection.dialect.name != "postgresql":
        return False
    return bool(connection.execute(_MAY_WRITE).scalar_one())


def _engine(url: URL, tls: str, tls_root: str) -> Engine:
    """Sessions that cannot write on SQLite and PostgreSQL; elsewhere the role alone decides."""
    if url.drivername in {"postgres", "postgresql", "postgresql+psycopg"}:
        options = DatabaseOptions('"$user",public', tls, tls_root)
        return postgres_engine(url.set(drivername="postgresql+psycopg"), _SESSION, options)
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    return create_engine(url, hide_parameters=True, pool_pre_ping=True)


def _sqlite_engine(url: URL) -> Engine:
    path = quote(str(Path(url.database or "").absolute()))

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)

    def prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.execute("PRAGMA query_only=ON")

    engine = create_engine(url, hide_parameters=True, creator=connect)
    event.listen(engine, "connect", prepare)
    return engine


def _fault(error: SQLAlchemyError) -> SetupFault:
    """Ours for the library's; none of its text, which carries values."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    is_sql = isinstance(error, ProgrammingError | DataError | InternalError)
    if is_sql or getattr(cause, "sqlite_errorcode", 0) == _SQL_ERROR:
        return SetupFault(ReasonCode.SOURCE_QUERY_INVALID)
    return SetupFault(ReasonCode.SOURCE_UNAVAILABLE)
