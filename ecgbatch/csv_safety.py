"""Lines of CSV that a spreadsheet shows as they are: no cell is run, no identifier is rewritten."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal

_MONTH = "(?i:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)"
_BLANK = r"[\s\"\x00-\x1f\x7f-\xa0\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*"
"""Also what is not seen: control, direction and zero-width characters."""
_FORMULA = re.compile(rf"(^|[;\t\r\n])(?={_BLANK}[=+\-@＝＋－＠])")
"""Also after what ends a cell in some locales: Excel splits at `;` in half of Europe."""
_CONTROL = re.compile(r"^(?=[\t\r\n])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_REWRITTEN = re.compile(
    r"[+-]?0\d+"  # 00123: the zeros would go
    r"|[+-]?\d{16,}"  # more digits than a double holds
    r"|[+-]?\d+[eE][+-]?\d+"  # 12E5: an accession, not 1,200,000
    r"|[+-]?\d*\.\d*0|[+-]?\d+\."  # 1.10: a version, not 1.1
    r"|(?!\d{4}-\d\d-\d\d$)\d{1,4}[-/]\d{1,2}([-/]\d{1,4})?"  # 3-4: a day in April
    r"|\d{1,2}:\d\d(:\d\d)?"  # 10:30: a time
    rf"|(\d{{1,4}}[-/ .]?)?{_MONTH}[-/ .]?\d{{1,4}}|\d{{1,4}}[-/ .]?{_MONTH}",  # MAR1: a day
    re.ASCII,
)


def protected(text: str) -> str:
    """The text with an apostrophe before everything that a spreadsheet would run or rewrite.

    That is a formula (`=`, `+`, `-`, `@`, their full-width forms, also behind blanks or a `;`), a
    tab or line break in front, and an identifier or version that reads as a
    number, date or time and would lose its zeros, digits or letters. A plain number such as -0.5
    and an ISO date stay as they are.
    """
    if _REWRITTEN.fullmatch(text.strip()):
        return f"'{text}"
    if _NUMBER.fullmatch(text):
        return text
    safe = _FORMULA.sub(r"\1'", text)
    return _CONTROL.sub("'", safe)


def line(values: Iterable[object]) -> str:
    """One record after RFC 4180, its CR LF included.

    Text is quoted, so an empty text (`""`) and a null (nothing) differ. Numbers have all their
    digits, booleans are `true` and `false`, moments ISO 8601, in UTC with a Z where they have a
    zone.
    """
    return ",".join(map(_cell, values)) + "\r\n"


def plain(value: object) -> str | int | float | bool | None:
    """A database value as JSON and CSV have it: moments as text, bytes in hexadecimal.

    A decimal becomes the text of its digits in CSV and JSON alike, so that none is lost.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return iso(value)
        case date():
            return value.isoformat()
        case bytes() | memoryview():
            return bytes(value).hex()
        case dict() | list() | tuple():
            return json.dumps(value, ensure_ascii=False, default=plain)
        case _:
            return str(value)


def iso(moment: datetime) -> str:
    """As the SQLite tables have it: microseconds and Z; a wall clock has no zone, so no Z."""
    if moment.tzinfo is None:
        return moment.isoformat()
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    text = protected(str(plain(value)))
    return '"' + text.replace('"', '""') + '"'
