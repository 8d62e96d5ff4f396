"""GE CardioSoft / CASE XML: the strip, or the full disclosure of a resting ECG."""

from collections.abc import Iterable

import numpy as np

from ecgbatch.errors import InputFault, Refusal
from ecgbatch.readers.assembly import assemble, refusals_of
from ecgbatch.readers.cardiosoft_identity import read_identity
from ecgbatch.readers.leads import standard_name
from ecgbatch.readers.scaling import (
    checked_gain,
    checked_sampling_frequency,
    plain_number,
)
from ecgbatch.readers.vendor_xml import (
    decimals,
    ensure_bounded,
    reader_findings,
    stored_lead,
    whole_number,
)
from ecgbatch.readers.xml import Node, parse_xml, root_name
from ecgbatch.records import Counts, Recording, RecordingBytes
from ecgbatch.terms import ReasonCode

NAME = "cardiosoft"
VERSION = "1"

_ROOT = "CardiologyXML"
_UNITS = "uvperlsb"
_MV_PER_UV = 1e-3
_ROUNDING_COUNTS = 2
"""III = II - I, where each of the three is rounded to a whole count."""
_SHARE_KEPT = 0.99


def recognises(head: bytes) -> bool:
    """Whether the root element is a CardiologyXML."""
    return root_name(head) == _ROOT


def read(source: RecordingBytes) -> Recording:
    """Decode StripData, else FullDisclosure; the median samples and vector loops never.

    Raises:
        Incomplete: the document ends before its root closes.
        InputFault: not well formed, no resting ECG, several strips, damaged samples, unknown
            unit, gain or sampling frequency.
        Refusal: `no_rhythm_waveform`, or none of the twelve leads.
    """
    document = parse_xml(source.first)
    root = document.root
    _refuse_exercise(root)
    statements = _statements(root)
    with refusals_of(NAME, VERSION, lambda: read_identity(root), lambda: statements):
        section = _section(root)
        frequency, mv_per_count = _sampling_frequency(section), _mv_per_count(section)
        leads = _strip(section) if section.name == "StripData" else _disclosed(section, frequency)
        stored = tuple(stored_lead(name, counts, mv_per_count) for name, counts in leads)
    return assemble(
        NAME,
        VERSION,
        stored,
        frequency,
        identity=read_identity(root),
        statements=statements,
        findings=reader_findings(document),
    )


def _refuse_exercise(root: Node) -> None:
    kind = root.text_at("ObservationType").casefold()
    if kind and not kind.startswith("rest"):
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "ObservationType")


def _section(root: Node) -> Node:
    """The only strip, else the full disclosure."""
    strips = [node for node in root.children("StripData") if any(node.children("WaveformData"))]
    if len(strips) > 1:
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "StripData")
    sections = (*strips, *root.children("FullDisclosure"))
    if not sections:
        raise Refusal(ReasonCode.NO_RHYTHM_WAVEFORM)
    return sections[0]


def _sampling_frequency(section: Node) -> float:
    node = next(section.children("SampleRate"), None)
    if node is None or node.attribute("units").casefold() not in {"hz", ""}:
        raise InputFault(ReasonCode.SAMPLING_FREQUENCY_INVALID)
    return checked_sampling_frequency(plain_number(node.text.strip()))


def _mv_per_count(section: Node) -> float:
    node = next(section.children("Resolution"), None)
    resolution = plain_number(node.text.strip()) if node else None
    if node is None or resolution is None:
        raise InputFault(ReasonCode.GAIN_INVALID)
    if node.attribute("units").casefold() != _UNITS:
        raise InputFault(ReasonCode.UNIT_UNKNOWN)
    return checked_gain(resolution * _MV_PER_UV)


def _strip(section: Node) -> Iterable[tuple[str, Counts]]:
    waveforms = tuple(section.children("WaveformData"))
    ensure_bounded(waveform.text for waveform in waveforms)
    declared = whole_number(section.text_at("NumberOfLeads"), "NumberOfLeads")
    if declared not in {None, len(waveforms)}:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "NumberOfLeads")
    size = whole_number(section.text_at("ChannelSampleCountTotal"), "ChannelSampleCountTotal")
    every = [(standard_name(_lead(node)), _whole(node.text, size)) for node in waveforms]
    return [(name, counts) for name, counts in every if name]


def _lead(waveform: Node) -> str:
    """Versions differ in how they write the attribute, too."""
    return waveform.attribute("lead") or waveform.attribute("Lead") or waveform.attribute("LEAD")


def _whole(text: str, declared: int | None) -> Counts:
    counts, places = decimals(text, declared)
    if places:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED)
    return counts


def _disclosed(section: Node, frequency: float) -> Iterable[tuple[str, Counts]]:
    """Blocks of one second: all samples of the first lead, then of the second, and so on.

    The same numbers could be meant sample by sample, which no field of the file tells apart.
    So the layout counts as known only where the limb leads obey Einthoven's law in it.
    """
    order = section.text_at("LeadOrder").strip(", \t\r\n").split(",")
    names = tuple(standard_name(text) for text in order)
    channels = whole_number(section.text_at("NumberOfChannels"), "NumberOfChannels")
    if channels not in {None, len(names)}:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "NumberOfChannels")
    signal = _without_lead_in(_blocks(section, len(names), frequency))
    if not _obeys_einthoven(names, signal):
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "FullDisclosure")
    return [(name, counts) for name, counts in zip(names, signal, strict=True) if name]


def _blocks(section: Node, n_leads: int, frequency: float) -> Counts:
    """Counts (n_leads, n_samples)."""
    data = next(section.children("FullDisclosureData"), None)
    if data is None:
        raise Refusal(ReasonCode.NO_RHYTHM_WAVEFORM)
    ensure_bounded((data.text,))
    counts = _whole(data.text, None)
    declared = whole_number(data.text_at("SampleCountTotal"), "SampleCountTotal")
    if declared not in {None, counts.size, counts.size / n_leads}:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "SampleCountTotal")
    if not frequency.is_integer() or counts.size % (n_leads * int(frequency)):
        raise InputFault(ReasonCode.SIZE_MISMATCH, "FullDisclosureData")
    blocks = counts.reshape(-1, n_leads, int(frequency))
    return blocks.transpose(1, 0, 2).reshape(n_leads, -1)


def _without_lead_in(signal: Counts) -> Counts:
    """From the first sample at which a lead is not zero; until then nothing was recorded."""
    recorded = np.flatnonzero(signal.any(axis=0))
    return signal[:, recorded[0] :] if recorded.size else signal


def _obeys_einthoven(names: tuple[str | None, ...], signal: Counts) -> bool:
    """Whether III = II - I in nearly all samples at which anything was recorded."""
    if not {"I", "II", "III"} <= set(names):
        return False
    one, two, three = (signal[names.index(name)] for name in ("I", "II", "III"))
    is_kept = np.abs(two - one - three) <= _ROUNDING_COUNTS
    return bool(is_kept[signal.any(axis=0)].sum() >= _SHARE_KEPT * signal.any(axis=0).sum())


def _statements(root: Node) -> tuple[str, ...]:
    texts = (
        line.text.strip()
        for interpretation in root.children("Interpretation")
        for part, name in (("Diagnosis", "DiagnosisText"), ("Conclusion", "ConclusionText"))
        for section in interpretation.children(part)
        for line in section.children(name)
    )
    return tuple(text for text in texts if text)
