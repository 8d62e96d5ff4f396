"""Philips XLI: LZW over second differences, lead after lead; bytes to whole counts.

The method is the one that the sierra-ecg-tools project has published for SierraECG files.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import InputFault
from ecgbatch.records import Counts
from ecgbatch.terms import ReasonCode

_HEADER_BYTES = 8
_CODE_BITS = 10
_FIRST_NEW_CODE = 256
_LAST_CODE = 1022
"""Codes above end the data, and the dictionary grows no further."""
_SINGLE_BYTES = tuple(bytes([value]) for value in range(_FIRST_NEW_CODE))
_BIAS = 64
_INT16 = np.iinfo(np.int16)


def decompress(content: bytes, n_leads: int, n_samples: int) -> tuple[Counts, ...]:
    """The first leads of the container, each (n_samples,), in stored order.

    Devices fill the container up with leads that nobody declares: only their sizes are
    looked at. Never makes more than `n_samples` of a lead, whatever the data says.

    Raises:
        InputFault: `sample_data_damaged`, `size_mismatch`.
    """
    leads = []
    at = 0
    for _ in range(n_leads):
        payload, start, at = _chunk(content, at)
        leads.append(_from_differences(_words(expand(payload, 2 * n_samples)), start))
    while at < len(content):
        *_, at = _chunk(content, at)
    return tuple(leads)


def expand(payload: bytes, n_bytes: int) -> bytes:
    """LZW with fixed 10-bit codes, most significant bit first, without a clear code.

    Raises:
        InputFault: `size_mismatch` unless exactly `n_bytes` come out; `sample_data_damaged`
            for a code that the dictionary cannot hold yet.
    """
    table = list(_SINGLE_BYTES)
    output = bytearray()
    previous = b""
    for code in _codes(payload):
        if code > _LAST_CODE:
            break
        entry = _entry(table, code, previous)
        output += entry
        if len(output) > n_bytes:
            raise InputFault(ReasonCode.SIZE_MISMATCH, "more samples than declared")
        if previous and len(table) <= _LAST_CODE:
            table.append(previous + entry[:1])
        previous = entry
    if len(output) == n_bytes - 1:
        # An encoder may leave out the low byte of the last word, which no sample depends on.
        output.append(0)
    if len(output) != n_bytes:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "fewer samples than declared")
    return bytes(output)


def _entry(table: list[bytes], code: int, previous: bytes) -> bytes:
    if code < len(table):
        return table[code]
    if code > len(table) or not previous:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "code")
    return previous + previous[:1]


def _codes(payload: bytes) -> Iterator[int]:
    """Whole codes only; four of them stand in five bytes."""
    words = (payload[at : at + 5].ljust(5, b"\0") for at in range(0, len(payload), 5))
    numbers = (int.from_bytes(word, "big") for word in words)
    codes = ((number >> shift) & 0x3FF for number in numbers for shift in (30, 20, 10, 0))
    return islice(codes, len(payload) * 8 // _CODE_BITS)


def _chunk(content: bytes, at: int) -> tuple[bytes, int, int]:
    """Payload and start value of the lead at `at`, and where the next one begins."""
    begin = at + _HEADER_BYTES
    if begin > len(content):
        raise InputFault(ReasonCode.SIZE_MISMATCH, "end inside a lead")
    size = int.from_bytes(content[at : at + 4], "little", signed=True)
    start = int.from_bytes(content[at + 6 : begin], "little", signed=True)
    if not 0 < size <= len(content) - begin:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "size of a lead")
    return content[begin : begin + size], start, begin + size


def _words(expanded: bytes) -> NDArray[np.int64]:
    """High bytes stand in the first half, low bytes in the second."""
    high, low = np.frombuffer(expanded, dtype=np.uint8).astype(np.int64).reshape(2, -1)
    words = (high << 8) | low
    return np.where(words > _INT16.max, words - 65536, words)


def _from_differences(words: NDArray[np.int64], start: int) -> Counts:
    """y[i] = 2 y[i-1] - y[i-2] - L[i]; L[2] is the start value, then w[i-1] less the bias."""
    if words.size < 3:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "too few samples")
    bends = np.concatenate(([start], words[2:-1] - _BIAS))
    slopes = words[1] - words[0] - np.concatenate(([0], np.cumsum(bends)))
    counts = words[0] + np.concatenate(([0], np.cumsum(slopes)))
    # Two integrations let any damage grow beyond what a stored sample can be.
    if counts.min() < _INT16.min or counts.max() > _INT16.max:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "beyond 16 bits")
    return np.asarray(counts, dtype=np.int64)
