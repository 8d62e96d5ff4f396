"""Philips SierraECG / PageWriter XML: the parsed waveforms, never the representative beats."""

from dataclasses import dataclass

import numpy as np

from ecgbatch.errors import InputFault, Refusal
from ecgbatch.readers.assembly import assemble, refusals_of
from ecgbatch.readers.leads import standard_name
from ecgbatch.readers.philips_identity import read_identity, read_statements
from ecgbatch.readers.philips_xli import decompress
from ecgbatch.readers.scaling import (
    StoredLead,
    checked_gain,
    checked_sampling_frequency,
    plain_number,
)
from ecgbatch.readers.vendor_xml import MAX_VALUES, base64_content, reader_findings, stored_lead
from ecgbatch.readers.xml import Node, empty_node, parse_xml, root_name
from ecgbatch.records import Counts, Recording, RecordingBytes
from ecgbatch.terms import LEADS, WINDOW_S, ReasonCode

NAME = "philips"
VERSION = "1"

_ROOT = "restingecgdata"
_TYPES = frozenset({"SierraECG", "PhilipsECG"})
_VERSIONS = frozenset({"1.03", "1.04", "1.04.01", "1.04.02"})
_OLD_VERSION = "1.03"
_STANDARD_ACQUISITIONS = frozenset({"STD-12", "10-WIRE"})
_MV_PER_MICROVOLT = 1e-3
_BYTES_PER_SAMPLE = 2


@dataclass(frozen=True, slots=True)
class _Layout:
    """What is said of the samples.

    Attributes:
        labels: as the file spells them, in stored order.
        n_samples: of every lead, calibration pulse included.
    """

    labels: tuple[str, ...]
    sampling_frequency: float
    mv_per_count: float
    n_samples: int
    is_compressed: bool


def recognises(head: bytes) -> bool:
    """Whether the root element is a restingecgdata, in any namespace and encoding."""
    return root_name(head) == _ROOT


def read(source: RecordingBytes) -> Recording:
    """Decode the first 10 s of the parsed waveforms: after them comes a calibration pulse.

    Raises:
        Incomplete: the document ends before its root closes.
        InputFault: a document type, version or coding that is not read; damaged samples, an
            unknown gain or sampling frequency.
        Refusal: `no_rhythm_waveform`, or none of the twelve leads in it.
    """
    document = parse_xml(source.first)
    version = _version(document.root)
    statements = read_statements(document.root)
    with refusals_of(NAME, VERSION, lambda: read_identity(document.root), lambda: statements):
        waveform = _waveform(document.root)
    layout = _layout(waveform, _characteristics(document.root), version)
    counts = _without_residuals(layout.labels, _stored_counts(waveform, layout))
    stored = _leads(layout, counts)
    return assemble(
        NAME,
        VERSION,
        stored,
        layout.sampling_frequency,
        identity=read_identity(document.root),
        statements=statements,
        findings=reader_findings(document),
    )


def _version(root: Node) -> str:
    if root.text_at("documentinfo", "documenttype") not in _TYPES:
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "documenttype")
    version = root.text_at("documentinfo", "documentversion")
    if version not in _VERSIONS:
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "documentversion")
    return version


def _waveform(root: Node) -> Node:
    found = [
        node for parent in root.children("waveforms") for node in parent.children("parsedwaveforms")
    ]
    if not found:
        raise Refusal(ReasonCode.NO_RHYTHM_WAVEFORM)
    if len(found) > 1:
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "parsedwaveforms")
    return found[0]


def _characteristics(root: Node) -> Node:
    node = root.child("dataacquisition", "signalcharacteristics")
    return node or empty_node("signalcharacteristics")


def _layout(waveform: Node, characteristics: Node, version: str) -> _Layout:
    is_old = version == _OLD_VERSION
    gain_name = "signalresolution" if is_old else "resolution"
    frequency = _stated(waveform, "samplespersecond", characteristics, "samplingrate")
    gain = plain_number(_stated(waveform, "resolution", characteristics, gain_name))
    if gain is None:
        raise InputFault(ReasonCode.GAIN_INVALID)
    _refuse_other_samples(waveform, characteristics)
    labels = _standard_labels(characteristics) if is_old else _labels(waveform)
    sampling_frequency = checked_sampling_frequency(plain_number(frequency))
    return _Layout(
        labels=labels,
        sampling_frequency=sampling_frequency,
        mv_per_count=checked_gain(gain * _MV_PER_MICROVOLT),
        n_samples=_n_samples(waveform, sampling_frequency, len(labels)),
        is_compressed=_is_compressed(waveform),
    )


