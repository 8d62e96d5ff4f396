"""The WFDB header: a strict grammar, matched in full, where nothing is guessed.

Source: WFDB Applications Guide, header(5).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from itertools import islice
from typing import NamedTuple

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.readers.leads import standard_name
from ecgbatch.readers.scaling import (
    checked_gain,
    checked_sampling_frequency,
    mv_per_unit,
    plain_number,
)
from ecgbatch.readers.wfdb_samples import FORMATS
from ecgbatch.terms import ReasonCode

MAX_HEADER_BYTES = 64 * 1024
MAX_LINE_BYTES = 1024
MAX_SIGNALS = 256

_RARE_FORMATS = frozenset({"0", "8", "310", "311", "508", "516", "524"})
_FILE_NAME = re.compile(r"\w[-\w.]{0,254}", re.ASCII)
_RECORD_NAME = re.compile(r"(?P<name>[-\w.]{1,255})(?P<segments>/\d{1,9})?", re.ASCII)
_ADC_ZERO, _INITIAL_VALUE, _CHECKSUM = 1, 2, 3
"""Places among the whole numbers after the gain; the first is the ADC's resolution."""
_WHOLE_NUMBERS = re.compile(r"[-+]?\d{1,10}(?: [-+]?\d{1,10}){0,4}", re.ASCII)
_COUNT = re.compile(r"\d{1,9}", re.ASCII)
_FREQUENCY = re.compile(
    r"(?P<frequency>[^/\s]+)(?:/\d{1,12}(?:\.\d{0,9})?(?:\(-?\d{1,12}(?:\.\d{0,9})?\))?)?", re.ASCII
)
_FORMAT = re.compile(
    r"(?P<name>\d{1,4})(?:x(?P<per_frame>\d{1,4}))?(?::(?P<skew>\d{1,9}))?(?:\+(?P<offset>\d{1,9}))?",
    re.ASCII,
)
_GAIN = re.compile(
    r"(?P<gain>[^(/\s]+)(?:\((?P<baseline>[-+]?\d{1,10})\))?(?:/(?P<unit>\S{1,32}))?"
)
# Loose on purpose: a header with a wrong number is still a WFDB header, and is refused as such.
_RECORD_LINE_START = re.compile(
    r"[-\w.]{1,255}(?:/\d+)?[ \t]+\d+(?:[ \t]+(?:[-+.\d]|nan|inf).*)?[ \t]*", re.ASCII
)
_RECORD_LINE_ALONE = re.compile(
    r"[-\w.]{1,255}(?:/\d+)?[ \t]+\d+[ \t]+(?:\d{2,}(?:\.\d*)?)(?:[/(][^ \t]*)?"
    r"(?:[ \t]+\d+(?:[ \t]+.*)?)?",
    re.ASCII,
)
_NEXT_LINE_START = re.compile(r"[^ \t]+[ \t]+\d", re.ASCII)
"""A signal file and its format, or a segment and its length."""


