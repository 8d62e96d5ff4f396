"""Numbers, texts and times as the sections of SCP-ECG write them; what is cut or blank is None."""

from datetime import date, datetime
from struct import calcsize, error, unpack_from

_FIRST_YEAR = 1901


def numbers(layout: str, content: bytes) -> tuple[int, ...]:
    """The numbers of `layout`, zeros where the content is too short for them."""
    try:
        return unpack_from(layout, content)
    except error:
        return unpack_from(layout, bytes(calcsize(layout)))


def text_of(content: bytes) -> str:
    """Up to the first NUL."""
    return content.split(b"\0")[0].decode("iso-8859-1").strip()


def day_of(content: bytes) -> date | None:
    try:
        day = date(*numbers("<HBB", content))
    except ValueError:
        return None
    return day if day.year >= _FIRST_YEAR else None


def instant_of(day: date | None, clock: bytes) -> datetime | None:
    if day is None or len(clock) < 3:
        return None
    try:
        return datetime(day.year, day.month, day.day, *clock[:3])  # noqa: DTZ001 - wall clock
    except ValueError:
        return None
