"""What `sql` writes of an answer: CSV, JSON or Parquet, in bounded memory, whole or not at all."""

import errno
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import pyarrow as pa
from pyarrow import parquet

from ecgbatch.csv_safety import line, plain
from ecgbatch.errors import EcgbatchError, SetupFault, TransientFault
from ecgbatch.store.answer import Answer, Column, Kind, Question, kind_of_name
from ecgbatch.terms import ReasonCode

_BATCH = 10_000
"""Rows held at a time."""
_TYPES: dict[Kind, pa.DataType] = {
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "real": pa.float64(),
    "text": pa.string(),
    "moment": pa.timestamp("us", tz="UTC"),
    "wall_clock": pa.timestamp("us"),
    "date": pa.date32(),
    "binary": pa.binary(),
}
_WRITTEN: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("moment", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")),
    ("wall_clock", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?")),
    ("date", re.compile(r"\d{4}-\d\d-\d\d")),
)
"""How SQLite keeps times."""


@dataclass(slots=True)
class Taken:
    """What was seen of an answer while it was written."""

    rows: int = 0
    is_cut: bool = False
    """There were more rows than the limit."""
    not_clinical: bool = False
    """A row says that its bundle is not clinical."""


def taken(answer: Answer, limit: int | None, seen: Taken) -> Iterator[tuple[object, ...]]:
    """The rows up to the limit; `seen` is filled on the way."""
    clinical = next((i for i, c in enumerate(answer.columns) if c.name == "is_clinical"), None)
    for row in islice(answer.rows, limit):
        seen.rows += 1
        if clinical is not None and row[clinical] is False:
            seen.not_clinical = True
        yield row
    seen.is_cut = limit is not None and next(answer.rows, None) is not None


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A path to write to; its content becomes `out` at the end, and after a fault nothing does.

    Raises:
        TransientFault: DISK_FULL.
        SetupFault: OUTPUT_UNWRITABLE.
    """
    try:
        with TemporaryDirectory(dir=out.parent, prefix=".sql-") as aside:
            path = Path(aside) / "answer"
            yield path
            with path.open("rb") as written:
                os.fsync(written.fileno())
            path.replace(out)
    except OSError as fault:
        raise unwritable(fault) from None


def unwritable(fault: OSError) -> EcgbatchError:
    """Our error for a file that cannot be written."""
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return TransientFault(ReasonCode.DISK_FULL, "the output")
    return SetupFault(ReasonCode.OUTPUT_UNWRITABLE, "the output")


def write_csv(columns: Iterable[Column], rows: Iterable[Iterable[object]], out: TextIO) -> None:
    """A header and one record per row; see `csv_safety.line`."""
    out.write(line(column.name for column in columns))
    out.writelines(line(row) for row in rows)


def write_json(
    columns: Iterable[Column],
    rows: Iterable[Iterable[object]],
    out: TextIO,
    rest: Callable[[], Mapping[str, object]],
) -> None:
    """One object: `columns`, `rows` (arrays), and what is known when the rows are through."""
    names = [column.name for column in columns]
    out.write(f'{{"columns": {json.dumps(names, ensure_ascii=False)}, "rows": [')
    for number, row in enumerate(rows):
        cells = [_json(value) for value in row]
        out.write(f"{', ' if number else ''}{json.dumps(cells, ensure_ascii=False)}")
    out.write(f"], {json.dumps(rest(), ensure_ascii=False)[1:]}\n")


def write_parquet(
    question: Question, limit: int | None, path: Path, seen: Taken
) -> tuple[Column, ...]:
    """One row group per batch; the types are the database's, on SQLite those of the values.

    SQLite states no types, so there the statement runs twice in one snapshot.

    Returns:
        The columns.
    """
    answer = question.ask()
    columns = answer.columns
    if any(column.kind is None for column in columns):
        kinds = kinds_of([c.name for c in columns], islice(answer.rows, limit))
        answer = question.ask()
    else:
        kinds = tuple(column.kind or "text" for column in columns)
    names = _unique(column.name for column in columns)
    schema = pa.schema([(n, _TYPES[kind]) for n, kind in zip(names, kinds, strict=True)])
    rows = taken(answer, limit, seen)
    with parquet.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, _BATCH)):
            arrays = [
                pa.array([_typed(row[i], kind) for row in batch], _TYPES[kind])
                for i, kind in enumerate(kinds)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    return columns


def kinds_of(names: Sequence[str], rows: Iterable[tuple[object, ...]]) -> tuple[Kind, ...]:
    """What every column holds: the narrowest kind for all of its values, text where they differ.

    A column without any value holds what our own column of that name does.
    """
    found: list[set[Kind]] = [set() for _ in names]
    for row in rows:
        for kinds, value in zip(found, row, strict=True):
            if value is not None:
                kinds.add(_kind(value))
    return tuple(
        _common(kinds) if kinds else kind_of_name(name)
        for kinds, name in zip(found, names, strict=True)
    )


def _kind(value: object) -> Kind:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "real"
        case bytes():
            return "binary"
        case str():
            return next((kind for kind, form in _WRITTEN if form.fullmatch(value)), "text")
    return "text"


def _common(kinds: set[Kind]) -> Kind:
    if kinds == {"integer", "real"}:
        return "real"
    return kinds.pop() if len(kinds) == 1 else "text"


def _typed(value: object, kind: Kind) -> object:
    """As pyarrow takes it for a column of this kind."""
    if value is None:
        return None
    match kind:
        case "moment" | "wall_clock" if isinstance(value, str):
            return datetime.fromisoformat(value)
        case "date" if isinstance(value, str):
            return date.fromisoformat(value)
        case "real":
            return float(str(value))
        case "text":
            return str(plain(value))
    return value


def _json(value: object) -> str | int | float | bool | None:
    """JSON has no NaN and no infinity."""
    shown = plain(value)
    return str(shown) if isinstance(shown, float) and not math.isfinite(shown) else shown


def _unique(names: Iterable[str]) -> list[str]:
    """Two columns of one name are two columns: the second is called `name_2`."""
    given: list[str] = []
    for name in names:
        free, number = name, 2
        while free in given:
            free, number = f"{name}_{number}", number + 1
        given.append(free)
    return given
