"""WFDB: a header and its signal files, verified against size, initial values and checksums."""

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import Incomplete, InputFault, Refusal
from ecgbatch.readers.assembly import assemble, refusals_of
from ecgbatch.readers.clock import sex_of, wall_clock
from ecgbatch.readers.leads import standard_name
from ecgbatch.readers.scaling import StoredLead, plain_number
from ecgbatch.readers.wfdb_header import (
    Header,
    SignalLine,
    looks_like_header,
    member_names,
    parse_header,
)
from ecgbatch.readers.wfdb_samples import FORMATS, StoredCounts, matlab_samples, read_counts
from ecgbatch.records import Finding, Identity, Millivolts, Recording, RecordingBytes
from ecgbatch.terms import ReasonCode

__all__ = ["NAME", "VERSION", "member_names", "read", "recognises"]

NAME = "wfdb"
VERSION = "1"

_CHECKSUM_MODULUS = 65536
_COMMENT = re.compile(r"<?(?P<key>[A-Za-z][\w ]{0,30}?)>?\s*[:=]\s*(?P<value>.*)")
_PATIENT_KEYS = ("subject_id", "mrn", "patient_id")
_DATE_FORMATS = ("%d/%m/%Y", "%d-%b-%Y", "%Y-%m-%d")
_OLDEST_YEARS = 130.0
_Part = tuple[tuple[StoredLead, ...], Millivolts | None]
"""The leads of one signal file, and their signals as one matrix."""


def recognises(head: bytes) -> bool:
    """Whether the first line that is no comment could be a WFDB record line."""
    return looks_like_header(head)


def read(source: RecordingBytes) -> Recording:
    """Decode a record: `source.first` is the header, the other members its signal files.

    Every signal is verified, also those beyond the twelve leads, which are then left out.

    Raises:
        Incomplete: a signal file is not there or too short, or the header is cut.
        InputFault: grammar, size, initial value, checksum, unit, gain, sampling frequency,
            a format or segment structure that is not read.
        Refusal: no signal at all, or none of the twelve leads.
    """
    header = parse_header(source.first)
    with refusals_of(NAME, VERSION, lambda: _identity(header)):
        _refuse_empty(header)
    parts = _read_signals(header, source)
    unprotected = Finding(check="checksum", reason=ReasonCode.CHECKSUM_ABSENT)
    has_checksums = all(line.checksum is not None for line in header.signals)
    return assemble(
        NAME,
        VERSION,
        tuple(lead for leads, _ in parts for lead in leads),
        header.sampling_frequency,
        together=parts[0][1] if len(parts) == 1 else None,
        identity=_identity(header),
        findings=() if has_checksums else (unprotected,),
    )


def _refuse_empty(header: Header) -> None:
    if not header.signals:
        raise Refusal(ReasonCode.NO_RHYTHM_WAVEFORM)


def _read_signals(header: Header, source: RecordingBytes) -> tuple[_Part, ...]:
    contents = {member.name: member.content for member in source.members[1:]}
    groups = [
        (name, tuple(lines)) for name, lines in groupby(header.signals, lambda line: line.file_name)
    ]
    if len({name for name, _ in groups}) < len(groups):
        raise InputFault(ReasonCode.HEADER_INVALID, "signals of one file stand apart")
    if any(name not in contents for name, _ in groups):
        raise Incomplete("signal file missing")
    files = [(lines, _read_file(contents[name], lines, header.n_samples)) for name, lines in groups]
    return tuple(_leads(lines, counts) for lines, counts in files)


def _read_file(
    content: bytes, lines: tuple[SignalLine, ...], n_samples: int | None
) -> StoredCounts:
    """(n_signals, n_samples), verified."""
    first = lines[0]
    if len({(line.format, line.byte_offset) for line in lines}) > 1:
        raise InputFault(ReasonCode.HEADER_INVALID, "formats differ within a signal file")
    if first.file_name.lower().endswith(".mat"):
        columns = matlab_samples(content, first.format, first.byte_offset, len(lines))
        if n_samples not in {None, columns}:
            raise InputFault(ReasonCode.SIZE_MISMATCH, "MATLAB header")
        n_samples = columns
    counts = read_counts(content, first.format, first.byte_offset, len(lines), n_samples)
    _verify(lines, counts)
    return counts


