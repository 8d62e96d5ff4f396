"""The multiplex groups of a DICOM waveform, and which of them is the rhythm strip."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING

from ecgbatch.errors import Incomplete, InputFault, Refusal
from ecgbatch.readers.leads import n_usable, standard_name
from ecgbatch.terms import ReasonCode

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_CHANNELS = 256
_WAVEFORM_STORAGE = "1.2.840.10008.5.1.4.1.1.9."
_ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
_LEAD_CODE = re.compile(r"(?:5\.6\.3-9-|2:)(\d{1,4})", re.ASCII)
_LEADS = {
    **{1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF"},
    **{code: f"V{code - 2}" for code in range(3, 9)},
}
_INDEPENDENT = frozenset({"I", "II", "V1", "V2", "V3", "V4", "V5", "V6"})
_NOT_RHYTHM = re.compile("median|average|representative", re.IGNORECASE)
_TYPES = {
    **{("SB", 8): "i1", ("UB", 8): "u1", ("SS", 16): "i2", ("US", 16): "u2"},
    **{("SL", 32): "i4", ("UL", 32): "u4"},
}
_SKEWS = ("ChannelSampleSkew", "ChannelTimeSkew", "ChannelOffset")


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as it stands; numbers that are not there are None, texts empty."""

    name: str | None
    sensitivity: float | None
    correction: float | None
    baseline: float
    unit: str
    n_bits_stored: float | None
    is_aligned: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A multiplex group; `type` is a numpy type string, None for one that is not read."""

    is_original: bool
    n_channels: int
    n_samples: int
    frequency: float | None
    type: str | None
    padding: bytes = field(repr=False)
    content: bytes | None = field(repr=False)
    channels: tuple[Channel, ...] = field(repr=False)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(channel.name for channel in self.channels if channel.name)


def read_groups(dataset: "Dataset") -> tuple[Group, ...]:
    """All multiplex groups as they stand, derived ones too.

    Raises:
        Incomplete: a waveform object that ends before its waveform.
        InputFault: `format_pdf`, or an object of another kind (`dicom_variant_unsupported`).
    """
    if "WaveformSequence" in dataset:
        is_little_endian = dataset.original_encoding[1] is not False
        return tuple(_group(item, is_little_endian) for item in dataset.WaveformSequence)
    sop_class = str(dataset.get("SOPClassUID", ""))
    if sop_class == _ENCAPSULATED_PDF or "EncapsulatedDocument" in dataset:
        raise InputFault(ReasonCode.FORMAT_PDF)
    if sop_class.startswith(_WAVEFORM_STORAGE):
        raise Incomplete("waveform")
    raise InputFault(ReasonCode.DICOM_VARIANT_UNSUPPORTED, "no waveform")


def _group(item: "Dataset", is_little_endian: bool) -> Group:
    label = str(item.get("MultiplexGroupLabel", ""))
    originality = str(item.get("WaveformOriginality", "")).strip()
    bits = _number(item, "WaveformBitsAllocated")
    interpretation = str(item.get("WaveformSampleInterpretation", "")).strip()
    type_name = _TYPES.get((interpretation, int(bits or 0)))
    definitions = item.get("ChannelDefinitionSequence") or ()
    content = item.get("WaveformData")
    padding = item.get("WaveformPaddingValue")
    return Group(
        is_original=originality == "ORIGINAL" and _NOT_RHYTHM.search(label) is None,
        n_channels=int(_number(item, "NumberOfWaveformChannels") or 0),
        n_samples=int(_number(item, "NumberOfWaveformSamples") or 0),
        frequency=_number(item, "SamplingFrequency"),
        type=f"{'<' if is_little_endian else '>'}{type_name}" if type_name else None,
        padding=padding if isinstance(padding, bytes) else b"",
        content=content if isinstance(content, bytes) else None,
        channels=tuple(_channel(definition) for definition in definitions[:MAX_CHANNELS]),
    )


def _channel(definition: "Dataset") -> Channel:
    source = _first(definition.get("ChannelSourceSequence"))
    units = _first(definition.get("ChannelSensitivityUnitsSequence"))
    skews = (_number(definition, keyword) for keyword in _SKEWS)
    return Channel(
        name=_lead_name(source) if source is not None else None,
        sensitivity=_number(definition, "ChannelSensitivity"),
        correction=_number(definition, "ChannelSensitivityCorrectionFactor"),
        baseline=_number(definition, "ChannelBaseline") or 0.0,
        unit=str(units.get("CodeValue", "")).strip(" \0") if units is not None else "",
        n_bits_stored=_number(definition, "WaveformBitsStored"),
        is_aligned=not any(skews),
    )


def _first(sequence: "Sequence[Dataset] | None") -> "Dataset | None":
    return sequence[0] if sequence else None


def _lead_name(source: "Dataset") -> str | None:
    """The lead by its code (SCPECG or MDC), else by its meaning; None beyond the twelve."""
    meant = standard_name(str(source.get("CodeMeaning", "")).strip(" \0"))
    code = _LEAD_CODE.fullmatch(str(source.get("CodeValue", "")).strip(" \0"))
    if code is None:
        return meant
    name = _LEADS.get(int(code[1]))
    if meant is not None and meant != name:
        raise InputFault(ReasonCode.HEADER_INVALID, "lead code and meaning differ")
    return name


def _number(dataset: "Dataset", keyword: str) -> float | None:
    """A finite number; None where the attribute is absent or empty."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return None
    number = float(value)
    if not isfinite(number):
        raise InputFault(ReasonCode.HEADER_INVALID, keyword)
    return number


def chosen_group(groups: tuple[Group, ...]) -> Group:
    """The original group with the most usable leads, then the longest.

    Raises:
        Refusal: `no_rhythm_waveform` if there is none, or its leads stand one after another.
    """
    original = [group for group in groups if group.is_original and group.channels]
    if not original:
        raise Refusal(ReasonCode.NO_RHYTHM_WAVEFORM)
    best = max(original, key=lambda group: (n_usable(group.names), _duration_s(group)))
    together = frozenset[str]().union(*(group.names for group in original))
    if not best.names >= _INDEPENDENT and together >= _INDEPENDENT:
        # The leads were recorded one after another, three at a time.
        raise Refusal(ReasonCode.NO_RHYTHM_WAVEFORM, "leads not simultaneous")
    return best


def _duration_s(group: Group) -> float:
    return group.n_samples / group.frequency if group.frequency else 0.0
