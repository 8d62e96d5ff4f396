"""What an SCP-ECG file says about the ECG: its report (section 8) and its codes (section 11)."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from ecgbatch.readers.scp_fields import day_of, instant_of, numbers, text_of

_HEAD_BYTES = 9
_STATEMENT_HEAD_BYTES = 3
_ORIGINAL = 0
_STATUSES = {_ORIGINAL: "unconfirmed", 1: "confirmed", 2: "unconfirmed"}
"""Not overread, confirmed, overread but not confirmed."""
_ORDER = (None, "unconfirmed", "confirmed")
_CODED, _FULL_TEXT = 1, 2
_CODE = re.compile(rb"[ -~]+")


@dataclass(frozen=True, slots=True)
class Edit:
    """When and how the statements were confirmed."""

    at: datetime | None = None
    status: str | None = None


def read_statements(report: bytes, codes: bytes) -> tuple[tuple[str, ...], Edit]:
    """The texts of section 8, then those that section 11 adds, and the further state of both.

    Args:
        report: the data of section 8, `codes` of section 11; empty where there is none. Whatever
            does not lie within them whole is left out.
    """
    texts = tuple(_texts(report, text_of))
    added = tuple(text for text in _texts(codes, _coded_text) if text not in texts)
    edits = (_edit(report), _edit(codes))
    return texts + added, max(edits, key=_progress)


def _texts(section: bytes, read: Callable[[bytes], str]) -> Iterator[str]:
    return filter(None, map(read, _statements(section)))


def _statements(section: bytes) -> Iterator[bytes]:
    """What follows the length of each statement: at most 255, the cut one left out.

    Half a text could say the contrary: "Normal ECG" of "Normal ECG variant".
    """
    *_, n_statements = numbers("<8sB", section)
    at = _HEAD_BYTES
    for _ in range(n_statements):
        begin = at + _STATEMENT_HEAD_BYTES
        _, size = numbers("<BH", section[at:begin])
        at = begin + size
        if at > len(section):
            return
        yield section[begin:at]


def _coded_text(statement: bytes) -> str:
    """A full text, or codes as they stand; empty for the logic between statements."""
    kind, content = statement[:1], statement[1:]
    if kind == bytes([_FULL_TEXT]):
        return text_of(content)
    if kind != bytes([_CODED]):
        return ""
    codes = [code for field in content.split(b"\0") if (code := field.strip())]
    is_legible = all(map(_CODE.fullmatch, codes))
    return "; ".join(code.decode("ascii") for code in codes) if is_legible else ""


def _edit(section: bytes) -> Edit:
    status = _STATUSES.get(section[0]) if len(section) >= _HEAD_BYTES else None
    if status is None or section[0] == _ORIGINAL:
        return Edit(status=status)
    return Edit(instant_of(day_of(section[1:5]), section[5:8]), status)


def _progress(edit: Edit) -> tuple[int, datetime]:
    return _ORDER.index(edit.status), edit.at or datetime.min  # noqa: DTZ901 - to compare with