class SignalLine(NamedTuple):
    """One signal as declared. `gain` is counts per unit; what is not stated is None.

    Attributes:
        skew: samples by which the signal is stored late.
        lead: standard name; None for another signal than the twelve leads.
    """

    file_name: str
    format: str
    skew: int
    byte_offset: int
    gain: float
    mv_per_unit: float
    baseline: int
    initial_value: int | None
    checksum: int | None
    description: str
    lead: str | None

    @property
    def mv_per_count(self) -> float:
        return self.mv_per_unit / self.gain


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header; `n_samples` per signal, None where it is not stated."""

    sampling_frequency: float
    n_samples: int | None
    when: tuple[str, ...]
    signals: tuple[SignalLine, ...]
    comments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Lines:
    record: tuple[str, ...]
    signals: tuple[str, ...]
    comments: tuple[str, ...]


def looks_like_header(head: bytes) -> bool:
    """Whether the first line that is no comment could be a record line, and the next one fits.

    Two words and a number open many texts. So a record line alone has to state a sampling
    frequency, and the next line has to name a signal file and its format, unless the text ends
    there in the middle of a line: then the rest may not have arrived yet.
    """
    text = _text(head)
    lines = filter(_is_content, StringIO(text, newline="\n"))
    record = next(lines, "").strip()
    if len(record) > MAX_LINE_BYTES or _RECORD_LINE_START.fullmatch(record) is None:
        return False
    following = [line.strip() for line in islice(lines, 2)]
    is_cut = not text.endswith("\n")
    if not following:
        return is_cut or _RECORD_LINE_ALONE.fullmatch(record) is not None
    is_name_alone = is_cut and len(following) == 1 and len(following[0].split()) == 1
    return is_name_alone or _NEXT_LINE_START.match(following[0]) is not None


def member_names(header: bytes) -> tuple[str, ...]:
    """Names of the signal files that a header declares: each once, in order, plain names.

    Raises:
        Incomplete: fewer signal lines than declared, or the last one may be cut.
        InputFault: `header_invalid` (grammar, a name that is a path or an address),
            `wfdb_format_rare` (several segments).
    """
    names = [_file_name(line.split()[0]) for line in _lines(header).signals]
    return tuple(dict.fromkeys(names))


def parse_header(header: bytes) -> Header:
    """Parse a single-segment header.

    Raises:
        Incomplete: fewer signal lines than declared, or the last one may be cut.
        InputFault: `header_invalid`, `wfdb_format_rare`, `gain_invalid`, `unit_unknown`,
            `sampling_frequency_invalid`.
    """
    lines = _lines(header)
    record = lines.record
    return Header(
        sampling_frequency=_sampling_frequency(record[2] if len(record) > 2 else ""),
        n_samples=_n_samples(record[3] if len(record) > 3 else "0"),
        when=record[4:],
        signals=tuple(_signal(line) for line in lines.signals),
        comments=lines.comments,
    )


def _text(header: bytes) -> str:
    try:
        return header.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Only comments and the micro sign go beyond ASCII; the grammar refuses anything else.
        return header.decode("iso-8859-1")


def _is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _lines(header: bytes) -> _Lines:
    if len(header) > MAX_HEADER_BYTES:
        raise InputFault(ReasonCode.HEADER_INVALID, "header too long")
    *terminated, rest = _text(header).split("\n")
    lines = [line.strip(" \t\r") for line in (*terminated, rest)]
    if any(len(line) > MAX_LINE_BYTES for line in lines):
        raise InputFault(ReasonCode.HEADER_INVALID, "line too long")
    content = [line for line in lines if _is_content(line)]
    if not content:
        raise Incomplete("no record line")
    record = tuple(content[0].split())
    n_signals = _n_signals(record)
    signals = tuple(content[1:])
    if len(signals) < n_signals or (_is_content(rest) and _may_be_cut(signals)):
        raise Incomplete("signal lines")
    if len(signals) > n_signals:
        raise InputFault(ReasonCode.HEADER_INVALID, "more signal lines than declared")
    # A last comment without an end of line may be cut: "Age: 7" of "Age: 74".
    comments = tuple(line.strip("# \t\r") for line in terminated if line.lstrip().startswith("#"))
    return _Lines(record, signals, comments)


def _n_signals(record: tuple[str, ...]) -> int:
    name = _RECORD_NAME.fullmatch(record[0])
    if name is None or len(record) < 2 or not _COUNT.fullmatch(record[1]):
        raise InputFault(ReasonCode.HEADER_INVALID, "record line")
    if name["segments"]:
        raise InputFault(ReasonCode.WFDB_FORMAT_RARE, "segments")
    if int(record[1]) > MAX_SIGNALS:
        raise InputFault(ReasonCode.HEADER_INVALID, "number of signals")
    return int(record[1])


def _may_be_cut(signals: tuple[str, ...]) -> bool:
    """Whether a last line without an end of line could go on: "V" of "V6", "II" of "III"."""
    leads = [standard_name(_description(line)) for line in signals]
    return not leads or leads[-1] is None or leads[-1] in leads[:-1]


def _description(line: str) -> str:
    fields = line.split(maxsplit=8)
    return fields[8] if len(fields) > 8 else ""


def _file_name(text: str) -> str:
    if not _FILE_NAME.fullmatch(text):
        raise InputFault(ReasonCode.HEADER_INVALID, "signal file name")
    return text


def _sampling_frequency(text: str) -> float:
    match = _FREQUENCY.fullmatch(text)
    return checked_sampling_frequency(plain_number(match["frequency"]) if match else None)


def _n_samples(text: str) -> int | None:
    if not _COUNT.fullmatch(text):
        raise InputFault(ReasonCode.HEADER_INVALID, "number of samples")
    return int(text) or None


def _signal(line: str) -> SignalLine:
    fields = line.split(maxsplit=8)
    file_name = _file_name(fields[0])
    name, skew, byte_offset = _format(fields[1] if len(fields) > 1 else "")
    numbers = dict(enumerate(_whole_numbers(fields[3:8])))
    gain, baseline, factor = _gain(fields[2] if len(fields) > 2 else "")
    description = fields[8] if len(fields) > 8 else ""
    return SignalLine(
        file_name=file_name,
        format=name,
        skew=skew,
        byte_offset=byte_offset,
        gain=gain,
        mv_per_unit=factor,
        baseline=baseline if baseline is not None else numbers.get(_ADC_ZERO, 0),
        initial_value=numbers.get(_INITIAL_VALUE),
        checksum=numbers.get(_CHECKSUM),
        description=description,
        lead=standard_name(description),
    )


def _whole_numbers(texts: list[str]) -> list[int]:
    if texts and not _WHOLE_NUMBERS.fullmatch(" ".join(texts)):
        raise InputFault(ReasonCode.HEADER_INVALID, "signal line")
    return [int(text) for text in texts]


@lru_cache(maxsize=64)
def _format(text: str) -> tuple[str, int, int]:
    """Name, skew in samples, offset in bytes."""
    match = _FORMAT.fullmatch(text)
    if match is None or match["name"] not in FORMATS.keys() | _RARE_FORMATS:
        raise InputFault(ReasonCode.HEADER_INVALID, "signal format")
    if match["name"] in _RARE_FORMATS or int(match["per_frame"] or 1) != 1:
        raise InputFault(ReasonCode.WFDB_FORMAT_RARE)
    return match["name"], int(match["skew"] or 0), int(match["offset"] or 0)


@lru_cache(maxsize=64)
def _gain(text: str) -> tuple[float, int | None, float]:
    """Gain in counts per unit, baseline and mV per unit.

    The gain must be there: the format's own default of 200 would be a guess. Without a unit
    it is per mV, as the format says and as the PTB database relies on.
    """
    match = _GAIN.fullmatch(text)
    gain = plain_number(match["gain"]) if match else None
    if match is None or not gain or gain < 0:
        raise InputFault(ReasonCode.GAIN_INVALID)
    baseline = int(match["baseline"]) if match["baseline"] else None
    factor = mv_per_unit(match["unit"] or "mV")
    checked_gain(factor / gain)
    return gain, baseline, factor
