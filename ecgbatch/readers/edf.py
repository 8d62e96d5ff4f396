"""EDF and EDF+ through edfio: continuous recordings with a lead in each signal's label."""

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.readers.assembly import assemble
from ecgbatch.readers.clock import age_between, sex_of, wall_clock
from ecgbatch.readers.leads import standard_name
from ecgbatch.readers.scaling import (
    StoredLead,
    checked_gain,
    checked_sampling_frequency,
    mv_per_unit,
    plain_number,
    without_invalid,
)
from ecgbatch.records import Identity, Recording, RecordingBytes
from ecgbatch.terms import ReasonCode

NAME = "edf"
VERSION = "1"

MAX_SIGNALS = 512
_FIXED_HEADER = 256
_PER_SIGNAL = 256
_RECOGNISED = re.compile(rb"0 {7}.{176}[0-9][0-9 ]{7}", re.DOTALL)
_FOREIGN = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NameError,
    TypeError,
    ValueError,
)
"""What edfio 0.4 raises on headers that are none."""
_LARGEST_BASELINE = 2.0**52
_BLANK_DATE = date(1985, 1, 1)
"""What EDF writes where a date is hidden."""
_DATE_FORMATS = ("%d.%m.%Y",)
_BORN_FORMATS = ("%d-%b-%Y",)
_MAX_STATEMENTS = 500
_UNKNOWN = {"", "X"}


@dataclass(frozen=True, slots=True, eq=False)
class _Signal:
    """One signal as stored; `samples` (n_samples,) are the digital values."""

    label: str
    unit: str
    sampling_frequency: float
    physical: tuple[float, float]
    digital: tuple[int, int]
    samples: NDArray[np.int16] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _File:
    signals: tuple[_Signal, ...]
    statements: tuple[str, ...] = field(repr=False)


def recognises(head: bytes) -> bool:
    """Whether version 0, and the size of the header, stand where EDF has them."""
    return _RECOGNISED.match(head) is not None


def read(source: RecordingBytes) -> Recording:
    """Decode the signals whose labels are leads (`ECG I`, `I`); other signals are left out.

    Raises:
        Incomplete: fewer data records than the header says, or their number still open.
        InputFault: more bytes than declared, EDF+D (`edf_variant_unsupported`), unknown unit or
            gain, leads of different sampling frequency, or edfio is not installed.
        Refusal: none of the twelve leads.
    """
    content = source.first
    _check_size(content)
    is_plus = content[192:197] == b"EDF+C"
    if content[192:197] == b"EDF+D":
        raise InputFault(ReasonCode.EDF_VARIANT_UNSUPPORTED, "discontinuous")
    file = _parse(content, is_plus)
    signals = tuple((standard_name(signal.label), signal) for signal in file.signals)
    frequencies = {signal.sampling_frequency for name, signal in signals if name}
    if len(frequencies) > 1:
        raise InputFault(ReasonCode.LEAD_LENGTHS_DIFFER, "sampling frequencies")
    stored = tuple(_stored(name, signal) for name, signal in signals if name)
    # Without a lead there is no frequency either, and `assemble` refuses.
    frequency = checked_sampling_frequency(frequencies.pop()) if frequencies else 0.0
    return assemble(
        NAME,
        VERSION,
        stored,
        frequency,
        identity=_identity(content, is_plus),
        statements=file.statements,
    )


def _whole_number(content: bytes, at: int, n_bytes: int) -> int:
    text = content[at : at + n_bytes].decode("iso-8859-1").strip()
    value = plain_number(text)
    if value is None or not value.is_integer():
        raise InputFault(ReasonCode.HEADER_INVALID, "number")
    return int(value)


