"""Huffman codes of SCP-ECG: the default table and tables of a file's own (EN 1064, section 2)."""

from dataclasses import dataclass, field
from functools import cache
from struct import unpack_from

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import InputFault
from ecgbatch.records import Counts
from ecgbatch.terms import ReasonCode

DEFAULT_TABLE = 19999
"""The number of tables that stands for the default one."""

_STRUCTURE_BYTES = 9
_MAX_STRUCTURES = 512
_MAX_PREFIX_BITS = 16
_MAX_VALUE_BITS = 16
_WINDOW_BYTES = 5
"""40 bits from any bit position hold the longest code that is read: 7 + 16 + 16."""


@dataclass(frozen=True, slots=True)
class Code:
    """One code: `prefix` as sent, most significant bit first.

    Attributes:
        n_value_bits: bits of the signed value behind the prefix; 0 where `value` is meant.
    """

    prefix: int
    n_prefix_bits: int
    n_value_bits: int
    value: int


@dataclass(frozen=True, slots=True, eq=False)
class HuffmanTable:
    """For each window of 16 bits the code that it starts with; length 0 for none."""

    n_prefix_bits: NDArray[np.uint8] = field(repr=False)
    n_value_bits: NDArray[np.uint8] = field(repr=False)
    value: NDArray[np.int64] = field(repr=False)


@cache
def default_table() -> HuffmanTable:
    """The default table: 0; k ones, a zero and a sign for 1 to 8; then 8 and 16 bits raw."""
    small = (
        Code(((1 << k) - 1) << 2 | is_negative, k + 2, 0, -k if is_negative else k)
        for k in range(1, 9)
        for is_negative in (0, 1)
    )
    raw = (Code(0b1111111110, 10, 8, 0), Code(0b1111111111, 10, 16, 0))
    return _table((Code(0, 1, 0, 0), *small, *raw))


def own_table(section: bytes) -> HuffmanTable:
    """The table that a file defines: the data of its section 2, the number of tables first.

    Raises:
        InputFault: `scp_variant_unsupported` for several tables, a switch between them or a
            raw value on a base; `header_invalid` for codes that do not fit each other.
    """
    if len(section) < 4:
        raise InputFault(ReasonCode.HEADER_INVALID, "Huffman table")
    n_tables, n_structures = unpack_from("<HH", section)
    if n_tables != 1:
        raise InputFault(ReasonCode.SCP_VARIANT_UNSUPPORTED, "Huffman tables")
    size = 4 + n_structures * _STRUCTURE_BYTES
    if not 0 < n_structures <= _MAX_STRUCTURES or not size <= len(section) <= size + 1:
        raise InputFault(ReasonCode.HEADER_INVALID, "Huffman table")
    return _table(tuple(_code(section, 4 + row * _STRUCTURE_BYTES) for row in range(n_structures)))


def _code(section: bytes, at: int) -> Code:
    n_prefix, n_entire, switch, base, reversed_prefix = unpack_from("<BBBhI", section, at)
    n_value = n_entire - n_prefix
    if switch != 1 or (n_value and base):
        raise InputFault(ReasonCode.SCP_VARIANT_UNSUPPORTED, "Huffman codes")
    is_legal = 0 < n_prefix <= _MAX_PREFIX_BITS and 0 <= n_value <= _MAX_VALUE_BITS
    if not is_legal or reversed_prefix >> n_prefix:
        raise InputFault(ReasonCode.HEADER_INVALID, "Huffman code")
    # The first bit of the stream is the least significant one of the stored code.
    prefix = int(f"{reversed_prefix:0{n_prefix}b}"[::-1], 2)
    return Code(prefix, n_prefix, n_value, base)


