"""Compressed leads, DICOM lengths and pickles that attack: through the reader process.

The marks are those of the threat model.
"""

import base64
import gzip
import io
import json
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from watched import Watched

from ecgbatch.isolation.decoder import Decoder
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.terms import LEADS, ReasonCode

R = ReasonCode
LOST = {R.READER_CRASHED, R.READER_MEMORY, R.READER_TIMEOUT}
SAMPLES = Path(__file__).parents[1] / "data" / "samples"
PHILIPS = gzip.decompress((SAMPLES / "philips" / "129DYPRG.xml.gz").read_bytes())
DICOM = (SAMPLES / "dicom" / "synthetic_muse.dcm").read_bytes()


def _with_waveforms(content: bytes) -> bytes:
    """The Philips export with another container of compressed leads."""
    text = base64.b64encode(content).decode()
    document = PHILIPS.decode("utf-16" if PHILIPS[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8")
    changed, n_changed = re.subn(
        r"(<parsedwaveforms[^>]*>)[^<]*", lambda found: found[1] + text, document, count=1
    )
    assert n_changed == 1
    return changed.encode("utf-16" if PHILIPS[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8")


def _lzw(codes: list[int]) -> bytes:
    bits = "".join(f"{code:010b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _container(payload: bytes, n_leads: int = 12) -> bytes:
    return (struct.pack("<IHh", len(payload), 0, 0) + payload) * n_leads


GROWING = _lzw([0, *range(256, 1022), *[1021] * 50_000])
"""Every code one byte longer than the last, then the longest over and over."""
XLI = {
    "P1 that grows": _container(GROWING),
    "P1 that grows in one lead": _container(GROWING, 1),
    "P1 length beyond the end": struct.pack("<IHh", 0xFFFFFFFF, 0, 0) + b"\0" * 64,
    "P1 negative length": struct.pack("<iHh", -8, 0, 0) + b"\0" * 64,
    "P1 code of the future": _container(_lzw([0, 900, 901])),
    "P1 nothing": b"",
    "P1 a million empty leads": bytes(8) * 1_000_000,
    "P1 64 kB of zeros": bytes(65536),
    "P1 64 kB of ones": b"\xff" * 65536,
}


@pytest.mark.parametrize("name", XLI)
def test_hostile_philips_waveforms_are_refused(watched: Watched, name: str) -> None:
    assert watched.refusal(_with_waveforms(XLI[name])) not in LOST


def _element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr in {b"OB", b"OW", b"SQ", b"UN", b"UT"}:
        return head + struct.pack("<HI", 0, size) + value
    return head + struct.pack("<H", size) + value


def _dicom(body: bytes) -> bytes:
    syntax = _element(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0")
    group_length = _element(0x00020000, b"UL", struct.pack("<I", len(syntax)))
    return bytes(128) + b"DICM" + group_length + syntax + body


def _nested(depth: int) -> bytes:
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return (_element(0x54000100, b"SQ", b"", 0xFFFFFFFF) + item) * depth


def _replaced(old: bytes, new: bytes) -> bytes:
    assert old in DICOM
    return DICOM.replace(old, new)


def _sensitivity(value: bytes) -> bytes:
    tag = struct.pack("<HH", 0x003A, 0x0210) + b"DS"
    at = DICOM.index(tag)
    (length,) = struct.unpack_from("<H", DICOM, at + 6)
    return _replaced(
        DICOM[at : at + 8 + length], tag + struct.pack("<H", length) + value.ljust(length)[:length]
    )


def _numbers(tag: int, kind: bytes, value: bytes) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + kind
    at = DICOM.index(head)
    (length,) = struct.unpack_from("<H", DICOM, at + 6)
    assert length == len(value)
    return _replaced(DICOM[at : at + 8 + length], DICOM[at : at + 8] + value)


DATASETS: dict[str, Callable[[], bytes]] = {
    "D1 endless length": lambda: _dicom(_element(0x54000100, b"SQ", b"", 0xFFFFFFF0)),
    "D1 endless bytes": lambda: _dicom(_element(0x54001010, b"OW", bytes(64), 0xFFFFFFF0)),
    "D1 nested sequences": lambda: _dicom(_nested(50_000)),
    "D1 nested a little": lambda: _dicom(_nested(500)),
    "D1 many elements": lambda: _dicom(_element(0x00101010, b"AS", b"045Y") * 500_000),
    "D1 sensitivity nan": lambda: _sensitivity(b"nan"),
    "D1 sensitivity inf": lambda: _sensitivity(b"inf"),
    "D1 sensitivity 0": lambda: _sensitivity(b"0"),
    "D1 samples": lambda: _numbers(0x003A0010, b"UL", b"\xff\xff\xff\xff"),
    "D1 channels": lambda: _numbers(0x003A0005, b"US", b"\xff\xff"),
    "D1 cut": lambda: DICOM[: len(DICOM) // 2],
    "D1 meta group alone": lambda: _dicom(b""),
}


@pytest.mark.parametrize("name", DATASETS)
def test_hostile_dicom_is_refused(watched: Watched, name: str) -> None:
    assert watched.refusal(DATASETS[name]()) not in LOST


class _Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._path,)


def _array(values: object) -> bytes:
    target = io.BytesIO()
    np.save(target, np.array(values), allow_pickle=True)
    return target.getvalue()


def test_pickles_are_never_unpickled(watched: Watched, tmp_path: Path) -> None:
    left_behind = tmp_path / "left"
    payload = pickle.dumps(_Payload(left_behind))
    objects = _array([_Payload(left_behind), None])
    pickle.loads(payload)  # noqa: S301 - our own, to see that it would work
    assert left_behind.exists(), "the payload is harmless: this test sees nothing"
    left_behind.unlink()

    for content in (payload, objects, b"\x93NUMPY" + payload, gzip.compress(payload)):
        assert watched.refusal(content) not in LOST
        assert not left_behind.exists()


def _npy(descr: str, shape: str, body: bytes = b"") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


@pytest.mark.parametrize(
    "content",
    [
        _npy("<f4", "(12, 999999999999)"),
        _npy("<f4", "(12, 10)", bytes(4)),
        _npy("|O", "(12, 10)", bytes(960)),
        _npy("<f4", "__import__('os').system('true')"),
        _npy("<f4", "(" * 200),
        _npy("<f4", "(-12, -10)", bytes(480)),
        _npy("<f4", "(12, 10)", np.full((12, 10), np.nan, "<f4").tobytes())[:-2],
        b"\x93NUMPY\x03\x00" + struct.pack("<I", 0xFFFFFFFF) + b"{",
    ],
)
def test_hostile_array_is_refused(plain: Decoder, content: bytes) -> None:
    sidecar = json.dumps({"sampling_frequency": 500, "unit": "mV", "leads": list(LEADS)})
    source = RecordingBytes((Member("a.npy", content), Member("a.npy.json", sidecar.encode())))
    reason = Watched(plain).refusal_of(source)
    assert reason not in LOST


def test_control_the_same_files_unharmed_are_read(plain: Decoder) -> None:
    for content in (PHILIPS, DICOM):
        recording = plain.decode(RecordingBytes((Member("a", content),)))
        assert recording.n_samples >= 5000
