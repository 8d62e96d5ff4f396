"""Formats that are recognised and not read."""

import gzip
import struct

import pytest
from reader_cases import GUANGXI, muse_bytes, wfdb_bytes, wfdb_header_path

from ecgbatch.errors import InputFault
from ecgbatch.readers.refused import REFUSED, reason_of
from ecgbatch.readers.registry import READERS, decode
from ecgbatch.reasons import REASONS
from ecgbatch.terms import ReasonClass, ReasonCode

R = ReasonCode
ROW = b" 12 -3 4 5 6 7 8 9 10 11 12 13\r\n"
CASES = [
    (b"ISHNE1.0" + struct.pack("<Hii", 7, 0, 10000) + bytes(500), R.FORMAT_ISHNE),
    (b"\x40\x20MFR Standard 12 leads ECG      \x01\x01\x01", R.FORMAT_MFER),
    (b"\xffBIOSEMI" + b" " * 160 + b"01.01.2401.01.01", R.FORMAT_BDF),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", R.FORMAT_PDF),
    (b"<sapphire><dcarRecord/></sapphire>", R.FORMAT_VENDOR_XML),
    (b'<?xml version="1.0"?><s:sapphire xmlns:s="urn:ge"/>', R.FORMAT_VENDOR_XML),
    (b"<ECGRecord><Record/></ECGRecord>", R.FORMAT_VENDOR_XML),
    (b"<root><ECGRecord/></root>", R.FORMAT_VENDOR_XML),
    ("<zqecg/>".encode("utf-16"), R.FORMAT_VENDOR_XML),
    (b"\r\n\r\n\r\n\r\nRhythm signal: 5000 X 12 \r\n" + ROW * 40, R.FORMAT_TEXT_EXPORT),
    (b"Median signal: 600 X 12\n" + ROW * 40, R.FORMAT_TEXT_EXPORT),
    (b"0000037\0\1\2" + b"2019-11-05 18:20:01\0" + bytes(2000), R.FORMAT_VENDOR_BINARY),
    (b"\x89HDF\r\n\x1a\n" + bytes(64), R.FORMAT_VENDOR_BINARY),
    (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(90), R.FORMAT_VENDOR_BINARY),
    (b"PK\x03\x04" + bytes(64), R.FORMAT_VENDOR_BINARY),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64), R.FORMAT_VENDOR_BINARY),
]


@pytest.mark.parametrize(("content", "reason"), CASES)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_known_format_is_refused_by_its_name(
    content: bytes, reason: ReasonCode, pack: type[bytes]
) -> None:
    with pytest.raises(InputFault) as caught:
        decode(muse_bytes(pack(content)))
    assert caught.value.reason is reason


def test_every_refused_format_is_covered_by_a_case() -> None:
    heads = [content for content, _ in CASES]
    for refused in REFUSED:
        assert any(refused.recognises(head) for head in heads), refused.title


def test_reasons_of_refused_formats_count_as_unsupported() -> None:
    for refused in REFUSED:
        assert REASONS[refused.reason].reason_class is ReasonClass.FORMAT


@pytest.mark.parametrize(
    "content",
    [
        b"\x40",
        b"\x40\x00MFR",
        b"ISHNE2.0",
        b"root",
        b"<root><Record/></root>",
        b"<Sapphire/>",
        b"The Rhythm signal: see 5000 X 12",
        b" %PDF",
        b"backup of 2019-11-05 18:20:01 and a line",
        bytes(100),
    ],
)
def test_what_only_looks_like_it_stays_unknown(content: bytes) -> None:
    with pytest.raises(InputFault) as caught:
        decode(muse_bytes(content))
    assert caught.value.reason is R.FORMAT_UNKNOWN


def test_formats_that_are_read_are_never_refused_by_name() -> None:
    assert reason_of(GUANGXI.read_bytes()[:8192]) is None
    assert reason_of(wfdb_bytes(wfdb_header_path("00001_lr")).first) is None


def test_every_reader_states_its_title_and_evidence() -> None:
    assert len({entry.name for entry in READERS}) == len(READERS)
    for entry in READERS:
        assert entry.title
        assert entry.evidence in {"real samples", "synthetic", "specification"}
        assert entry.name == entry.load().NAME
