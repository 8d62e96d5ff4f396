"""Philips XLI: LZW over second differences, lead after lead; bytes to whole counts.

The method is the one that the sierra-ecg-tools project has published for SierraECG files.
"""

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
_N_LEARNED = _LAST_CODE - _FIRST_NEW_CODE + 2
"""Codes until the dictionary is full."""
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
    # Each code stands for one byte at least.
    codes = _codes(payload[: 5 * (n_bytes // 4 + 1)])
    ends = np.flatnonzero(codes > _LAST_CODE)
    codes = codes[: ends[0]] if ends.size else codes
    table = list(_SINGLE_BYTES)
    output = _learned(table, codes[:_N_LEARNED].tolist(), n_bytes)
    if len(output) + _length(table, codes[_N_LEARNED:]) > n_bytes:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "more samples than declared")
    # The table is full now: what is left is only looked up.
    output += b"".join(map(table.__getitem__, codes[_N_LEARNED:].tolist()))
    if len(output) == n_bytes - 1:
        # An encoder may leave out the low byte of the last word, which no sample depends on.
        output.append(0)
    if len(output) != n_bytes:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "fewer samples than declared")
    return bytes(output)


def _learned(table: list[bytes], codes: list[int], n_bytes: int) -> bytearray:
    """What the first codes stand for; each but the very first adds an entry to `table`."""
    output = bytearray()
    previous = b""
    for code in codes:
        if code < len(table):
            entry = table[code]
        elif len(output) > n_bytes:
            break  # too many samples come before the damage
        elif code > len(table) or not previous:
            raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "code")
        else:
            entry = previous + previous[:1]
        output += entry
        if previous:
            table.append(previous + entry[:1])
        previous = entry
    return output


def _length(table: list[bytes], codes: NDArray[np.integer]) -> int:
    """Bytes that `codes` stand for, without making them; 0 while the table is not full."""
    lengths = np.fromiter(map(len, table), np.int64, len(table))
    return int(lengths[codes].sum()) if len(table) > _LAST_CODE else 0


def _codes(payload: bytes) -> NDArray[np.integer]:
    """Whole codes only; four of them stand in five bytes."""
    padded = np.frombuffer(payload + bytes(-len(payload) % 5), dtype=np.uint8)
    groups = padded.reshape(-1, 5).astype(np.uint16)
    pairs = groups[:, :-1] << 8 | groups[:, 1:]
    codes = pairs >> np.array([6, 4, 2, 0], dtype=np.uint16) & 0x3FF
    return codes.reshape(-1)[: len(payload) * 8 // _CODE_BITS]


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
