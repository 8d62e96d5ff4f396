"""What the XML readers of single vendors share: lists of numbers, stated ages, findings."""

import base64
import re
from binascii import a2b_base64
from collections.abc import Iterable

import numpy as np

from ecgbatch.errors import InputFault
from ecgbatch.readers.number_lists import whole_numbers
from ecgbatch.readers.scaling import StoredLead, plain_number, without_invalid
from ecgbatch.readers.xml import Document, Node
from ecgbatch.records import Counts, Finding
from ecgbatch.terms import ReasonCode

MAX_VALUES = 2_000_000
"""Of all lists in one file: twelve leads of five minutes at 500 Hz."""
INVALID_COUNT = -32768
"""How exporters of 16-bit counts mark a sample of a lead that is off."""

_MAX_CHARACTERS = 20
_NOT_IN_NUMBERS = re.compile(r"[^0-9.,+\-\s]|[^\x00-\x7f]")
_UNITS_PER_YEAR = {"y": 1.0, "m": 12.0, "w": 52.1775, "d": 365.2425}
_OLDEST_YEARS = 130.0


def ensure_bounded(texts: Iterable[str]) -> None:
    """Refuse lists of more numbers than any ECG has, before they are parsed.

    Raises:
        InputFault: `xml_limit`.
    """
    if sum(text.count(",") for text in texts) > MAX_VALUES:
        raise InputFault(ReasonCode.XML_LIMIT, "values")


def decimals(text: str, declared: int | None) -> tuple[Counts, int]:
    """Comma-separated decimal numbers as whole counts, and the decimal places of one count.

    Args:
        declared: how many numbers the file says that there are. Without it an empty entry is
            only legal at the end, because it might be a number that is lost.

    Raises:
        InputFault: `sample_data_damaged`, `size_mismatch`.
    """
    whole = whole_numbers(text, commas=True)
    if whole is not None and declared in {None, whole.size}:
        return whole, 0
    entries = [entry.strip() for entry in text.split(",")]
    numbers = [entry for entry in entries if entry]
    if _NOT_IN_NUMBERS.search(text) or max(map(len, numbers), default=0) > _MAX_CHARACTERS:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED)
    lost = entries if entries[-1] else entries[:-1]
    if not numbers or len(numbers) != (len(lost) if declared is None else declared):
        raise InputFault(ReasonCode.SIZE_MISMATCH)
    places = max(len(number.partition(".")[2]) for number in numbers) if "." in text else 0
    if places > 6:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED)
    return _counts(numbers, places), places


def _counts(numbers: list[str], places: int) -> Counts:
    try:
        if not places:
            return np.array([int(number.rstrip(".")) for number in numbers], dtype=np.int64)
        values = np.array([float(number) for number in numbers])
        return np.rint(values * 10.0**places).astype(np.int64)
    except (ValueError, OverflowError):
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED) from None


def base64_content(text: str) -> bytes:
    """The bytes that a text of an XML document writes in base64, with blanks between.

    Raises:
        InputFault: `sample_data_damaged`.
    """
    try:
        content = a2b_base64(text) if text.isascii() else b""
    except ValueError:
        content = b""
    # That function passes over whatever is no base64: then bytes are missing.
    if content and len(content) == _n_bytes(text):
        return content
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED) from None


def _n_bytes(text: str) -> int:
    """How many bytes there are if every character but blanks belongs to them; else -1."""
    codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    groups, rest = divmod(int(np.count_nonzero(codes > ord(" "))), 4)
    end = text[-3:].rstrip()
    padding = 2 if end.endswith("==") else int(end.endswith("="))
    return -1 if rest else 3 * groups - padding


def whole_number(text: str, name: str) -> int | None:
    """A count that the file declares; None where it declares none.

    Raises:
        InputFault: `header_invalid`.
    """
    if not text:
        return None
    value = plain_number(text)
    if value is None or not value.is_integer():
        raise InputFault(ReasonCode.HEADER_INVALID, name)
    return int(value)


def stored_lead(name: str, counts: Counts, mv_per_unit: float, places: int = 0) -> StoredLead:
    """A lead in mV, NaN where a count marks an invalid sample.

    Args:
        places: decimal places of one count, as `decimals` gives them.
    """
    mv_per_count = mv_per_unit / 10**places
    is_invalid = counts == INVALID_COUNT * 10**places
    return StoredLead(
        name, counts, mv_per_count, without_invalid(counts * mv_per_count, is_invalid)
    )


def stated_age(age: str, unit: str) -> float | None:
    """Years from an age and its unit (years, months, weeks, days or their first letters)."""
    stated = plain_number(age)
    per_year = _UNITS_PER_YEAR.get(unit.strip().casefold()[:1])
    # "0 years" is how a blank age is exported.
    if not stated or stated < 0 or per_year is None or stated / per_year > _OLDEST_YEARS:
        return None
    return stated / per_year


def reader_findings(document: Document) -> tuple[Finding, ...]:
    """Findings of a format without checksums."""
    repaired = Finding(check="encoding", reason=ReasonCode.ENCODING_REPAIRED)
    unprotected = Finding(check="checksum", reason=ReasonCode.CHECKSUM_ABSENT)
    return (*((repaired,) if document.is_repaired else ()), unprotected)


def first_below(node: Node, name: str) -> Node | None:
    """The first element of that name anywhere below `node`, in document order."""
    for child in node.nodes:
        found = child if child.name == name else first_below(child, name)
        if found is not None:
            return found
    return None
