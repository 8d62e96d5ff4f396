"""A statement on SQLite: an authorizer lets nothing through but reading."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from ecgbatch.store.answer import Answer, Column, Question, kind_of_name
from ecgbatch.store.statement import Statement

_READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_HARMFUL = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})
_STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock: under a millisecond."""
_LONGEST = 64 << 20
"""Bytes of a value: a statement cannot make the process hold more at a time."""


@contextmanager
def question(connection: Connection, statement: Statement, until_s: float) -> Iterator[Question]:
    """See `reading`; `until_s` is a moment of the monotonic clock."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError
    driver.execute("BEGIN")
    driver.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    driver.set_progress_handler(lambda: time.monotonic() > until_s, _STEPS)
    driver.set_authorizer(_authorize)
    try:
        yield _Question(driver, statement)
    finally:
        driver.set_authorizer(None)
        driver.set_progress_handler(None, _STEPS)


@dataclass(frozen=True, slots=True)
class _Question:
    driver: sqlite3.Connection
    statement: Statement

    def ask(self) -> Answer:
        cursor = self.driver.execute(self.statement.text)
        columns = tuple(Column(name, None) for name, *_ in cursor.description or ())
        booleans = [i for i, one in enumerate(columns) if kind_of_name(one.name) == "boolean"]
        return Answer(columns, _rows(cursor, booleans))


def _rows(cursor: sqlite3.Cursor, booleans: list[int]) -> Iterator[tuple[object, ...]]:
    for found in cursor:
        if not booleans:
            yield found
            continue
        row = list(found)
        for i in booleans:
            if row[i] in (0, 1) and isinstance(row[i], int):
                row[i] = bool(row[i])
        yield tuple(row)


def _authorize(action: int, _: str | None, name: str | None, *__: str | None) -> int:
    is_allowed = action in _READS or (
        action == sqlite3.SQLITE_FUNCTION and (name or "").lower() not in _HARMFUL
    )
    return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY
