"""SCP-ECG files, written after the standard with every CRC right."""

from binascii import crc_hqx
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from struct import pack, pack_into

import numpy as np
from equivalent_signal import LEAD_CODES, counts_of, one_file
from numpy.typing import NDArray

from ecgbatch.records import Millivolts, RecordingBytes

EIGHT_CODES = (1, 2, 3, 4, 5, 6, 7, 8)
DEFAULT_TABLE = pack("<H", 19999)
"""Section 2."""
NOBODY = b"\xff\x00\x00"
"""Section 1: the tag that ends it, and no other."""

Encode = Callable[[list[int]], bytes]
Place = tuple[int, int, int]
"""Number and length of a section, and where it stands behind section 0."""


def section(number: int, data: bytes) -> bytes:
    data += bytes(len(data) % 2)
    rest = pack("<HIBB6x", number, 16 + len(data), 20, 20) + data
    return pack("<H", crc_hqx(rest, 0xFFFF)) + rest


def scp_file(sections: Mapping[int, bytes]) -> bytes:
    """A whole file from the data of its sections, section 0 in front."""
    blocks = [section(number, data) for number, data in sections.items()]
    return assembled(places(sections, blocks), b"".join(blocks))


def places(numbers: Iterable[int], blocks: Sequence[bytes]) -> list[Place]:
    """Where sections stand that follow one another."""
    starts = accumulate((len(block) for block in blocks), initial=0)
    return [
        (number, len(block), start)
        for number, block, start in zip(numbers, blocks, starts, strict=False)
    ]


def assembled(pointers: Sequence[Place], body: bytes) -> bytes:
    """A whole file from all sections but 0, and what section 0 says of them."""
    size = 16 + 10 * (1 + len(pointers))
    data = pack("<HII", 0, size, 7)
    data += b"".join(
        pack("<HII", number, length, 6 + size + start + 1) for number, length, start in pointers
    )
    first = bytearray(section(0, data))
    first[10:16] = b"SCPECG"
    pack_into("<H", first, 0, crc_hqx(bytes(first[2:]), 0xFFFF))
    rest = pack("<I", 6 + size + len(body)) + bytes(first) + body
    return pack("<H", crc_hqx(rest, 0xFFFF)) + rest


def rhythm_sections(
    counts: NDArray[np.int64],
    codes: tuple[int, ...] = EIGHT_CODES,
    order: int = 0,
    flags: int = 0b100,
    bimodal: int = 0,
    starts: tuple[int, ...] | None = None,
    encode: Encode | None = None,
    nanovolts: int = 2500,
    interval_us: int = 2000,
) -> dict[int, bytes]:
    """Sections 1, 3 and 6; without `encode` the samples or their differences as they are."""
    n = counts.shape[1]
    leads = pack("<BB", len(codes), flags)
    for code, start in zip(codes, starts or (1,) * len(codes), strict=True):
        leads += pack("<IIB", start, start + n - 1, code)
    rows = []
    for row in counts:
        values = row.copy()
        values[order:] = np.diff(row, n=order)
        rows.append(encode(values.tolist()) if encode else values.astype("<i2").tobytes())
    head = pack("<HHBB", nanovolts, interval_us, order, bimodal)
    head += b"".join(pack("<H", len(row)) for row in rows)
    return {1: NOBODY, 3: leads, 6: head + b"".join(rows)}


def huffman(values: list[int]) -> bytes:
    text = "".join(map(_bits, values))
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _bits(value: int) -> str:
    """The default table as the standard prints it."""
    if value == 0:
        return "0"
    if abs(value) <= 8:
        return "1" * abs(value) + "0" + ("1" if value < 0 else "0")
    if -128 <= value <= 127:
        return "1" * 9 + "0" + f"{value & 0xFF:08b}"
    return "1" * 10 + f"{value & 0xFFFF:016b}"


def uncompressed(
    signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float
) -> RecordingBytes:
    return one_file("ecg.scp", scp_file(_equivalent(signal, rate, leads, step_mv)))


def first_differences(
    signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float
) -> RecordingBytes:
    return _coded(_equivalent(signal, rate, leads, step_mv, 1, huffman))


def second_differences(
    signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float
) -> RecordingBytes:
    return _coded(_equivalent(signal, rate, leads, step_mv, 2, huffman))


def _coded(sections: dict[int, bytes]) -> RecordingBytes:
    return one_file("ecg.scp", scp_file({**sections, 2: DEFAULT_TABLE}))


def _equivalent(
    signal: Millivolts,
    rate: int,
    leads: tuple[str, ...],
    step_mv: float,
    order: int = 0,
    encode: Encode | None = None,
) -> dict[int, bytes]:
    return rhythm_sections(
        counts_of(signal, leads, step_mv),
        codes=tuple(LEAD_CODES[lead] for lead in leads),
        order=order,
        encode=encode,
        nanovolts=round(step_mv * 1e6),
        interval_us=1_000_000 // rate,
    )
