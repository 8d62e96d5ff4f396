"""WFDB: a header and its signal files, verified against size, initial values and checksums."""

import re
from datetime import datetime
from itertools import groupby

from ecgbatch.errors import Incomplete, InputFault, Refusal
from ecgbatch.readers.assembly import assemble
from ecgbatch.readers.clock import sex_of, wall_clock
from ecgbatch.readers.leads import standard_name
from ecgbatch.readers.scaling import StoredLead, plain_number, without_invalid
from ecgbatch.readers.wfdb_header import (
    Header,
    SignalLine,
    looks_like_header,
    member_names,
    parse_header,
)
from ecgbatch.readers.wfdb_samples import FORMATS, matlab_samples, read_counts
from ecgbatch.records import Counts, Finding, Identity, Recording, RecordingBytes
from ecgbatch.terms import ReasonCode

__all__ = ["NAME", "VERSION", "member_names", "read", "recognises"]

NAME = "wfdb"
VERSION = "1"

_CHECKSUM_MODULUS = 65536
_COMMENT = re.compile(r"<?(?P<key>[A-Za-z][\w ]{0,30}?)>?\s*[:=]\s*(?P<value>.*)")
_PATIENT_KEYS = ("subject_id", "mrn", "patient_id")
_DATE_FORMATS = ("%d/%m/%Y", "%d-%b-%Y", "%Y-%m-%d")
_OLDEST_YEARS = 130.0


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
    if not header.signals:
        raise Refusal(ReasonCode.NO_RHYTHM_WAVEFORM)
    counts = _read_signals(header, source)
    stored = tuple(
        lead
        for line, signal in zip(header.signals, counts, strict=True)
        if (lead := _lead(line, signal)) is not None
    )
    unprotected = Finding(check="checksum", reason=ReasonCode.CHECKSUM_ABSENT)
    has_checksums = all(line.checksum is not None for line in header.signals)
    return assemble(
        NAME,
        VERSION,
        stored,
        header.sampling_frequency,
        identity=_identity(header),
        findings=() if has_checksums else (unprotected,),
    )


def _read_signals(header: Header, source: RecordingBytes) -> tuple[Counts, ...]:
    contents = {member.name: member.content for member in source.members[1:]}
    groups = [
        (name, tuple(lines)) for name, lines in groupby(header.signals, lambda line: line.file_name)
    ]
    if len({name for name, _ in groups}) < len(groups):
        raise InputFault(ReasonCode.HEADER_INVALID, "signals of one file stand apart")
    if any(name not in contents for name, _ in groups):
        raise Incomplete("signal file missing")
    return tuple(
        counts
        for name, lines in groups
        for counts in _read_file(contents[name], lines, header.n_samples)
    )


def _read_file(
    content: bytes, lines: tuple[SignalLine, ...], n_samples: int | None
) -> tuple[Counts, ...]:
    first = lines[0]
    if len({(line.format, line.byte_offset) for line in lines}) > 1:
        raise InputFault(ReasonCode.HEADER_INVALID, "formats differ within a signal file")
    if first.file_name.lower().endswith(".mat"):
        columns = matlab_samples(content, first.format, first.byte_offset, len(lines))
        if n_samples not in {None, columns}:
            raise InputFault(ReasonCode.SIZE_MISMATCH, "MATLAB header")
        n_samples = columns
    counts = read_counts(content, first.format, first.byte_offset, len(lines), n_samples)
    for line, signal in zip(lines, counts, strict=True):
        _verify(line, signal)
    return tuple(counts)


def _verify(line: SignalLine, signal: Counts) -> None:
    if line.checksum is not None and (int(signal.sum()) - line.checksum) % _CHECKSUM_MODULUS:
        raise InputFault(ReasonCode.CHECKSUM_MISMATCH, standard_name(line.description) or "")
    if line.initial_value is not None and int(signal[0]) != line.initial_value:
        raise InputFault(ReasonCode.INITIAL_VALUE_MISMATCH, standard_name(line.description) or "")


def _lead(line: SignalLine, signal: Counts) -> StoredLead | None:
    name = standard_name(line.description)
    if name is None:
        return None
    counts = signal - line.baseline if line.baseline else signal
    # Divided by the gain, not multiplied by its reciprocal: to the bit what WFDB defines.
    millivolts = counts / line.gain
    if line.mv_per_unit != 1.0:
        millivolts = millivolts * line.mv_per_unit
    invalid = signal == FORMATS[line.format].invalid
    if invalid.any():
        millivolts = without_invalid(millivolts, invalid)
    return StoredLead(name, counts, line.mv_per_count, millivolts)


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
