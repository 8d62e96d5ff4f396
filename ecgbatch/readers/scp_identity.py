"""Who, when and where an SCP-ECG file says (section 1)."""

from collections.abc import Iterator
from datetime import date

from ecgbatch.readers.clock import age_between
from ecgbatch.readers.scp_fields import day_of, instant_of, numbers, text_of
from ecgbatch.readers.scp_statements import Edit
from ecgbatch.records import Identity

_END = 255
_OLDEST_YEARS = 130.0
_UNITS_PER_YEAR = {1: 1.0, 2: 12.0, 3: 52.1775, 4: 365.2425}
_SEXES = {1: "male", 2: "female"}
_MODEL = slice(8, 14)
_STRINGS_AT = 36
_BLANK = {"", "unknown"}
_MINUTES_PER_DAY = 1440


def read_identity(section: bytes, edit: Edit) -> Identity:
    """The identity fields of section 1; what is blank, blanked or malformed is None."""
    tags = dict(_tags(section))
    day = day_of(tags.get(25, b""))
    acquired_at = instant_of(day, tags.get(26, b""))
    return Identity(
        patient_identifier=text_of(tags.get(2, b"")) or None,
        acquired_at=acquired_at,
        acquired_zone=_zone(tags.get(34, b"")) if acquired_at else None,
        age_years=_age_years(tags, day),
        sex=_SEXES.get(numbers("<B", tags.get(8, b""))[0]),
        device=_device(tags.get(14, b"")),
        site=text_of(tags.get(16, b"")) or None,
        edit_at=edit.at,
        edit_status=edit.status,
    )


def _tags(section: bytes) -> Iterator[tuple[int, bytes]]:
    """Whole tags only: the start of an identifier would be somebody else's."""
    at = 0
    while at + 3 <= len(section) and section[at] != _END:
        number, size = numbers("<BH", section[at : at + 3])
        begin, at = at + 3, at + 3 + size
        if at <= len(section):
            yield number, section[begin:at]


def _zone(content: bytes) -> str | None:
    """Offset to UTC as +HH:MM; 0x7FFF stands for an unknown one."""
    if len(content) < 2:
        return None
    minutes = numbers("<h", content)[0]
    if abs(minutes) >= _MINUTES_PER_DAY:
        return None
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"


def _age_years(tags: dict[int, bytes], day: date | None) -> float | None:
    value, unit = numbers("<HB", tags.get(4, b""))
    per_year = _UNITS_PER_YEAR.get(unit)
    if value and per_year and value / per_year <= _OLDEST_YEARS:
        return value / per_year
    born = day_of(tags.get(5, b""))
    return age_between(born, day) if born and day else None


def _device(content: bytes) -> str | None:
    """Model and serial number of the acquiring device, as far as they are stated."""
    strings = content[_STRINGS_AT:].split(b"\0")
    parts = (text_of(content[_MODEL]), text_of(strings[1]) if len(strings) > 1 else "")
    return " ".join(part for part in parts if part.lower() not in _BLANK) or None
