"""SCP-ECG (EN 1064, ISO 11073-91064): the rhythm strip of section 6, never the reference beat."""

from binascii import crc_hqx
from dataclasses import dataclass, field
from itertools import pairwise
from struct import calcsize, unpack_from

import numpy as np

from ecgbatch.errors import Incomplete, InputFault, Refusal
from ecgbatch.readers.assembly import assemble, refusals_of
from ecgbatch.readers.scaling import StoredLead, checked_gain, checked_sampling_frequency
from ecgbatch.readers.scp_huffman import (
    DEFAULT_TABLE,
    HuffmanTable,
    decode_huffman,
    default_table,
    own_table,
)
from ecgbatch.readers.scp_identity import read_identity
from ecgbatch.readers.scp_statements import read_statements
from ecgbatch.records import Counts, Finding, Recording, RecordingBytes
from ecgbatch.terms import ReasonCode

NAME = "scp"
VERSION = "1"

_MAGIC = b"SCPECG"
_MAGIC_AT = 16
_FILE_HEADER = 6
_SECTION_HEADER = 16
_POINTER_BYTES = 10
_MAX_POINTERS = 1024
_CRC_START = 0xFFFF
_SIGNAL_SECTIONS = (0, 2, 3, 4, 5, 6)
"""Sections whose damage could change a sample: the pointers and everything of the signal."""
_NEEDED = (*_SIGNAL_SECTIONS, 1)
"""An ECG is refused if one of these is damaged in its place or size."""
_LEADS = {
    **{1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF"},
    **{code: f"V{code - 2}" for code in range(3, 9)},
}
_REFERENCE_BEAT_SUBTRACTED = 1
_MAX_DIFFERENCES = 2
_MAX_LEADS = 64
_INT16 = 1 << 15

_Pointer = tuple[int, int, int]
"""Number, length and offset of a section."""
_Sections = dict[int, bytes]


@dataclass(frozen=True, slots=True)
class _File:
    """Data of each section without its header, and whether nothing is damaged."""

    sections: _Sections = field(repr=False)
    is_intact: bool


@dataclass(frozen=True, slots=True)
class _Layout:
    """Section 3 and the head of section 6."""

    lead_codes: tuple[int, ...]
    n_samples: int
    nanovolts_per_count: int
    interval_us: int
    n_differences: int
    contents: tuple[bytes, ...] = field(repr=False)


def recognises(head: bytes) -> bool:
    """Whether section 0 says `SCPECG` where it must."""
    return head[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == _MAGIC


def read(source: RecordingBytes) -> Recording:
    """Decode every lead of section 6, with the CRC of its sections verified.

    Raises:
        Incomplete: shorter than its length field says.
        InputFault: pointers, sizes or codes contradict each other, a wrong CRC of a section of
            the signal, or a compression that is not read (`scp_variant_unsupported`).
        Refusal: `no_rhythm_waveform`, or none of the twelve leads.
    """
    file = _open(source.first)
    statements, edit = read_statements(file.sections.get(8, b""), file.sections.get(11, b""))
    identity = read_identity(file.sections[1], edit)
    with refusals_of(NAME, VERSION, lambda: identity, lambda: statements):
        layout = _layout(file.sections)
    frequency = checked_sampling_frequency(1e6 / layout.interval_us if layout.interval_us else None)
    stored = _stored_leads(layout, _table(file.sections.get(2)))
    mismatch = Finding(check="checksum", reason=ReasonCode.CHECKSUM_MISMATCH)
    return assemble(
        NAME,
        VERSION,
        stored,
        frequency,
        identity=identity,
        statements=statements,
        findings=() if file.is_intact else (mismatch,),
    )


def _open(content: bytes) -> _File:
    if len(content) < _FILE_HEADER + _SECTION_HEADER:
        raise Incomplete("header")
    crc, length = unpack_from("<HI", content)
    if len(content) < length:
        raise Incomplete("length")
    if len(content) > length:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "length")
    pointers = _pointers(content)
    needed, is_intact = _needed_sections(content, pointers)
    others = _other_sections(content, pointers)
    whole = {number: data for number, data in others.items() if data is not None}
    is_intact = is_intact and len(whole) == len(others)
    return _File(needed | whole, is_intact and crc_hqx(content[2:], _CRC_START) == crc)


def _pointers(content: bytes) -> tuple[_Pointer, ...]:
    """Number, length and offset of each section that is there, as section 0 says."""
    size = unpack_from("<I", content, _FILE_HEADER + 4)[0]
    n_pointers, rest = divmod(size - _SECTION_HEADER, _POINTER_BYTES)
    if rest or not 0 < n_pointers <= _MAX_POINTERS or _FILE_HEADER + size > len(content):
        raise InputFault(ReasonCode.HEADER_INVALID, "pointers")
    start = _FILE_HEADER + _SECTION_HEADER
    pointers = (
        unpack_from("<HII", content, start + row * _POINTER_BYTES) for row in range(n_pointers)
    )
    # Offsets count from 1; a length of 0 stands for a section that is not there.
    return tuple((number, length, at - 1) for number, length, at in pointers if length)


def _needed_sections(content: bytes, pointers: tuple[_Pointer, ...]) -> tuple[_Sections, bool]:
    """Identification and signal, and whether every CRC fits.

    A damaged section 1 counts as empty: an ECG of nobody is better than one of the wrong patient.
    """
    sections: _Sections = {}
    is_intact = True
    for number, size, at in pointers:
        if number not in _NEEDED:
            continue
        if not _is_there(content, number, size, at):
            raise InputFault(ReasonCode.HEADER_INVALID, "pointer")
        fits = _crc_fits(content, size, at)
        if number in sections or (not fits and number in _SIGNAL_SECTIONS):
            raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "section")
        sections[number] = content[at + _SECTION_HEADER : at + size] if fits else b""
        is_intact = is_intact and fits
    if not {0, 1} <= sections.keys():
        raise InputFault(ReasonCode.HEADER_INVALID, "mandatory section missing")
    return sections, is_intact