def _table(codes: tuple[Code, ...]) -> HuffmanTable:
    n_prefix_bits = np.zeros(1 << _MAX_PREFIX_BITS, dtype=np.uint8)
    n_value_bits = np.zeros_like(n_prefix_bits)
    value = np.zeros(1 << _MAX_PREFIX_BITS, dtype=np.int64)
    for code in codes:
        shift = _MAX_PREFIX_BITS - code.n_prefix_bits
        windows = slice(code.prefix << shift, (code.prefix + 1) << shift)
        if n_prefix_bits[windows].any():
            raise InputFault(ReasonCode.HEADER_INVALID, "Huffman codes overlap")
        n_prefix_bits[windows] = code.n_prefix_bits
        n_value_bits[windows] = code.n_value_bits
        value[windows] = code.value
    return HuffmanTable(n_prefix_bits, n_value_bits, value)


def decode_huffman(content: bytes, n_samples: int, table: HuffmanTable) -> Counts:
    """Decode `n_samples` values, (n_samples,), which fill `content` up to its last two bytes.

    Raises:
        InputFault: `sample_data_damaged` for bits that are no code, `size_mismatch` for fewer or
            more values than declared.
    """
    n_bits = len(content) * 8
    if not 0 < n_samples <= n_bits:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "Huffman data")
    steps = _steps(content, table)
    starts = _starts(steps, n_samples)
    if starts[-1] >= n_bits:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "Huffman data")
    if not steps[starts].all():
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "Huffman code")
    end = int(starts[-1]) + int(steps[starts[-1]])
    if end > n_bits or n_bits - end >= 16:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "Huffman data")
    return _values(content, starts, table)


def _steps(content: bytes, table: HuffmanTable) -> NDArray[np.uint8]:
    """Length of the code that starts at each bit, (8 x bytes,); 0 where none can start."""
    padded = np.frombuffer(content + bytes(2), dtype=np.uint8).astype(np.uint32)
    words = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    windows = words[:, np.newaxis] >> np.arange(8, 0, -1, dtype=np.uint32) & 0xFFFF
    lengths = table.n_prefix_bits + table.n_value_bits
    return np.asarray(lengths[windows.reshape(-1)])


def _starts(steps: NDArray[np.uint8], n_samples: int) -> NDArray[np.int32]:
    """Bit positions at which the codes start, one after the other.

    From any bit it is known beforehand where the eighth code from there starts, so only every
    eighth position has to wait for the one before. Where no code starts nothing goes on, and
    behind the content neither.
    """
    end = steps.size
    following = np.arange(end + 1, dtype=np.int32)
    following[:end] += steps
    following = np.minimum(following, end)
    second = following[following]
    fourth = second[second]
    eighth = fourth[fourth].data
    firsts, at = [], 0
    for _ in range(0, n_samples, 8):
        firsts.append(at)
        at = eighth[at]
    starts = np.empty((len(firsts), 8), dtype=np.int32)
    starts[:, 0] = firsts
    for place in range(1, 8):
        starts[:, place] = following[starts[:, place - 1]]
    return starts.reshape(-1)[:n_samples]


def _values(content: bytes, starts: NDArray[np.int32], table: HuffmanTable) -> Counts:
    """What the codes stand for that start at `starts`."""
    padded = np.frombuffer(content + bytes(_WINDOW_BYTES), dtype=np.uint8).astype(np.int64)
    words = np.zeros(starts.size, dtype=np.int64)
    for byte in range(_WINDOW_BYTES):
        words = words << 8 | padded[(starts >> 3) + byte]
    windows = words >> (8 - (starts & 7)) & 0xFFFFFFFF
    keys = windows >> 16
    n_prefix = table.n_prefix_bits[keys].astype(np.int64)
    n_value = table.n_value_bits[keys].astype(np.int64)
    raw = windows >> (32 - n_prefix - n_value) & ((1 << n_value) - 1)
    half = np.where(n_value > 0, 1 << np.maximum(n_value - 1, 0), 0)
    signed = np.where(raw >= np.maximum(half, 1), raw - 2 * half, raw)
    return np.asarray(np.where(n_value > 0, signed, table.value[keys]))
