"""One cell of the manifest into one value; nothing is guessed, nothing of a cell is repeated."""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import NamedTuple, TypeVar

from ecgbatch.errors import SetupFault
from ecgbatch.readers.scaling import plain_number
from ecgbatch.terms import ReasonCode
from training.data.sheet import Cell, is_empty

MOST_NAMED = 10
"""Cells at fault that a message names; all are counted."""

_Value = TypeVar("_Value")

_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?))?", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 1950, 2100
"""A year beyond them is a blanked date or a typing error."""
_OLDEST_YEARS = 130.0
_ROUNDED = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d+")
"""How a spreadsheet shows a long number that it has rounded."""
_ZEROS = re.compile(r"0{2,}")
_SEXES = {
    **dict.fromkeys(("female", "f", "woman", "女", "女性"), "female"),
    **dict.fromkeys(("male", "m", "man", "男", "男性"), "male"),
}
_TRUTHS = {
    **dict.fromkeys(("true", "yes", "y", "1", "是"), True),
    **dict.fromkeys(("false", "no", "n", "0", "否"), False),
}


class Moment(NamedTuple):
    """A time, or a day where the manifest has no more; midnight to the second counts as a day."""

    at: datetime
    is_day: bool


@dataclass(slots=True)
class CellFaults:
    """What is wrong with which cell, gathered so that a site can mend all of it at once."""

    found: list[str] = field(default_factory=list)
    n_found: int = 0

    def add(self, row: int, column: str, what: str) -> None:
        self.n_found += 1
        if len(self.found) < MOST_NAMED:
            self.found.append(f"row {row}, {column}: {what}")

    def refuse(self) -> None:
        """Raises: SetupFault, `manifest_invalid`, if there is any."""
        if not self.n_found:
            return
        more = self.n_found - len(self.found)
        tail = f"; and {more} more" if more else ""
        raise SetupFault(ReasonCode.MANIFEST_INVALID, "; ".join(self.found) + tail)


def read_column(
    cells: Sequence[Cell],
    rows: Sequence[int],
    column: str,
    parse: Callable[[Cell], _Value],
    faults: CellFaults,
    *,
    missing: Collection[str] = (),
) -> list[_Value | None]:
    """Parse each cell; None where it is empty, one of the `missing` words, or at fault.

    Args:
        parse: raises ValueError with what is wrong, in our words.
        missing: folded words.
    """
    values: list[_Value | None] = []
    for row, cell in zip(rows, cells, strict=True):
        value = None
        if not is_empty(cell) and not (isinstance(cell, str) and folded(cell) in missing):
            try:
                value = parse(cell)
            except ValueError as wrong:
                faults.add(row, column, str(wrong))
        values.append(value)
    return values


def folded(text: str) -> str:
    """As words are compared: without case and surrounding blanks."""
    return text.strip().casefold()


def text_of(cell: Cell) -> str:
    """Text, or a whole number of a Parquet file as its digits."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, int) and not isinstance(cell, bool):
        return str(cell)
    raise ValueError("no text")


def word_of(cell: Cell) -> str:
    """As words are compared; of a Parquet file also booleans and whole numbers."""
    if isinstance(cell, bool):
        return str(cell).casefold()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return folded(text_of(cell))


def identifier_of(cell: Cell, is_placeholder: Callable[[str], bool]) -> str:
    """Who a patient is; two patients must never become one."""
    text = text_of(cell)
    if _ROUNDED.fullmatch(text):
        raise ValueError("a number that a spreadsheet has rounded")
    if text != "0" and (_ZEROS.fullmatch(text) or is_placeholder(text)):
        raise ValueError("a placeholder, which names nobody")
    return text


def word_in(words: Mapping[str, _Value], kind: str) -> Callable[[Cell], _Value]:
    """A parser for one of some folded words."""

    def parse(cell: Cell) -> _Value:
        value = words.get(word_of(cell))
        if value is None:
            raise ValueError(f"no {kind}")
        return value

    return parse


sex_of = word_in(_SEXES, "sex (female, male)")
truth_of = word_in(_TRUTHS, "true or false")


def number_of(cell: Cell) -> float:
    """A finite number, with a point and no comma."""
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        value: float | None = float(cell)
    else:
        value = plain_number(text_of(cell))
    if value is None or not math.isfinite(value):
        raise ValueError("no number")
    return value


def number_within(low: float, high: float) -> Callable[[Cell], float]:
    def parse(cell: Cell) -> float:
        value = number_of(cell)
        if not low <= value <= high:
            raise ValueError(f"not within {low:g} to {high:g}")
        return value

    return parse


age_of = number_within(0.0, _OLDEST_YEARS)
probability_of = number_within(0.0, 1.0)


def moment_reader(formats: Sequence[str]) -> Callable[[Cell], Moment]:
    """A parser for ISO 8601 days and times without zone, and for `strptime` formats beside."""

    def parse(cell: Cell) -> Moment:
        at = _stored_time(cell)
        if at is None:
            at = _written_time(text_of(cell), formats)
        if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
            raise ValueError(f"not within {_FIRST_YEAR} to {_LAST_YEAR}")
        at = at.replace(microsecond=0)
        return Moment(at, at.time() == time())

    return parse


def _stored_time(cell: Cell) -> datetime | None:
    """A Parquet file's own date or timestamp."""
    if isinstance(cell, datetime):
        if cell.tzinfo is not None:
            raise ValueError("a time with a zone; the wall clock is needed")
        # pandas has a datetime of its own, with nanoseconds.
        return datetime(cell.year, cell.month, cell.day) + timedelta(  # noqa: DTZ001 - wall clock
            hours=cell.hour, minutes=cell.minute, seconds=cell.second
        )
    if isinstance(cell, date):
        return datetime.combine(cell, time())
    return None


def _written_time(text: str, formats: Sequence[str]) -> datetime:
    found = set()
    if iso := _ISO.fullmatch(text):
        found.add(_strict("T".join(part for part in iso.groups() if part)))
    for pattern in formats:
        try:
            found.add(datetime.strptime(text, pattern))  # noqa: DTZ007 - wall clock
        except ValueError:
            continue
    found.discard(None)
    if len(found) > 1:
        raise ValueError("a date that data.date_formats reads in several ways")
    at = next(iter(found), None)
    if at is None or at.tzinfo is not None:
        raise ValueError("no date (ISO 8601 without zone, or a pattern of data.date_formats)")
    return at


def _strict(text: str) -> datetime | None:
    day, _, clock = text.partition("T")
    whole, _, _ = clock.partition(".")
    try:
        return datetime.fromisoformat(f"{day}T{whole}" if whole else day)
    except ValueError:
        return None
