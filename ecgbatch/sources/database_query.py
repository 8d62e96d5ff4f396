"""The query of a database source: one SELECT, and the moments that it reports. No database here."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode

Moment = datetime | date | int | str
"""A `changed_at` as the database gives it; text is ISO 8601, an integer grows with each change."""

_QUOTED = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`"
    r"|--[^\n]*|/\*.*?\*/|\$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?P=tag)?\$",
    re.DOTALL,
)
_PARAMETER = re.compile(r"(?<![:\w\\]):(?=\w)")
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?", re.DOTALL)
_TEXT_MARGIN = timedelta(seconds=61)
"""Text may be cut to minutes, and is compared as text."""
_FARTHEST_ZONE = timedelta(hours=14)


def one_select(stated: str) -> str:
    """The query, fit to stand in parentheses.

    Raises:
        SetupFault: SOURCE_QUERY_INVALID, not exactly one SELECT, or one with parameters.
    """
    query = stated.strip().removesuffix(";").rstrip()
    bare = _QUOTED.sub(" ", query)
    if not re.match(r"\s*(?:select|with)\b", bare, re.IGNORECASE):
        raise _invalid("not a SELECT")
    if any(mark in bare for mark in ("'", '"', "`", ";", "/*", "*/")) or not _is_balanced(bare):
        raise _invalid("not exactly one statement")
    if _PARAMETER.search(bare):
        raise _invalid("it has parameters")
    # What is left are colons in texts: escaped, so that nobody takes them for parameters.
    return _PARAMETER.sub(r"\\:", query)


def _is_balanced(bare: str) -> bool:
    depth = 0
    for letter in bare:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            return False
    return depth == 0


def _invalid(detail: str) -> SetupFault:
    return SetupFault(ReasonCode.SOURCE_QUERY_INVALID, detail)


@dataclass(frozen=True, slots=True)
class Watermark:
    """The greatest moment that a finished look saw, and of which query."""

    at: Moment
    query_digest: str

    def to_text(self) -> str:
        at = self.at if isinstance(self.at, int | str) else self.at.isoformat()
        values = {"query": self.query_digest, "kind": kind_of(self.at), "at": at}
        return json.dumps(values, separators=(",", ":"))

    def since(self, overlap_s: float) -> Moment:
        """Where the next look begins, so that what is committed late is found."""
        overlap = timedelta(seconds=overlap_s)
        match self.at:
            case datetime():
                return self.at - overlap
            case date():
                return self.at - overlap - timedelta(days=1)
            case int():
                return self.at - int(overlap_s)
        return _earlier(self.at, overlap + _TEXT_MARGIN)


def watermark_of(text: str | None, query_digest: str) -> Watermark | None:
    """What `to_text` wrote; None if there is none, or it is of another query."""
    if text is None:
        return None
    values = json.loads(text)
    if values["query"] != query_digest:
        return None
    at: Moment = values["at"]
    if isinstance(at, str) and values["kind"] == "date":
        at = date.fromisoformat(at)
    elif isinstance(at, str) and values["kind"] != "text":
        at = datetime.fromisoformat(at)
    return Watermark(at, query_digest)


def digest_of(query: str, place: str) -> str:
    return sha256(f"{place}\n{query}".encode()).hexdigest()[:16]


def moment_of(value: object) -> Moment | None:
    """A `changed_at` in the form that is compared; None for NULL.

    Raises:
        SetupFault: SOURCE_QUERY_INVALID, not a time, ISO text or an integer.
    """
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if value is None or (isinstance(value, date | int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str) and _ISO.fullmatch(value):
        return value
    raise _invalid("changed_at is no time")


def kind_of(at: Moment) -> str:
    match at:
        case datetime():
            return "timestamp" if at.tzinfo is None else "timestamptz"
        case date():
            return "date"
        case int():
            return "integer"
    return "text"


def text_of(at: Moment | None) -> str:
    """As it stands in a fingerprint."""
    return "-" if at is None else at.isoformat() if isinstance(at, date) else str(at)


def later(one: Moment | None, other: Moment | None, now: datetime) -> Moment | None:
    """The later of two moments; one of the future does not count, or all until then was missed.

    Raises:
        SetupFault: SOURCE_QUERY_INVALID, they cannot be compared.
    """
    if other is None or _is_future(other, now):
        return one
    if one is None:
        return other
    if kind_of(one) != kind_of(other):
        raise _invalid("changed_at is of several types")
    return max(one, other)


def _is_future(at: Moment, now: datetime) -> bool:
    """Whether it lies after `now` (UTC) wherever on earth a time without a zone was written."""
    if isinstance(at, int):
        return False
    if isinstance(at, datetime) and at.tzinfo is not None:
        return at > now
    farthest = (now + _FARTHEST_ZONE).replace(tzinfo=None)
    return text_of(at).replace(" ", "T") > farthest.isoformat()


def _earlier(text: str, by: timedelta) -> str:
    """ISO text that sorts before all texts of its form from that much earlier on."""
    try:
        moment = datetime.fromisoformat(text).replace(tzinfo=None, microsecond=0) - by
    except ValueError:
        raise _invalid("changed_at is no time") from None
    return moment.isoformat(sep=text[10]) if len(text) > 10 else moment.date().isoformat()
