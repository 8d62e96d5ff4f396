"""The answer to a statement, as both databases give it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sqlalchemy import Boolean, Float, Integer
from sqlalchemy.types import TypeEngine

from ecgbatch.store.columns import UtcTime, WallClock
from ecgbatch.store.tables import metadata

Kind = Literal["boolean", "integer", "real", "text", "moment", "wall_clock", "date", "binary"]

_KINDS: tuple[tuple[type[TypeEngine[Any]], Kind], ...] = (
    (Boolean, "boolean"),
    (UtcTime, "moment"),
    (WallClock, "wall_clock"),
    (Float, "real"),
    (Integer, "integer"),
)
_OF_TABLES: dict[str, Kind] = {
    column.name: kind
    for table in metadata.tables.values()
    for column in table.columns
    for of_type, kind in _KINDS
    if isinstance(column.type, of_type)
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer; `kind` is None where the database does not state one (SQLite)."""

    name: str
    kind: Kind | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns, and rows that are fetched while they are taken, at most some at a time."""

    columns: tuple[Column, ...]
    rows: Iterator[tuple[object, ...]]


class Question(Protocol):
    """A statement in its session; asked twice, it sees the same data."""

    def ask(self) -> Answer:
        """Run it.

        Raises:
            the driver's own errors, which `reading` turns into ours.
        """


def kind_of_name(name: str) -> Kind:
    """What a column of this name holds in our tables and views; text for any other name."""
    if name.startswith(("is_", "near_cut_")):
        return "boolean"
    return "real" if name.startswith("risk_") else _OF_TABLES.get(name, "text")