def _stated(waveform: Node, name: str, characteristics: Node, other: str) -> str:
    """What the waveform says of itself, else what the acquisition says of all signals."""
    return waveform.attribute(name) or characteristics.text_at(other)


def _refuse_other_samples(waveform: Node, characteristics: Node) -> None:
    """Only signed 16-bit samples without an offset, in Base64, are read."""
    bits = waveform.attribute("nbitspersample") or _stated(
        waveform, "bitspersample", characteristics, "bitspersample"
    )
    stated = {
        "bitspersample": bits in {"", "16"},
        "signalsigned": _stated(waveform, "signalsigned", characteristics, "signalsigned").lower()
        in {"", "true"},
        "signaloffset": plain_number(
            _stated(waveform, "signaloffset", characteristics, "signaloffset") or "0"
        )
        == 0,
        "dataencoding": waveform.attribute("dataencoding").lower() in {"", "base64"},
    }
    for name, is_read in stated.items():
        if not is_read:
            raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, name)


def _standard_labels(characteristics: Node) -> tuple[str, ...]:
    """Version 1.03 names no leads: the standard twelve, if the acquisition is one of them."""
    acquisition = characteristics.text_at("acquisitiontype")
    n_leads = characteristics.text_at("numberchannelsallocated")
    if acquisition not in _STANDARD_ACQUISITIONS or n_leads != str(len(LEADS)):
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "acquisitiontype")
    return LEADS


def _labels(waveform: Node) -> tuple[str, ...]:
    labels = tuple(waveform.attribute("leadlabels").split())
    if not labels or waveform.attribute("numberofleads") != str(len(labels)):
        raise InputFault(ReasonCode.HEADER_INVALID, "numberofleads")
    return labels


def _n_samples(waveform: Node, sampling_frequency: float, n_leads: int) -> int:
    duration = plain_number(waveform.attribute("durationperchannel"))
    n_samples = (duration or 0.0) * sampling_frequency / 1000
    if not n_samples or n_samples < 0 or not n_samples.is_integer():
        raise InputFault(ReasonCode.HEADER_INVALID, "durationperchannel")
    if n_samples * n_leads > MAX_VALUES:
        raise InputFault(ReasonCode.XML_LIMIT, "durationperchannel")
    return int(n_samples)


def _is_compressed(waveform: Node) -> bool:
    flag = waveform.attribute("compressflag").lower()
    method = waveform.attribute("compression") or waveform.attribute("compressmethod")
    if flag == "false" or (not flag and method.upper() in {"", "NONE"}):
        return False
    if method.upper() != "XLI":
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "compression")
    return True


def _stored_counts(waveform: Node, layout: _Layout) -> tuple[Counts, ...]:
    content = base64_content(waveform.text)
    n_leads = len(layout.labels)
    if layout.is_compressed:
        return decompress(content, n_leads, layout.n_samples)
    if len(content) != _BYTES_PER_SAMPLE * n_leads * layout.n_samples:
        raise InputFault(ReasonCode.SIZE_MISMATCH)
    return tuple(np.frombuffer(content, dtype="<i2").astype(np.int64).reshape(n_leads, -1))


def _without_residuals(labels: tuple[str, ...], stored: tuple[Counts, ...]) -> dict[str, Counts]:
    """Counts by label. The limb leads but I and II are stored as what their equations miss."""
    counts = {
        standard_name(label) or label: lead for label, lead in zip(labels, stored, strict=True)
    }
    if len(counts) != len(labels):
        raise InputFault(ReasonCode.LEAD_DUPLICATED)
    if not {"I", "II"} <= counts.keys():
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "leadlabels")
    one, two = counts["I"], counts["II"]
    three = two - one - counts.get("III", np.zeros_like(one))
    expected = {
        "III": two - one,
        "aVR": -((one + two) >> 1),
        "aVL": (one - three) >> 1,
        "aVF": (two + three) >> 1,
    }
    limb = {name: expected[name] - counts[name] for name in expected if name in counts}
    return counts | limb


def _leads(layout: _Layout, counts: dict[str, Counts]) -> tuple[StoredLead, ...]:
    n_kept = min(layout.n_samples, round(WINDOW_S * layout.sampling_frequency))
    gain = layout.mv_per_count
    kept = {name: counts[name][:n_kept] for name in LEADS if name in counts}
    return tuple(stored_lead(name, lead, gain) for name, lead in kept.items())