def _check_size(content: bytes) -> None:
    """Compare the declared sizes with the file before anything is allocated."""
    if len(content) < _FIXED_HEADER:
        raise Incomplete("header")
    n_header, n_signals = _whole_number(content, 184, 8), _whole_number(content, 252, 4)
    n_records = _whole_number(content, 236, 8)
    if not 0 < n_signals <= MAX_SIGNALS or n_header != _FIXED_HEADER + _PER_SIGNAL * n_signals:
        raise InputFault(ReasonCode.HEADER_INVALID, "header size")
    if len(content) < n_header or n_records == -1:
        raise Incomplete("header")
    # The samples per data record stand after 216 bytes of each signal.
    start = _FIXED_HEADER + 216 * n_signals
    per_record = [_whole_number(content, start + 8 * row, 8) for row in range(n_signals)]
    if n_records < 1 or min(per_record) < 1:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "no samples")
    size = n_header + 2 * n_records * sum(per_record)
    if len(content) < size:
        raise Incomplete("data records")
    if len(content) > size:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "data records")


@contextmanager
def _edf_faults() -> Iterator[None]:
    """edfio's faults as ours, its warnings silent: their texts quote the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except ImportError:
            raise InputFault(ReasonCode.READER_NOT_INSTALLED, "edf") from None
        except _FOREIGN:
            raise InputFault(ReasonCode.HEADER_INVALID, "signal header") from None


def _parse(content: bytes, is_plus: bool) -> _File:
    with _edf_faults():
        from edfio import read_edf  # noqa: PLC0415 - of an extra

        edf = read_edf(content)
        texts = (note.text.strip() for note in edf.annotations) if is_plus else ()
        signals = tuple(
            _Signal(
                label=signal.label,
                unit=signal.physical_dimension,
                sampling_frequency=float(signal.sampling_frequency),
                physical=(signal.physical_min, signal.physical_max),
                digital=(signal.digital_min, signal.digital_max),
                samples=signal.digital,
            )
            for signal in edf.signals
        )
        return _File(signals, tuple(text for text in texts if text)[:_MAX_STATEMENTS])


def _stored(name: str, signal: _Signal) -> StoredLead:
    mv_per = mv_per_unit(signal.unit.strip())
    low, high = signal.physical
    least, most = signal.digital
    if not (math.isfinite(low) and math.isfinite(high)) or most <= least:
        raise InputFault(ReasonCode.GAIN_INVALID)
    units_per_count = checked_gain((high - low) / (most - least))
    mv_per_count = checked_gain(units_per_count * mv_per)
    baseline = least - low / units_per_count
    if abs(baseline) > _LARGEST_BASELINE:
        raise InputFault(ReasonCode.GAIN_INVALID)
    digital = signal.samples.astype(np.int64)
    millivolts = ((digital - least).astype(np.float64) * units_per_count + low) * mv_per
    outside = (digital < least) | (digital > most)
    counts = digital - round(baseline)
    return StoredLead(name, counts, mv_per_count, without_invalid(millivolts, outside))


def _identity(content: bytes, is_plus: bool) -> Identity:
    """Start time; who it is only in EDF+, where the fields of the patient have an order."""
    patient = content[8:88].decode("iso-8859-1").split(" ") if is_plus else []
    recording = content[88:168].decode("iso-8859-1").split(" ") if is_plus else []
    code, sex, born_on = (*patient, "", "", "")[:3]
    device = (*recording, "", "", "", "", "")[4]
    started_at = _started_at(content, recording)
    born = wall_clock(born_on.title(), "00:00:00", _BORN_FORMATS)
    return Identity(
        patient_identifier=None if code in _UNKNOWN else code,
        acquired_at=started_at,
        age_years=age_between(born.date(), started_at.date()) if born and started_at else None,
        sex=sex_of(sex),
        device=None if device.strip() in _UNKNOWN else device.replace("_", " ").strip(),
    )


def _started_at(content: bytes, recording: list[str]) -> datetime | None:
    """EDF+ has the year in full (`Startdate 02-MAR-2002`); EDF has two digits, from 1985 on."""
    day, clock = (content[at : at + 8].decode("iso-8859-1") for at in (168, 176))
    clock = clock.replace(".", ":")
    if recording[:1] == ["Startdate"] and len(recording) > 1:
        return wall_clock(recording[1].title(), clock, _BORN_FORMATS)
    year = plain_number(day[6:8])
    century = "19" if year is not None and year >= 85 else "20"
    at = wall_clock(f"{day[:6]}{century}{day[6:]}", clock, _DATE_FORMATS)
    return None if at is None or at.date() == _BLANK_DATE else at