def _verify(lines: tuple[SignalLine, ...], counts: StoredCounts) -> None:
    """Compare with the header what is stored, before any skew is undone."""
    if any(line.skew >= counts.shape[1] for line in lines):
        raise InputFault(ReasonCode.SAMPLE_OFFSET_UNSUPPORTED, "skew beyond the record")
    sums = counts.sum(axis=1, dtype=np.int64).tolist()
    for line, total, first in zip(lines, sums, counts[:, 0].tolist(), strict=True):
        if line.checksum is not None and (total - line.checksum) % _CHECKSUM_MODULUS:
            raise InputFault(ReasonCode.CHECKSUM_MISMATCH, standard_name(line.description) or "")
        if line.initial_value is not None and first != line.initial_value:
            lead = standard_name(line.description) or ""
            raise InputFault(ReasonCode.INITIAL_VALUE_MISMATCH, lead)


def _leads(lines: tuple[SignalLine, ...], counts: StoredCounts) -> _Part:
    """The standard leads of one file; all of them at once, since single rows cost more."""
    named = [(row, name) for row, line in enumerate(lines) if (name := line.lead) is not None]
    if len(named) < len(lines):
        lines = tuple(lines[row] for row, _ in named)
        counts = counts[[row for row, _ in named]]
    if not named:
        return (), None
    invalid = _invalid(lines, counts)
    if any(line.skew for line in lines):
        counts = _aligned(lines, counts)
    if any(line.baseline for line in lines):
        counts = counts - _column([line.baseline for line in lines], np.int64)
    # Divided by the gain, not multiplied by its reciprocal: to the bit what WFDB defines.
    millivolts = counts / _column([line.gain for line in lines], np.float64)
    if any(line.mv_per_unit != 1.0 for line in lines):
        millivolts *= _column([line.mv_per_unit for line in lines], np.float64)
    if invalid is not None:
        millivolts[invalid] = np.nan
    rows = zip(named, lines, counts, millivolts, strict=True)
    leads = (StoredLead(name, row, line.mv_per_count, mv) for (_, name), line, row, mv in rows)
    return tuple(leads), millivolts


def _column(values: Sequence[float], kind: type[np.generic]) -> NDArray[Any]:
    return np.array(values, dtype=kind)[:, np.newaxis]


def _invalid(lines: tuple[SignalLine, ...], counts: StoredCounts) -> NDArray[np.bool_] | None:
    """Where the file has no sample: the format's sentinel, and what a skew leaves at the end."""
    sentinel = FORMATS[lines[0].format].invalid
    is_skewed = any(line.skew for line in lines)
    if not is_skewed and (counts.min(axis=1) != sentinel).all():
        return None
    invalid: NDArray[np.bool_] = _aligned(lines, counts) == sentinel
    for line, row in zip(lines, invalid, strict=True):
        row[row.size - line.skew :] = True
    return invalid


def _aligned(lines: tuple[SignalLine, ...], counts: StoredCounts) -> StoredCounts:
    """Samples of one instant in one column: a skew of k stores a signal k samples late."""
    aligned = counts.copy()
    for line, late, row in zip(lines, counts, aligned, strict=True):
        row[: row.size - line.skew] = late[line.skew :]
    return aligned


def _identity(header: Header) -> Identity:
    values = _comment_values(header.comments)
    age = plain_number(values.get("age", ""))
    identifier = next((values[key] for key in _PATIENT_KEYS if values.get(key)), None)
    return Identity(
        patient_identifier=identifier,
        acquired_at=_acquired_at(header.when),
        age_years=age if age is not None and 0 <= age <= _OLDEST_YEARS else None,
        sex=sex_of(values.get("sex", "")),
    )


def _acquired_at(when: tuple[str, ...]) -> datetime | None:
    """Time and date of the record line; some CinC headers write the date first."""
    if len(when) < 2:
        return None
    first, second = when[:2]
    return wall_clock(second, first, _DATE_FORMATS) or wall_clock(first, second, _DATE_FORMATS)


def _comment_values(comments: tuple[str, ...]) -> dict[str, str]:
    """First value of each `key: value` comment, keys in lower case."""
    values: dict[str, str] = {}
    for comment in comments:
        match = _COMMENT.fullmatch(comment)
        if match:
            values.setdefault(match["key"].casefold().strip(), match["value"].strip())
    return values
