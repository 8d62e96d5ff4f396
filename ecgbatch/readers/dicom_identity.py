"""Where pydicom is called: parsing, and who, when and where a DICOM ECG says."""

import logging
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.readers.clock import age_between, sex_of, wall_clock
from ecgbatch.records import Identity
from ecgbatch.terms import ReasonCode

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_ITEMS = 50_000
MAX_ELEMENTS = 10_000
_ITEM = b"\xfe\xff\x00\xe0"
_UNDEFINED_LENGTH = 0xFFFFFFFF
_FOREIGN = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What pydicom 3 raises on data sets that are no data sets."""

_DATE_TIME = re.compile(
    r"(?P<day>\d{8})(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})?(?P<fraction>\.\d{1,6})?"
    r"(?P<zone>[+-]\d{4})?",
    re.ASCII,
)
_ZONE = re.compile(r"[+-]\d{4}", re.ASCII)
_AGE = re.compile(r"(\d{3})([YMWD])", re.ASCII)
_UNITS_PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 52.1775, "D": 365.2425}
_OLDEST_YEARS = 130.0
_DATE_FORMAT = ("%Y%m%d",)
_WHEN = (
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
    ("StudyDate", "StudyTime"),
)


@contextmanager
def dicom_faults() -> Iterator[None]:
    """pydicom's faults as ours, its warnings silent: their texts quote the file.

    Raises:
        Incomplete: the bytes end within an element.
        InputFault: `header_invalid`, or `reader_not_installed`.
    """
    try:
        from pydicom.config import disable_value_validation  # noqa: PLC0415 - of an extra
        from pydicom.errors import BytesLengthException, InvalidDicomError  # noqa: PLC0415
    except ImportError:
        raise InputFault(ReasonCode.READER_NOT_INSTALLED, "dicom") from None
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        try:
            yield
        except (EOFError, OSError, struct.error):
            # The bytes are in memory: the only error of reading them is their end.
            raise Incomplete("data set") from None
        except (BytesLengthException, InvalidDicomError, *_FOREIGN):
            raise InputFault(ReasonCode.HEADER_INVALID, "data set") from None


def parse(content: bytes) -> "Dataset":
    """The data set of a file, with or without a preamble.

    Raises:
        Incomplete: an element is shorter than its length says.
        InputFault: no data set, more items than any ECG has, or `reader_not_installed`.
    """
    if content.count(_ITEM) > MAX_ITEMS:
        raise InputFault(ReasonCode.HEADER_INVALID, "items")
    with dicom_faults():
        from pydicom.filereader import read_partial  # noqa: PLC0415 - of an extra

        dataset = read_partial(BytesIO(content), stop_when=_element_limit(), force=True)
        if any(_is_cut(dataset, tag) for tag in dataset.keys()):  # noqa: SIM118 - by tag, unread
            raise Incomplete("data set")
        return dataset


def _element_limit() -> Callable[[object, str | None, int], bool]:
    """A stop condition that never stops, but refuses a data set of endless elements."""
    numbers = count(1)

    def refuse_too_many(_tag: object, _vr: str | None, _length: int) -> bool:
        if next(numbers) > MAX_ELEMENTS:
            raise InputFault(ReasonCode.HEADER_INVALID, "elements")
        return False

    return refuse_too_many


def _is_cut(dataset: "Dataset", tag: int) -> bool:
    element = dataset.get_item(tag)
    length, value = getattr(element, "length", None), getattr(element, "value", None)
    if not isinstance(length, int) or length == _UNDEFINED_LENGTH:
        return False
    return isinstance(value, bytes) and len(value) < length


def read_identity(dataset: "Dataset") -> Identity:
    """The identity fields; what is blank, blanked or malformed is None."""
    acquired_at, zone = _acquired(dataset)
    return Identity(
        patient_identifier=_text(dataset, "PatientID") or None,
        acquired_at=acquired_at,
        acquired_zone=zone if acquired_at else None,
        age_years=_age_years(dataset, acquired_at),
        sex=sex_of(_text(dataset, "PatientSex")),
        device=_joined(dataset, "ManufacturerModelName", "DeviceSerialNumber"),
        site=_text(dataset, "InstitutionName") or None,
        accession=_text(dataset, "AccessionNumber") or None,
        order_number=_text(dataset, "PlacerOrderNumberImagingServiceRequest") or None,
        ecg_id=_text(dataset, "SOPInstanceUID") or None,
    )


def read_statements(dataset: "Dataset") -> tuple[str, ...]:
    """The free texts among the annotations."""
    try:
        with dicom_faults():
            annotations = tuple(dataset.get("WaveformAnnotationSequence") or ())
    except InputFault:
        return ()
    texts = (_text(annotation, "UnformattedTextValue") for annotation in annotations)
    return tuple(text for text in texts if text)


def _text(dataset: "Dataset", keyword: str) -> str:
    """One text, stripped; empty where there is none, several or one that cannot be read."""
    try:
        with dicom_faults():
            value = dataset.get(keyword)
    except InputFault:
        return ""
    return value.strip(" \0") if isinstance(value, str) else ""


def _joined(dataset: "Dataset", *keywords: str) -> str | None:
    return " ".join(text for keyword in keywords if (text := _text(dataset, keyword))) or None


def _acquired(dataset: "Dataset") -> tuple[datetime | None, str | None]:
    """Wall clock and zone: AcquisitionDateTime, else the first complete pair of date and time."""
    zone = _text(dataset, "TimezoneOffsetFromUTC")
    match = _DATE_TIME.fullmatch(_text(dataset, "AcquisitionDateTime"))
    if match:
        clock = f"{match['hour']}:{match['minute']}:{match['second'] or '00'}"
        at = wall_clock(match["day"], clock + (match["fraction"] or ""), _DATE_FORMAT)
        return at, _zone(match["zone"] or zone)
    pairs = ((_text(dataset, day), _text(dataset, time)) for day, time in _WHEN)
    times = (wall_clock(day, _clock(time), _DATE_FORMAT) for day, time in pairs)
    return next((at for at in times if at), None), _zone(zone)


def _clock(text: str) -> str:
    """HHMMSS or HH:MM:SS with any fraction, as HH:MM:SS."""
    digits, dot, fraction = text.replace(":", "").partition(".")
    return f"{digits[:2]}:{digits[2:4]}:{digits[4:]}{dot}{fraction}"


def _zone(text: str) -> str | None:
    return f"{text[:3]}:{text[3:]}" if _ZONE.fullmatch(text) else None


def _age_years(dataset: "Dataset", acquired_at: datetime | None) -> float | None:
    match = _AGE.fullmatch(_text(dataset, "PatientAge"))
    if match and int(match[1]):
        years = int(match[1]) / _UNITS_PER_YEAR[match[2]]
        if years <= _OLDEST_YEARS:
            return years
    born = _day(_text(dataset, "PatientBirthDate"))
    return age_between(born, acquired_at.date()) if born and acquired_at else None


def _day(text: str) -> date | None:
    at = wall_clock(text, "00:00:00", _DATE_FORMAT)
    return at.date() if at else None
