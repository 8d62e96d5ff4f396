"""Who stands behind a pseudonym, where a site keeps that: apart from all other tables.

On PostgreSQL a schema with a role of its own, on SQLite a second file for its owner alone.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Column, Connection, MetaData, Table, Text, select
from sqlalchemy.dialects import postgresql

from ecgbatch.errors import SetupFault
from ecgbatch.records import Named, Outcome, Rejected, Scored
from ecgbatch.store.faults import sqlite_fault
from ecgbatch.terms import ReasonCode

patient_identifier = Table(
    "patient_identifier",
    MetaData(schema="identity"),
    Column("patient_key", Text, primary_key=True),
    Column("authority", Text, nullable=False),
    Column("identifier", Text, nullable=False),
)

_BUSY_S = 30.0
_CREATE = (
    "CREATE TABLE IF NOT EXISTS patient_identifier ("
    "patient_key TEXT NOT NULL PRIMARY KEY, authority TEXT NOT NULL, identifier TEXT NOT NULL)"
)


def file_beside(database: Path) -> Path:
    """The file of identifiers that belongs to an SQLite database: NAME.identity.db."""
    return database.with_suffix(".identity.db")


def keep(connection: Connection, outcome: Outcome) -> None:
    """`keep_many` of one outcome."""
    keep_many(connection, (outcome,))


def keep_many(connection: Connection, outcomes: Iterable[Outcome]) -> None:
    """Write down who the outcomes' patients are, where they say so; nothing of what is known.

    On PostgreSQL it is part of the caller's transaction. On SQLite it is committed before that, so
    that no recording is ever without it.

    Raises:
        SetupFault: SITE_KEY_PERMISSIONS, others can read the file.
        TransientFault: the file cannot be written now.
    """
    named: dict[str, Named] = {}
    for one in map(_named, outcomes):
        if one is not None:
            named.setdefault(one.patient_key, one)
    # Sorted, so that no two workers wait for each other.
    rows = [(key, named[key].authority, named[key].identifier) for key in sorted(named)]
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        # Without a target: that would need a right to read, which a worker has not.
        statement = postgresql.insert(patient_identifier).on_conflict_do_nothing()
        columns = patient_identifier.c.keys()
        connection.execute(statement, [dict(zip(columns, row, strict=True)) for row in rows])
        return
    with _opened(_file(connection)) as file:
        known = "SELECT 1 FROM patient_identifier WHERE patient_key = ?"
        new = [row for row in rows if file.execute(known, row[:1]).fetchone() is None]
        file.executemany("INSERT OR IGNORE INTO patient_identifier VALUES (?, ?, ?)", new)


def _named(outcome: Outcome) -> Named | None:
    return outcome.named if isinstance(outcome, Scored | Rejected) else None


def read(connection: Connection, keys: Iterable[str]) -> tuple[Named, ...]:
    """Who stands behind the keys, as far as that was kept. Audit every call.

    Raises:
        SetupFault: SITE_KEY_PERMISSIONS; DATABASE_UNAVAILABLE, the account may not read it.
    """
    wanted = tuple(keys)
    if connection.dialect.name == "postgresql":
        found = select(patient_identifier).where(patient_identifier.c.patient_key.in_(wanted))
        return tuple(Named(*row) for row in connection.execute(found))
    path = _file(connection)
    if not os.path.exists(path):  # noqa: PTH110 - never raises
        return ()
    marks = ", ".join("?" * len(wanted))
    asked = f"SELECT * FROM patient_identifier WHERE patient_key IN ({marks})"  # noqa: S608
    with _opened(path) as file:
        return tuple(Named(*row) for row in file.execute(asked, wanted).fetchall())


def _file(connection: Connection) -> Path:
    return file_beside(Path(connection.engine.url.database or "").absolute())


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file in one transaction; made for its owner alone, and refused if others can read it."""
    try:
        # Only made, never opened twice: closing it again would end the locks of this process.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        mode = path.stat().st_mode
    except OSError:
        raise SetupFault(ReasonCode.DATABASE_UNAVAILABLE, "the file of identifiers") from None
    if mode & 0o077:
        raise SetupFault(ReasonCode.SITE_KEY_PERMISSIONS, "the file of identifiers")
    where = f"file:{quote(str(path))}?mode=rw"
    try:
        with closing(sqlite3.connect(where, uri=True, timeout=_BUSY_S)) as file, file:
            file.execute("PRAGMA synchronous=FULL")
            file.execute(_CREATE)
            yield file
    except sqlite3.Error as error:
        raise sqlite_fault(error) from None
