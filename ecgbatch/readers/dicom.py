"""DICOM waveforms: the original 12-lead group, whatever the SOP class says, never the median."""

import re
import zlib

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.readers.assembly import assemble, refusals_of
from ecgbatch.readers.dicom_groups import Channel, Group, chosen_group, read_groups
from ecgbatch.readers.dicom_identity import dicom_faults, parse, read_identity, read_statements
from ecgbatch.readers.scaling import (
    StoredLead,
    checked_gain,
    checked_sampling_frequency,
    mv_per_unit,
    without_invalid,
)
from ecgbatch.records import Counts, Recording, RecordingBytes
from ecgbatch.terms import LEADS, ReasonCode

NAME = "dicom"
VERSION = "1"

MAX_BYTES = 64 * 1024 * 1024

_PREAMBLE = 128
_MAGIC = b"DICM"
_BARE = re.compile(rb"[\x02\x08]\x00..(?:UL|UI|CS|DA|TM|LO|SH|OB|PN|DT)", re.DOTALL)
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_EXPLICIT = b"1.2.840.10008.1.2.1".ljust(len(_DEFLATED), b"\0")
_META_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
_PADDING_RUN_S = 0.2
"""Padding that is a legal sample is taken for padding if all channels hold it for so long."""
_LARGEST_COUNT = 2.0**52


def recognises(head: bytes) -> bool:
    """Whether `DICM` follows the preamble, or a data set in explicit VR starts at once."""
    return head[_PREAMBLE : _PREAMBLE + 4] == _MAGIC or _BARE.match(head) is not None


def read(source: RecordingBytes) -> Recording:
    """Decode the original group with the most usable leads, then the longest.

    mV = count x sensitivity x correction factor + baseline, each channel in its own unit.

    Raises:
        Incomplete: the data set ends early.
        InputFault: no waveform at all, a coding that is not read, sizes that contradict each
            other, unknown unit or gain, or pydicom is not installed.
        Refusal: `no_rhythm_waveform` (only a derived group, or leads one after another), or
            none of the twelve leads.
    """
    dataset = parse(_expanded(source.first))
    with dicom_faults():
        groups = read_groups(dataset)
    with refusals_of(
        NAME, VERSION, lambda: read_identity(dataset), lambda: read_statements(dataset)
    ):
        group = chosen_group(groups)
    frequency = checked_sampling_frequency(group.frequency)
    stored = _stored_leads(group, _samples(group), frequency)
    statements = read_statements(dataset)
    return assemble(
        NAME,
        VERSION,
        stored,
        frequency,
        identity=read_identity(dataset),
        statements=statements,
    )


def _expanded(content: bytes) -> bytes:
    """The same file in explicit VR; what is deflated expands to 64 MiB at most."""
    if len(content) > MAX_BYTES:
        raise InputFault(ReasonCode.EXPANSION_LIMIT)
    start = _PREAMBLE + len(_MAGIC)
    head = content[:4096]
    if _DEFLATED not in head or head[start : start + 8] != _META_LENGTH:
        return content
    end = start + 12 + int.from_bytes(content[start + 8 : start + 12], "little")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(content[end:], MAX_BYTES)
    except zlib.error:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "deflated") from None
    if inflater.unconsumed_tail:
        raise InputFault(ReasonCode.EXPANSION_LIMIT)
    if not inflater.eof:
        raise Incomplete("deflated")
    return content[:end].replace(_DEFLATED, _EXPLICIT) + data


def _samples(group: Group) -> NDArray[np.integer]:
    """Stored counts, (n_channels, n_samples)."""
    if group.content is None:
        raise Incomplete("waveform data")
    if group.type is None:
        raise InputFault(ReasonCode.DICOM_VARIANT_UNSUPPORTED, "sample interpretation")
    kind = np.dtype(group.type)
    size = group.n_channels * group.n_samples * kind.itemsize
    if group.n_channels != len(group.channels) or size <= 0:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "channels")
    # A value of odd length is padded with one byte.
    if len(group.content) != size + size % 2:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "waveform data")
    counts = np.frombuffer(group.content, dtype=kind, count=size // kind.itemsize)
    return counts.reshape(group.n_samples, group.n_channels).T


def _stored_leads(
    group: Group, counts: NDArray[np.integer], frequency: float
) -> tuple[StoredLead, ...]:
    if not all(channel.is_aligned for channel in group.channels):
        raise InputFault(ReasonCode.SAMPLE_OFFSET_UNSUPPORTED)
    invalid = _padding(group, counts, frequency)
    rows = zip(group.channels, counts, invalid, strict=True)
    return tuple(
        _stored(channel, row.astype(np.int64), mask, counts.dtype.kind == "i")
        for channel, row, mask in rows
        if channel.name in LEADS
    )


def _stored(
    channel: Channel, counts: Counts, invalid: NDArray[np.bool_], is_signed: bool
) -> StoredLead:
    mv_per = mv_per_unit(channel.unit)
    if channel.sensitivity is None or channel.correction is None:
        raise InputFault(ReasonCode.GAIN_INVALID)
    mv_per_count = checked_gain(channel.sensitivity * channel.correction * mv_per)
    offset = channel.baseline * mv_per
    if abs(offset / mv_per_count) > _LARGEST_COUNT:
        raise InputFault(ReasonCode.GAIN_INVALID, "baseline")
    _check_range(channel, counts[~invalid], is_signed)
    millivolts = without_invalid(counts.astype(np.float64) * mv_per_count + offset, invalid)
    shifted = counts + round(offset / mv_per_count)
    return StoredLead(channel.name or "", shifted, mv_per_count, millivolts)


def _check_range(channel: Channel, counts: Counts, is_signed: bool) -> None:
    """Refuse counts that need more bits than are said to be stored."""
    bits = channel.n_bits_stored
    if bits is None or counts.size == 0:
        return
    limit = 2.0 ** (min(bits, 32) - is_signed)
    if not 1 <= bits <= 32 or counts.min() < -limit or counts.max() >= limit:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "bits stored")


def _padding(group: Group, counts: NDArray[np.integer], frequency: float) -> NDArray[np.bool_]:
    """Where the declared padding value stands, (n_channels, n_samples).

    The least value of the type is never a sample. Any other value can be one, so it counts
    only in long runs of all channels at once.
    """
    n_bytes = counts.dtype.itemsize
    if len(group.padding) < n_bytes:
        return np.zeros(counts.shape, dtype=np.bool_)
    value = np.frombuffer(group.padding[:n_bytes], dtype=counts.dtype)[0]
    found = np.asarray(counts == value)
    if counts.dtype.kind == "i" and value == np.iinfo(counts.dtype).min:
        return found
    together = _long_runs(np.logical_and.reduce(found), int(_PADDING_RUN_S * frequency))
    return np.broadcast_to(together, counts.shape)


def _long_runs(flags: NDArray[np.bool_], n_least: int) -> NDArray[np.bool_]:
    """The flags that belong to runs of at least `n_least`."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    kept = np.zeros_like(flags)
    for start, end in edges.reshape(-1, 2):
        kept[start:end] = end - start >= n_least
    return kept
