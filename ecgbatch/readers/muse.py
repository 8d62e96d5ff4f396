"""GE MUSE RestingECG XML: the rhythm strip, never the median beat."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ecgbatch.errors import InputFault, Refusal
from ecgbatch.readers.assembly import assemble, refusals_of
from ecgbatch.readers.leads import n_usable, standard_name
from ecgbatch.readers.muse_identity import read_identity
from ecgbatch.readers.scaling import (
    StoredLead,
    checked_gain,
    checked_sampling_frequency,
    mv_per_unit,
    plain_number,
)
from ecgbatch.readers.vendor_xml import INVALID_COUNT, base64_content
from ecgbatch.readers.xml import Document, Node, parse_xml, root_name
from ecgbatch.records import Finding, Recording, RecordingBytes
from ecgbatch.terms import ReasonCode

NAME = "muse"
VERSION = "1"

_ROOT = "RestingECG"
_UNITS = {"MICROVOLTS": "uV", "MILLIVOLTS": "mV"}
_Fields = Mapping[str, str]
"""Texts below one LeadData."""
_BYTES_PER_SAMPLE = 2


@dataclass(frozen=True, slots=True)
class _Lead:
    """One LeadData: `stored` is None for a lead beyond the twelve, `is_off` as the cart says."""

    stored: StoredLead | None
    has_crc: bool
    is_off: bool


def recognises(head: bytes) -> bool:
    """Whether the root element is a RestingECG, in any namespace and encoding."""
    return root_name(head) == _ROOT


def read(source: RecordingBytes) -> Recording:
    """Decode the rhythm strip with the most usable leads, then the most samples.

    Raises:
        Incomplete: the document ends before its root closes.
        InputFault: not well formed, damaged samples, unknown unit, gain or sampling frequency.
        Refusal: `no_rhythm_waveform`, or none of the twelve leads in it.
    """
    document = parse_xml(source.first)
    statements = _statements(document.root)
    with refusals_of(NAME, VERSION, lambda: read_identity(document.root), lambda: statements):
        waveform = _rhythm(document.root)
    leads = tuple(_read_lead(node.fields()) for node in waveform.children("LeadData"))
    stored = tuple(lead.stored for lead in leads if lead.stored)
    frequency = _sampling_frequency(waveform)
    return assemble(
        NAME,
        VERSION,
        stored,
        frequency,
        identity=read_identity(document.root),
        statements=statements,
        findings=_findings(document, leads),
    )


def _findings(document: Document, leads: tuple[_Lead, ...]) -> tuple[Finding, ...]:
    repaired = Finding(check="encoding", reason=ReasonCode.ENCODING_REPAIRED)
    unprotected = Finding(check="checksum", reason=ReasonCode.CHECKSUM_ABSENT)
    return (
        *((repaired,) if document.is_repaired else ()),
        *(() if all(lead.has_crc for lead in leads) else (unprotected,)),
        *(
            Finding(check="lead_off", reason=ReasonCode.LEAD_OFF, lead=lead.stored.name)
            for lead in leads
            if lead.is_off and lead.stored
        ),
    )


def _rhythm(root: Node) -> Node:
    strips = [
        node
        for node in root.children("Waveform")
        if node.text_at("WaveformType").casefold() == "rhythm" and any(node.children("LeadData"))
    ]
    if not strips:
        raise Refusal(ReasonCode.NO_RHYTHM_WAVEFORM)
    strip = max(strips, key=_usable) if len(strips) > 1 else strips[0]
    if strip.text_at("SampleType") not in {"", "CONTINUOUS_SAMPLES"}:
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "SampleType")
    return strip


def _usable(waveform: Node) -> tuple[int, float]:
    leads = tuple(waveform.children("LeadData"))
    names = (standard_name(node.text_at("LeadID")) for node in leads)
    lengths = (plain_number(node.text_at("LeadSampleCountTotal")) or 0.0 for node in leads)
    return n_usable(names), max(lengths)


def _sampling_frequency(waveform: Node) -> float:
    base = plain_number(waveform.text_at("SampleBase"))
    exponent = plain_number(waveform.text_at("SampleExponent") or "0")
    # Six powers of ten either way lead from any base out of the legal range.
    if base is None or exponent is None or not float(exponent).is_integer() or abs(exponent) > 6:
        raise InputFault(ReasonCode.SAMPLING_FREQUENCY_INVALID)
    return checked_sampling_frequency(base * 10.0 ** int(exponent))


def _read_lead(fields: _Fields) -> _Lead:
    name = standard_name(fields.get("LeadID", ""))
    _refuse_offsets(fields)
    content = _samples(fields)
    has_crc = _check_crc(fields, content)
    if name is None:
        return _Lead(None, has_crc, is_off=False)
    is_off = fields.get("LeadOff", "").upper() == "TRUE"
    return _Lead(_stored_lead(name, content, fields), has_crc, is_off)


def _stored_lead(name: str, content: bytes, fields: _Fields) -> StoredLead:
    mv_per_count = _mv_per_count(fields)
    stored = np.frombuffer(content, dtype="<i2")
    baseline = _whole_number(fields, "FirstSampleBaseline")
    counts = stored.astype(np.int64) - baseline if baseline else stored
    millivolts = counts.astype(np.float64)
    millivolts *= mv_per_count
    if stored.min() == INVALID_COUNT:
        millivolts[stored == INVALID_COUNT] = np.nan
    return StoredLead(name, counts, mv_per_count, millivolts)


def _mv_per_count(fields: _Fields) -> float:
    unit = mv_per_unit(_UNITS.get(fields.get("LeadAmplitudeUnits", "").upper(), "?"))
    units_per_bit = plain_number(fields.get("LeadAmplitudeUnitsPerBit", ""))
    if units_per_bit is None:
        raise InputFault(ReasonCode.GAIN_INVALID)
    return checked_gain(units_per_bit * unit)


def _refuse_offsets(fields: _Fields) -> None:
    for name in ("LeadOffsetFirstSample", "LeadTimeOffset"):
        if plain_number(fields.get(name) or "0") != 0:
            raise InputFault(ReasonCode.SAMPLE_OFFSET_UNSUPPORTED)


def _samples(fields: _Fields) -> bytes:
    """The bytes of the samples, as many as the lead declares."""
    if (fields.get("LeadSampleSize") or "2") != str(_BYTES_PER_SAMPLE):
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "LeadSampleSize")
    content = base64_content(fields.get("WaveFormData", ""))
    if len(content) % _BYTES_PER_SAMPLE:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED)
    _check_size(fields, "LeadByteCountTotal", len(content))
    _check_size(fields, "LeadSampleCountTotal", len(content) // _BYTES_PER_SAMPLE)
    if not content:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "no samples")
    return content


def _check_size(fields: _Fields, name: str, size: int) -> None:
    if fields.get(name) and _whole_number(fields, name) != size:
        raise InputFault(ReasonCode.SIZE_MISMATCH, name)


def _check_crc(fields: _Fields, content: bytes) -> bool:
    """Whether the lead has a CRC, which then fits; 0 and nothing mean that it has none."""
    declared = fields.get("LeadDataCRC32", "")
    if plain_number(declared or "0") == 0:
        return False
    if declared != str(zlib.crc32(content)):
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "crc")
    return True


def _whole_number(fields: _Fields, name: str) -> int:
    value = plain_number(fields.get(name) or "0")
    if value is None or not value.is_integer():
        raise InputFault(ReasonCode.HEADER_INVALID, name)
    return int(value)


def _statements(root: Node) -> tuple[str, ...]:
    texts = (
        statement.text_at("StmtText")
        for diagnosis in root.children("Diagnosis")
        for statement in diagnosis.children("DiagnosisStatement")
    )
    return tuple(text for text in texts if text)
