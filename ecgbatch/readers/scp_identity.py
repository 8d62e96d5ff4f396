"""Who, when and where an SCP-ECG file says (section 1), and its statements (section 8)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from struct import calcsize, error, unpack_from

from ecgbatch.readers.clock import age_between
from ecgbatch.records import Identity

_END = 255
_OLDEST_YEARS = 130.0
_FIRST_YEAR = 1901
_UNITS_PER_YEAR = {1: 1.0, 2: 12.0, 3: 52.1775, 4: 365.2425}
_SEXES = {1: "male", 2: "female"}
_STATUSES = {0: "unconfirmed", 1: "confirmed", 2: "unconfirmed"}
_MODEL = slice(8, 14)
_STRINGS_AT = 36
_BLANK = {"", "unknown"}
_MINUTES_PER_DAY = 1440


@dataclass(frozen=True, slots=True)
class Edit:
    """When and how the statements were confirmed."""

    at: datetime | None = None
    status: str | None = None


def read_identity(section: bytes, edit: Edit) -> Identity:
    """The identity fields of section 1; what is blank, blanked or malformed is None."""
    tags = dict(_tags(section))
    day = _date(tags.get(25, b""))
    acquired_at = _instant(day, tags.get(26, b""))
    return Identity(
        patient_identifier=_text(tags.get(2, b"")) or None,
        acquired_at=acquired_at,
        acquired_zone=_zone(tags.get(34, b"")) if acquired_at else None,
        age_years=_age_years(tags, day),
        sex=_SEXES.get(_number("<B", tags.get(8, b""))[0]),
        device=_device(tags.get(14, b"")),
        site=_text(tags.get(16, b"")) or None,
        edit_at=edit.at,
        edit_status=edit.status,
    )


def read_statements(section: bytes) -> tuple[tuple[str, ...], Edit]:
    """The texts of section 8 and its state; nothing where it is cut or not there."""
    status, *_, n_statements = _number("<B7sB", section)
    if not section or status not in _STATUSES:
        return (), Edit()
    edited_at = _instant(_date(section[1:5]), section[5:8]) if status else None
    texts = tuple(text for text in _statement_texts(section[9:], n_statements) if text)
    return texts, Edit(edited_at, _STATUSES[status])


def _statement_texts(content: bytes, n_statements: int) -> Iterator[str]:
    at = 0
    for _ in range(n_statements):
        size = _number("<BH", content[at : at + 3])[1]
        yield _text(content[at + 3 : at + 3 + size])
        at += 3 + size


def _tags(section: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 3 <= len(section) and section[at] != _END:
        size = _number("<H", section[at + 1 : at + 3])[0]
        yield section[at], section[at + 3 : at + 3 + size]
        at += 3 + size


def _number(layout: str, content: bytes) -> tuple[int, ...]:
    """The numbers of `layout`, zeros where the content is too short for them."""
    try:
        return unpack_from(layout, content)
    except error:
        return unpack_from(layout, bytes(calcsize(layout)))


def _text(content: bytes) -> str:
    return content.split(b"\0")[0].decode("iso-8859-1").strip()


def _date(content: bytes) -> date | None:
    try:
        day = date(*_number("<HBB", content))
    except ValueError:
        return None
    return day if day.year >= _FIRST_YEAR else None


def _instant(day: date | None, clock: bytes) -> datetime | None:
    if day is None or len(clock) < 3:
        return None
    try:
        return datetime(day.year, day.month, day.day, *clock[:3])  # noqa: DTZ001 - wall clock
    except ValueError:
        return None


def _zone(content: bytes) -> str | None:
    """Offset to UTC as +HH:MM; 0x7FFF stands for an unknown one."""
    if len(content) < 2:
        return None
    minutes = _number("<h", content)[0]
    if abs(minutes) >= _MINUTES_PER_DAY:
        return None
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"


def _age_years(tags: dict[int, bytes], day: date | None) -> float | None:
    value, unit = _number("<HB", tags.get(4, b""))
    per_year = _UNITS_PER_YEAR.get(unit)
    if value and per_year and value / per_year <= _OLDEST_YEARS:
        return value / per_year
    born = _date(tags.get(5, b""))
    return age_between(born, day) if born and day else None


def _device(content: bytes) -> str | None:
    """Model and serial number of the acquiring device, as far as they are stated."""
    strings = content[_STRINGS_AT:].split(b"\0")
    parts = (_text(content[_MODEL]), _text(strings[1]) if len(strings) > 1 else "")
    return " ".join(part for part in parts if part.lower() not in _BLANK) or None