def _other_sections(content: bytes, pointers: tuple[_Pointer, ...]) -> dict[int, bytes | None]:
    """What an ECG can do without; None for a section that is damaged or there twice."""
    sections: dict[int, bytes | None] = {}
    # Together no longer than the file: pointers to one place must not multiply the work.
    left = len(content)
    for number, size, at in pointers:
        if number in _NEEDED:
            continue
        is_new = number not in sections and size <= left
        is_whole = is_new and _is_there(content, number, size, at)
        if is_whole:
            left -= size
            is_whole = _crc_fits(content, size, at)
        sections[number] = content[at + _SECTION_HEADER : at + size] if is_whole else None
    return sections


def _is_there(content: bytes, number: int, size: int, at: int) -> bool:
    """Whether the pointer leads to a section within the file that says the same of itself."""
    is_inside = _FILE_HEADER <= at <= at + size <= len(content)
    if not is_inside or size < _SECTION_HEADER:
        return False
    return unpack_from("<HI", content, at + 2) == (number, size)


def _crc_fits(content: bytes, size: int, at: int) -> bool:
    stated = unpack_from("<H", content, at)[0]
    return bool(crc_hqx(content[at + 2 : at + size], _CRC_START) == stated)


def _layout(sections: dict[int, bytes]) -> _Layout:
    leads, rhythm = sections.get(3, b""), sections.get(6, b"")
    if not leads or not rhythm:
        raise Refusal(ReasonCode.NO_RHYTHM_WAVEFORM)
    codes, n_samples = _lead_codes(leads)
    head = f"<HHBB{len(codes)}H"
    if len(rhythm) < calcsize(head):
        raise InputFault(ReasonCode.SIZE_MISMATCH, "section 6")
    nanovolts, interval, n_differences, is_bimodal, *sizes = unpack_from(head, rhythm)
    if is_bimodal:
        raise InputFault(ReasonCode.SCP_VARIANT_UNSUPPORTED, "bimodal compression")
    if n_differences > _MAX_DIFFERENCES:
        raise InputFault(ReasonCode.HEADER_INVALID, "differences")
    ends = (calcsize(head) + np.cumsum([0, *sizes])).tolist()
    # A pad byte makes the length of the section even.
    if not ends[-1] <= len(rhythm) <= ends[-1] + 1:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "section 6")
    contents = tuple(rhythm[at:end] for at, end in pairwise(ends))
    return _Layout(codes, n_samples, nanovolts, interval, n_differences, contents)


def _lead_codes(section: bytes) -> tuple[tuple[int, ...], int]:
    """Codes of the leads and the number of samples, which all of them share."""
    n_leads, flags = unpack_from("<BB", section) if len(section) >= 2 else (0, 0)
    if flags & _REFERENCE_BEAT_SUBTRACTED:
        raise InputFault(ReasonCode.SCP_VARIANT_UNSUPPORTED, "reference beat subtracted")
    if not 0 < n_leads <= _MAX_LEADS or len(section) < 2 + 9 * n_leads:
        raise InputFault(ReasonCode.HEADER_INVALID, "section 3")
    rows = [unpack_from("<IIB", section, 2 + 9 * row) for row in range(n_leads)]
    if len({start for start, _, _ in rows}) > 1:
        raise InputFault(ReasonCode.SAMPLE_OFFSET_UNSUPPORTED)
    if len({end for _, end, _ in rows}) > 1:
        raise InputFault(ReasonCode.LEAD_LENGTHS_DIFFER)
    start, end, _ = rows[0]
    if end < start:
        raise InputFault(ReasonCode.HEADER_INVALID, "section 3")
    return tuple(code for _, _, code in rows), end - start + 1


def _table(section: bytes | None) -> HuffmanTable | None:
    """The Huffman table; None where samples are stored as they are."""
    if section is None:
        return None
    if len(section) >= 2 and unpack_from("<H", section)[0] == DEFAULT_TABLE:
        return default_table()
    return own_table(section)


def _stored_leads(layout: _Layout, table: HuffmanTable | None) -> tuple[StoredLead, ...]:
    """The standard leads; the others are decoded as well, so that damage is seen."""
    mv_per_count = checked_gain(layout.nanovolts_per_count / 1e6)
    decoded = (
        (_LEADS.get(code), _counts(content, layout, table))
        for code, content in zip(layout.lead_codes, layout.contents, strict=True)
    )
    return tuple(
        StoredLead(name, counts, mv_per_count, counts.astype(np.float64) * mv_per_count)
        for name, counts in decoded
        if name
    )


def _counts(content: bytes, layout: _Layout, table: HuffmanTable | None) -> Counts:
    if table is None:
        if len(content) != 2 * layout.n_samples:
            raise InputFault(ReasonCode.SIZE_MISMATCH, "section 6")
        values = np.frombuffer(content, dtype="<i2").astype(np.int64)
    else:
        values = decode_huffman(content, layout.n_samples, table)
    counts = _undo_differences(values, layout.n_differences)
    if np.abs(counts).max() > _INT16:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "range")
    return counts


def _undo_differences(values: Counts, order: int) -> Counts:
    """The signal whose first `order` samples are stored as they are, then its differences."""
    if order == 2:
        # x[n] = d[n] + 2 x[n-1] - x[n-2], that is: the first differences, differenced again.
        slopes = values.copy()
        slopes[1:2] -= values[:1]
        slopes[1:] = np.cumsum(slopes[1:])
        return np.cumsum(slopes)
    return np.cumsum(values) if order else values
