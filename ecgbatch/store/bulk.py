"""Many rows in one statement, by the quickest way that each database has for it.

Values are bound as SQLAlchemy would bind them; only its work per row and per value is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Connection, Dialect, Float, String, Table

from ecgbatch.store.columns import UtcTime

COPY_FROM = 8
"""Rows from which on PostgreSQL is sent them by COPY; fewer travel as arrays in one statement."""

_Row = Mapping[str, Any]
_Values = list[object]
_FEW_VALUES = (String, UtcTime)
"""Equal values of these are bound to equal ones, and there are few in many rows."""
_kept = lru_cache(maxsize=256)


def insert_rows(connection: Connection, table: Table, rows: Sequence[_Row]) -> None:
    """Insert rows, in order, that all name the same columns.

    Raises:
        SQLAlchemyError, TransientFault, SetupFault, EcgbatchError: as of any other statement.
    """
    if not rows:
        return
    names = tuple(rows[0])
    columns = _bound(connection.dialect, table, names, rows)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_sqlite_insert(table, names), list(zip(*columns, strict=True)))
    elif len(rows) >= COPY_FROM:
        # Only with the driver installed, which SQLite does without.
        from ecgbatch.store.copying import copy_rows  # noqa: PLC0415

        copy_rows(connection, table.name, names, zip(*columns, strict=True))
    else:
        statement = _postgres_insert(table, names, connection.dialect)
        connection.exec_driver_sql(statement, tuple(columns))


def update_rows(connection: Connection, table: Table, rows: Sequence[_Row]) -> None:
    """Change the rows of a table: the first column named is the key, the others are set."""
    if not rows:
        return
    names = tuple(rows[0])
    columns = _bound(connection.dialect, table, names, rows)
    if connection.dialect.name == "sqlite":
        # The key stands last in the statement.
        turned = list(zip(*columns[1:], columns[0], strict=True))
        connection.exec_driver_sql(_sqlite_update(table, names), turned)
    else:
        statement = _postgres_update(table, names, connection.dialect)
        connection.exec_driver_sql(statement, tuple(columns))


def next_keys(connection: Connection, table: Table, count: int) -> list[int]:
    """The keys that the next rows of a table would get by themselves, in order.

    On SQLite only while the transaction alone writes, as every one here does.
    """
    if count == 0:
        return []
    (key,) = table.primary_key.columns
    if connection.dialect.name == "sqlite":
        newest = f"SELECT COALESCE(MAX({key.name}), 0) FROM {table.name}"  # noqa: S608 - our names
        first = int(connection.exec_driver_sql(newest).scalar_one()) + 1
        return list(range(first, first + count))
    drawn = connection.exec_driver_sql(
        "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
        (table.name, key.name, count),
    )
    return list(drawn.scalars())


def _bound(
    dialect: Dialect, table: Table, names: Sequence[str], rows: Sequence[_Row]
) -> list[_Values]:
    """Column by column, as the driver takes them."""
    columns = zip(*map(itemgetter(*names), rows), strict=True)
    return [
        _as_bound(dialect, table.c[name], values)
        for name, values in zip(names, columns, strict=True)
    ]


def _as_bound(dialect: Dialect, column: Column[Any], values: tuple[object, ...]) -> _Values:
    bind = _binder(dialect, column)
    if bind is None:
        return list(values)
    if not isinstance(column.type, _FEW_VALUES):
        return [None if value is None else bind(value) for value in values]
    known = {value: bind(value) for value in set(values) - {None}}
    return [known.get(value) for value in values]


@_kept
def _binder(dialect: Dialect, column: Column[Any]) -> Callable[[object], object] | None:
    """What makes of a value the driver's own kind; subclasses it takes too, but slowly."""
    bind: Callable[[object], object] | None
    bind = column.type.dialect_impl(dialect).bind_processor(dialect)
    if bind is not None:
        return bind
    if isinstance(column.type, String):
        return str
    return _number if isinstance(column.type, Float) else None


def _number(value: Any) -> float:
    return float(value)


@_kept
def _sqlite_insert(table: Table, names: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608


@_kept
def _sqlite_update(table: Table, names: tuple[str, ...]) -> str:
    changes = ", ".join(f"{name} = ?" for name in names[1:])
    return f"UPDATE {table.name} SET {changes} WHERE {names[0]} = ?"  # noqa: S608


@_kept
def _postgres_insert(table: Table, names: tuple[str, ...], dialect: Dialect) -> str:
    listed = ", ".join(names)
    rows = _unnested(table, names, dialect)
    return f"INSERT INTO {table.name} ({listed}) SELECT {listed} FROM {rows}"  # noqa: S608


@_kept
def _postgres_update(table: Table, names: tuple[str, ...], dialect: Dialect) -> str:
    changes = ", ".join(f"{name} = stated.{name}" for name in names[1:])
    rows = _unnested(table, names, dialect)
    return (
        f"UPDATE {table.name} SET {changes} FROM {rows}"  # noqa: S608
        f" WHERE {table.name}.{names[0]} = stated.{names[0]}"
    )


def _unnested(table: Table, names: Sequence[str], dialect: Dialect) -> str:
    arrays = ", ".join(f"%s::{table.c[name].type.compile(dialect)}[]" for name in names)
    return f"unnest({arrays}) AS stated({', '.join(names)})"
