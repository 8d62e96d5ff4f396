"""A statement on PostgreSQL: prepared, so one alone; in a transaction that only reads."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import pq
from sqlalchemy import Connection

from ecgbatch.errors import SetupFault
from ecgbatch.store.answer import Answer, Column, Kind, Question
from ecgbatch.store.engine import take_time
from ecgbatch.store.statement import Statement
from ecgbatch.terms import ReasonCode

_KINDS: dict[int, Kind] = {
    16: "boolean",
    17: "binary",
    20: "integer",
    21: "integer",
    23: "integer",
    26: "integer",
    700: "real",
    701: "real",
    1700: "real",  # numeric, as of avg()
    1082: "date",
    1114: "wall_clock",
    1184: "moment",
}
_HARMLESS = (
    *("random", "random_normal", "gen_random_uuid", "clock_timestamp", "timeofday", "pg_sleep"),
    *("pg_relation_size", "pg_table_size", "pg_indexes_size", "pg_total_relation_size"),
    *("pg_database_size", "pg_stat_get_numscans"),
)
"""Volatile by name alone."""
_VOLATILE = """
SELECT proname FROM pg_catalog.pg_proc
WHERE provolatile = 'v' AND proname = ANY(%s) AND proname <> ALL(%s) ORDER BY proname LIMIT 1
"""


@contextmanager
def question(connection: Connection, statement: Statement, until_s: float) -> Iterator[Question]:
    """See `reading`; `until_s` is a moment of the monotonic clock.

    A transaction that only reads still lets functions act elsewhere: read the server's files, end
    other sessions, hold locks. The catalogue calls those volatile, and none of them is called.
    """
    driver: Any = connection.connection.driver_connection
    driver.rollback()
    driver.read_only = True
    driver.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    acting = driver.execute(_VOLATILE, (list(statement.calls), list(_HARMLESS))).fetchone()
    if acting is not None:
        raise SetupFault(ReasonCode.STATEMENT_REFUSED, f"{acting[0]}() does more than read")
    take_time(connection, max(1, math.ceil(until_s - time.monotonic())))
    yield _Question(driver, statement)


@dataclass(frozen=True, slots=True)
class _Question:
    driver: "psycopg.Connection[tuple[object, ...]]"
    statement: Statement

    def ask(self) -> Answer:
        columns = self._described()
        # Streamed with the extended protocol, which takes one statement and no more.
        rows = self.driver.cursor().stream(self.statement.text.encode())
        return Answer(columns, _rows(rows, [c.kind == "real" for c in columns]))

    def _described(self) -> tuple[Column, ...]:
        server, encoding = self.driver.pgconn, self.driver.info.encoding
        prepared = server.prepare(b"", self.statement.text.encode(encoding))
        _check(prepared, encoding)
        told = server.describe_prepared(b"")
        _check(told, encoding)
        return tuple(
            Column((told.fname(i) or b"").decode(encoding), _KINDS.get(told.ftype(i), "text"))
            for i in range(told.nfields)
        )


def _check(result: pq.abc.PGresult, encoding: str) -> None:
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise psycopg.errors.error_from_result(result, encoding=encoding)


def _rows(rows: Iterator[tuple[object, ...]], reals: list[bool]) -> Iterator[tuple[object, ...]]:
    """A numeric is a float, and a whole one an integer, as SQLite has them."""
    for row in rows:
        yield tuple(
            _number(value) if is_real and isinstance(value, Decimal) else value
            for value, is_real in zip(row, reals, strict=True)
        )


def _number(value: Decimal) -> int | float:
    exponent = value.as_tuple().exponent
    return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)
