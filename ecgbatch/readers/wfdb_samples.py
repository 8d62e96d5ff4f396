"""The WFDB sample formats: from the bytes of a signal file to counts.

Source: WFDB Applications Guide, signal(5), and the MATLAB 4 file layout. Every size is
compared with the file before anything is allocated.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.terms import ReasonCode

_MAT_HEADER_BYTES = 20
_MAT_NAME = b"val\0"
_MAT_5_MAGIC = b"MATLAB 5.0"

StoredCounts = NDArray[np.integer]
"""Counts of any integer type."""
_Unpack = Callable[[memoryview, int], StoredCounts]


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """How one WFDB format stores counts.

    Attributes:
        bits: per sample, packed.
        invalid: the count that marks a sample as invalid, the least of the type.
        matlab_type: MATLAB 4 type code of a matrix of it, None where there is none.
    """

    bits: int
    invalid: int
    unpack: _Unpack
    matlab_type: int | None = None

    def n_bytes(self, n_counts: int) -> int:
        return (n_counts * self.bits + 7) // 8


def _plain(dtype: str) -> _Unpack:
    def unpack(content: memoryview, n_counts: int) -> StoredCounts:
        return np.frombuffer(content, dtype=dtype, count=n_counts)

    return unpack


def _shifted(dtype: str, shift: int) -> _Unpack:
    def unpack(content: memoryview, n_counts: int) -> StoredCounts:
        return np.frombuffer(content, dtype=dtype, count=n_counts).astype(np.int64) - shift

    return unpack


def _unpack_212(content: memoryview, n_counts: int) -> StoredCounts:
    """Two 12-bit counts in three bytes; the middle byte holds the high nibbles."""
    whole = bytes(content) + bytes(-len(content) % 3)
    padded = np.frombuffer(whole, dtype=np.uint8).astype(np.int64)
    first, middle, last = padded.reshape(-1, 3).T
    pairs = np.stack([first | (middle & 0x0F) << 8, last | (middle & 0xF0) << 4], axis=1)
    counts = pairs.reshape(-1)[:n_counts]
    return np.where(counts >= 2048, counts - 4096, counts)


def _unpack_24(content: memoryview, n_counts: int) -> StoredCounts:
    low, middle, high = np.frombuffer(content, dtype=np.uint8).reshape(-1, 3).astype(np.int64).T
    counts = (low | middle << 8 | high << 16)[:n_counts]
    return np.where(counts >= 1 << 23, counts - (1 << 24), counts)


FORMATS: dict[str, SampleFormat] = {
    "16": SampleFormat(16, -(2**15), _plain("<i2"), matlab_type=30),
    "24": SampleFormat(24, -(2**23), _unpack_24),
    "32": SampleFormat(32, -(2**31), _plain("<i4"), matlab_type=20),
    "61": SampleFormat(16, -(2**15), _plain(">i2")),
    "80": SampleFormat(8, -(2**7), _shifted("u1", 128), matlab_type=50),
    "160": SampleFormat(16, -(2**15), _shifted("<u2", 32768)),
    "212": SampleFormat(12, -(2**11), _unpack_212),
}


def read_counts(
    content: bytes, name: str, byte_offset: int, n_signals: int, n_samples: int | None
) -> StoredCounts:
    """Counts of all signals of one file, as stored.

    Args:
        content: the whole signal file.
        name: a key of FORMATS.
        n_samples: per signal; None takes what the file holds, if that divides exactly.

    Returns:
        (n_signals, n_samples) in the narrowest type of the format: copies cost more than
        arithmetic here.

    Raises:
        Incomplete: the file is shorter than declared.
        InputFault: `size_mismatch` (longer, or not a whole number of frames).
    """
    stored = FORMATS[name]
    length = len(content) - byte_offset
    if n_samples is None:
        n_samples = _frames(stored, length, n_signals)
    n_counts = n_samples * n_signals
    expected = stored.n_bytes(n_counts)
    if length < expected or length <= 0:
        raise Incomplete("signal file")
    if length > expected:
        raise InputFault(ReasonCode.SIZE_MISMATCH)
    counts = stored.unpack(memoryview(content)[byte_offset:], n_counts)
    native = counts.dtype.newbyteorder("=")
    return counts.reshape(n_samples, n_signals).T.astype(native, order="C")


def matlab_samples(content: bytes, name: str, byte_offset: int, n_signals: int) -> int:
    """Samples per signal of a `.mat` file, once it is known to be a MATLAB 4 matrix `val`.

    Raises:
        Incomplete: it ends within its own header.
        InputFault: `wfdb_format_rare` (MATLAB 5), `header_invalid` (the samples start
            elsewhere), `sample_data_damaged` (no such matrix), `size_mismatch` (its rows).
    """
    if content.startswith(_MAT_5_MAGIC):
        raise InputFault(ReasonCode.WFDB_FORMAT_RARE, "MATLAB 5")
    if byte_offset != _MAT_HEADER_BYTES + len(_MAT_NAME):
        raise InputFault(ReasonCode.HEADER_INVALID, "byte offset")
    if len(content) < byte_offset:
        raise Incomplete("signal file")
    kind, rows, columns, imaginary, name_length = struct.unpack_from("<5i", content)
    if (kind, imaginary, name_length) != (FORMATS[name].matlab_type, 0, len(_MAT_NAME)) or (
        content[_MAT_HEADER_BYTES:byte_offset] != _MAT_NAME
    ):
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "MATLAB header")
    if rows != n_signals or columns <= 0:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "MATLAB header")
    return int(columns)


def _frames(stored: SampleFormat, length: int, n_signals: int) -> int:
    n_samples = max(length, 0) * 8 // (stored.bits * n_signals)
    if stored.n_bytes(n_samples * n_signals) != length:
        raise InputFault(ReasonCode.SIZE_MISMATCH)
    return n_samples
