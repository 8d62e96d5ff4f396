"""Connections to an SQLite file."""

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from ecgbatch.errors import SetupFault
from ecgbatch.store.placement import journal_mode, network_file_system
from ecgbatch.terms import ReasonCode

_PRAGMAS = ("PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON")
_BUSY_S = 30.0


def sqlite_engine(url: URL, *, writes: bool) -> Engine:
    """An engine whose transactions wait for each other from their first statement on.

    Args:
        writes: False for sessions that can neither write nor lock.

    Raises:
        SetupFault: DATABASE_MISSING; SQLITE_ON_NETWORK_FS, where locks do not hold.
    """
    path = Path(url.database or "").absolute()
    if not os.path.exists(path):  # noqa: PTH110 - says no where Path raises
        raise SetupFault(ReasonCode.DATABASE_MISSING)
    refuse_network(path)

    def connect() -> sqlite3.Connection:
        # mode=rw: a file that vanished meanwhile is an error, not a new database.
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )

    engine = create_engine(url, hide_parameters=True, creator=connect)
    journal = journal_mode(sqlite3.sqlite_version_info)

    def prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        if writes:
            _set_journal(connection, journal)
        for pragma in (*_PRAGMAS, *(() if writes else ("PRAGMA query_only=ON",))):
            connection.execute(pragma)

    def start(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", start)
    return engine


def refuse_network(path: Path) -> None:
    """Raise SetupFault where other hosts may have the file open too.

    Raises:
        SetupFault: SQLITE_ON_NETWORK_FS, with the type of the file system.
    """
    # The file may be a link itself: its journal lies beside what it points to.
    found = network_file_system(Path(os.path.realpath(path)).parent)
    if found is not None:
        raise SetupFault(ReasonCode.SQLITE_ON_NETWORK_FS, found)


def _set_journal(connection: sqlite3.Connection, wanted: str) -> None:
    """Change it where it differs. A write-ahead log can wait for a quiet moment; its end not."""
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == wanted:
        return
    try:
        connection.execute(f"PRAGMA journal_mode={wanted}").fetchone()
    except sqlite3.OperationalError:
        if wanted != "wal":
            raise
