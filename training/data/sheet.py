"""The manifest's file as columns of cells; what they mean is no concern of this module."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO, StringIO
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.settings.data import DataSettings

Cell = object
"""Text of a CSV file; text, a number, a boolean, a date or a time of a Parquet file; or None."""

_BYTE_ORDER_MARK = "\ufeff"
_PARQUET = b"PAR1"
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Sheet:
    """Columns by name.

    Attributes:
        rows: number of each row as a spreadsheet shows it; the header is row 1.
        digest: SHA-256 of the file.
    """

    rows: tuple[int, ...]
    columns: dict[str, Sequence[Cell]] = field(repr=False)
    digest: str

    def __len__(self) -> int:
        return len(self.rows)


def read_sheet(path: Path, settings: DataSettings) -> Sheet:
    """Read a CSV or Parquet file, told apart by content. Rows without any content are left out.

    Raises:
        SetupFault: `manifest_invalid`: it cannot be read, is neither, is in another encoding than
            the settings say, has a row of another length than the header, or a column twice.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise _unfit("the file cannot be read") from None
    if content.startswith(_ZIP):
        raise _unfit("a workbook; save it as CSV (UTF-8) or Parquet")
    names, lines = _parquet(content) if content.startswith(_PARQUET) else _csv(content, settings)
    filled = [(row, line) for row, line in lines if any(not is_empty(cell) for cell in line)]
    if not filled:
        raise _unfit("no rows")
    columns = zip(*(line for _, line in filled), strict=True)
    return Sheet(
        rows=tuple(row for row, _ in filled),
        columns=dict(zip(names, columns, strict=True)),
        digest=sha256(content).hexdigest(),
    )


def sheet_digest(path: Path) -> str:
    """SHA-256 of the file, as `read_sheet` gives it.

    Raises:
        SetupFault: `manifest_invalid`, it cannot be read.
    """
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        raise _unfit("the file cannot be read") from None


def is_empty(cell: Cell) -> bool:
    """None, NaN, or nothing but blanks."""
    return cell is None or cell != cell or (isinstance(cell, str) and not cell.strip())  # noqa: PLR0124 - NaN


def _unfit(what: str) -> SetupFault:
    return SetupFault(ReasonCode.MANIFEST_INVALID, what)


_Lines = list[tuple[int, Sequence[Cell]]]


def _csv(content: bytes, settings: DataSettings) -> tuple[list[str], _Lines]:
    try:
        text = content.decode(settings.encoding).removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError:
        raise _unfit(f"the text is not {settings.encoding}; see data.encoding") from None
    read = csv.reader(StringIO(text, newline=""), delimiter=settings.delimiter, strict=True)
    lines: _Lines = []
    try:
        lines.extend(enumerate(read, start=1))
    except csv.Error:
        raise _unfit(f"row {len(lines) + 1} is no CSV") from None
    if not lines:
        raise _unfit("the file is empty")
    header = _unique([str(name).strip() for name in lines[0][1]])
    body = [(row, line) for row, line in lines[1:] if any(not is_empty(cell) for cell in line)]
    other = [row for row, line in body if len(line) != len(header)]
    if other:
        raise _unfit(f"row {other[0]} has another number of cells than the header")
    return header, body


def _parquet(content: bytes) -> tuple[list[str], _Lines]:
    try:
        table = parquet.read_table(BytesIO(content))
        columns = [column.to_pylist() for column in table.columns]
    except (pa.ArrowException, OSError, ValueError):
        raise _unfit("the Parquet file is damaged") from None
    names = _unique([str(name).strip() for name in table.column_names])
    return names, list(enumerate(zip(*columns, strict=True), start=2))


def _unique(names: list[str]) -> list[str]:
    """Refuse a name that stands there twice; columns without a name are told apart."""
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise _unfit("a column name stands there twice")
    return [name or f"\0{place}" for place, name in enumerate(names)]
