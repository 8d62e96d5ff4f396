"""HL7 aECG (AnnotatedECG): the rhythm series, never a derived one."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import InputFault, Refusal
from ecgbatch.readers.aecg_identity import read_identity, read_statements
from ecgbatch.readers.assembly import assemble, refusals_of
from ecgbatch.readers.leads import n_usable, standard_name
from ecgbatch.readers.number_lists import whole_numbers
from ecgbatch.readers.scaling import (
    MIN_SAMPLING_FREQUENCY,
    StoredLead,
    checked_gain,
    checked_sampling_frequency,
    mv_per_unit,
    plain_number,
    without_invalid,
)
from ecgbatch.readers.vendor_xml import INVALID_COUNT, MAX_VALUES, reader_findings
from ecgbatch.readers.xml import Node, empty_node, parse_xml, root_name
from ecgbatch.records import Finding, Recording, RecordingBytes
from ecgbatch.terms import WINDOW_S, ReasonCode

NAME = "aecg"
VERSION = "1"

_ROOT = "AnnotatedECG"
_RHYTHMS = frozenset({"RHYTHM", "ECG_RHYTHM_WAVEFORMS"})
_TIMES = frozenset({"TIME_ABSOLUTE", "TIME_RELATIVE"})
_INCREMENTS_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "μs": 1e6}
_REPAIR_TOLERANCE = 0.02
_MAX_PLACES = 6
_MAX_CHARACTERS = 20
_MAX_COUNT = 2.0**31
_NOT_IN_NUMBERS = re.compile(r"[^0-9.+\- \t\r\n]")


@dataclass(frozen=True, slots=True)
class _Increment:
    """Step of the time axis as the file states it."""

    value: float
    unit: str

    @property
    def sampling_frequency(self) -> float:
        """Hz, not yet checked."""
        return _INCREMENTS_PER_SECOND[self.unit] / self.value


def recognises(head: bytes) -> bool:
    """Whether the root element is an AnnotatedECG, in any namespace and encoding."""
    return root_name(head) == _ROOT


def read(source: RecordingBytes) -> Recording:
    """Decode the sequence set of a rhythm series that has the most usable leads.

    Raises:
        Incomplete: the document ends before its root closes.
        InputFault: not well formed, damaged digits, unknown unit, scale or increment.
        Refusal: `no_rhythm_waveform`, or none of the twelve leads in it.
    """
    document = parse_xml(source.first)
    root = document.root
    with refusals_of(NAME, VERSION, lambda: read_identity(root, _any_series(root), "")):
        series, sequences = _rhythm(root)
    stored = _read_leads(sequences)
    n_samples = max((lead.counts.size for lead in stored), default=0)
    stated, repairs = repaired_frequency(_increment(sequences), n_samples)
    frequency = checked_sampling_frequency(stated)
    statements = read_statements(series)
    return assemble(
        NAME,
        VERSION,
        stored,
        frequency,
        identity=read_identity(root, series, _head(sequences)),
        statements=statements,
        findings=(*reader_findings(document), *repairs),
    )


def repaired_frequency(increment: _Increment, n_samples: int) -> tuple[float, tuple[Finding, ...]]:
    """Sampling frequency in Hz, and what was repaired.

    An exporter writes milliseconds and calls them seconds. Its number is read as ms only if
    the stated one is below every sampling frequency and the record is then 10 s long.
    """
    stated = increment.sampling_frequency
    duration = n_samples * increment.value / 1000
    is_ten_seconds = abs(duration - WINDOW_S) <= _REPAIR_TOLERANCE * WINDOW_S
    if increment.unit != "s" or stated >= MIN_SAMPLING_FREQUENCY or not is_ten_seconds:
        return stated, ()
    repair = Finding(
        check="aecg_increment",
        reason=ReasonCode.AECG_INCREMENT_REPAIRED,
        value=stated,
        limit=MIN_SAMPLING_FREQUENCY,
    )
    return 1000 / increment.value, (repair,)


def _rhythm(root: Node) -> tuple[Node, tuple[Node, ...]]:
    """The series, and the sequences of its set with the most usable leads."""
    sets = [
        (series, tuple(_sequences(sequence_set)))
        for component in root.children("component")
        for series in component.children("series")
        if _code(series) in _RHYTHMS
        for sequence_set in _sequence_sets(series)
    ]
    found = [pair for pair in sets if any(_code(node) not in _TIMES for node in pair[1])]
    if not found:
        raise Refusal(ReasonCode.NO_RHYTHM_WAVEFORM)
    return max(found, key=lambda pair: _usable(pair[1]))


def _any_series(root: Node) -> Node:
    """The first series, whatever it holds; an empty one where there is none."""
    every = (series for part in root.children("component") for series in part.children("series"))
    return next(every, empty_node("series"))


def _sequence_sets(series: Node) -> Iterator[Node]:
    for component in series.children("component"):
        yield from component.children("sequenceSet")


def _sequences(sequence_set: Node) -> Iterator[Node]:
    for component in sequence_set.children("component"):
        yield from component.children("sequence")


def _usable(sequences: Sequence[Node]) -> tuple[int, int]:
    names = (standard_name(_code(node)) for node in sequences)
    return n_usable(names), max(len(node.text_at("value", "digits")) for node in sequences)


def _code(node: Node) -> str:
    code = node.child("code")
    return code.attribute("code") if code else ""


def _type(value: Node) -> str:
    """The stated data type without the prefix of its namespace."""
    return value.attribute("type").rpartition(":")[2]


def _times(sequences: Sequence[Node]) -> Iterator[Node]:
    for node in sequences:
        value = node.child("value")
        if value is not None and _code(node) in _TIMES:
            yield value


def _head(sequences: Sequence[Node]) -> str:
    """Time of the first sample, where the time axis is an absolute one."""
    heads = (value.child("head") for value in _times(sequences) if _type(value) == "GLIST_TS")
    return next((head.attribute("value") for head in heads if head), "")


def _increment(sequences: Sequence[Node]) -> _Increment:
    stated = {_stated_increment(value) for value in _times(sequences)}
    if len(stated) != 1:
        raise InputFault(ReasonCode.SAMPLING_FREQUENCY_INVALID, "increment")
    return stated.pop()


def _stated_increment(value: Node) -> _Increment:
    node = value.child("increment")
    step = plain_number(node.attribute("value")) if node else None
    unit = node.attribute("unit").casefold() if node else ""
    if not step or step < 0 or unit not in _INCREMENTS_PER_SECOND:
        raise InputFault(ReasonCode.SAMPLING_FREQUENCY_INVALID, "increment")
    return _Increment(step, unit)


def _read_leads(sequences: Sequence[Node]) -> tuple[StoredLead, ...]:
    leads = []
    n_values = 0
    for node in sequences:
        name = standard_name(_code(node))
        if name is None:
            continue
        lead = _read_lead(name, node)
        n_values += lead.counts.size
        if n_values > MAX_VALUES:
            raise InputFault(ReasonCode.XML_LIMIT, "values")
        leads.append(lead)
    return tuple(leads)


def _read_lead(name: str, node: Node) -> StoredLead:
    """mV = origin + digits x scale, each in its own unit."""
    value = node.child("value")
    if value is None or _type(value) != "SLIST_PQ":
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "value")
    digits = _digits(value.text_at("digits"))
    scale = checked_gain(_millivolts(value, "scale", ReasonCode.GAIN_INVALID))
    origin = _millivolts(value, "origin", ReasonCode.HEADER_INVALID)
    millivolts = without_invalid(origin + digits * scale, digits == INVALID_COUNT)
    baseline = origin / scale
    if abs(baseline) > _MAX_COUNT:
        raise InputFault(ReasonCode.HEADER_INVALID, "origin")
    places = _places(digits, baseline)
    counts = np.rint((digits + baseline) * 10.0**places).astype(np.int64)
    return StoredLead(name, counts, scale / 10.0**places, millivolts)


def _places(digits: NDArray[np.float64], baseline: float) -> int:
    """Decimal places that it takes to write digits and baseline as whole counts."""
    for places in range(_MAX_PLACES):
        shifted = np.append(digits, baseline) * 10.0**places
        if np.all(np.abs(shifted - np.rint(shifted)) < 1e-6):
            return places
    return _MAX_PLACES


def _millivolts(value: Node, name: str, absent: ReasonCode) -> float:
    """`origin` or `scale` in mV; an origin of 0 needs no unit."""
    node = value.child(name)
    number = plain_number(node.attribute("value")) if node else None
    if node is None or number is None:
        raise InputFault(absent, name)
    if number == 0:
        return 0.0
    return number * mv_per_unit(node.attribute("unit"))


def _digits(text: str) -> NDArray[np.float64]:
    """Whole or decimal numbers between blanks and line breaks, (n_samples,)."""
    whole = whole_numbers(text)
    digits = _decimals(text) if whole is None else whole.astype(np.float64)
    if digits.size > MAX_VALUES:
        raise InputFault(ReasonCode.XML_LIMIT, "values")
    if np.abs(digits).max() > _MAX_COUNT:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "digits")
    return digits


def _decimals(text: str) -> NDArray[np.float64]:
    if _NOT_IN_NUMBERS.search(text):
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "digits")
    numbers = text.split()
    if not numbers:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "no samples")
    if len(numbers) > MAX_VALUES:
        raise InputFault(ReasonCode.XML_LIMIT, "values")
    if max(map(len, numbers)) > _MAX_CHARACTERS:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "digits")
    try:
        return np.array([float(number) for number in numbers])
    except ValueError:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "digits") from None
