"""WFDB records and file names that attack: refused before anything is allocated or opened.

Through the reader process; the marks are those of the threat model.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from watched import Watched

from ecgbatch.errors import InputFault, TransientFault
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.resources import demonstration
from ecgbatch.sources.folder import FolderSource
from ecgbatch.terms import ReasonCode

R = ReasonCode
_SAMPLES = demonstration("samples")
HEADER = (_SAMPLES / "wfdb" / "00001_lr.hea").read_bytes()
SIGNALS = (_SAMPLES / "wfdb" / "00001_lr.dat").read_bytes()
MUSE = (_SAMPLES / "muse" / "guangxi_teaching_sinus_rhythm.xml").read_bytes()


def _header(old: str, new: str, count: int = 1) -> bytes:
    text = HEADER.decode()
    assert old in text
    return text.replace(old, new, count).encode()


RECORD = "00001_lr 12 100 1000"
NUMBERS = {
    "n_samples": ["999999999", "1000000000000", "9" * 5000, "-5", "1e9", "1.5", "2147483648"],
    "n_signals": ["1000000000", "257", "0x10", "-12"],
}
GAIN = "1000.0(0)/mV"
GAINS = [
    "nan", "inf", "-inf", "0", "0.0", "-200", "1e-320", "1e-400", "1e400", "4,88", "1E3", "1_000",
    "٢٠٠", "0x10", "", "1000.0(0)/NU", "1000.0(nan)/mV", "1000.0(1e9)/mV", "1000.0()/mV",
    "1000.0(0)/mV/mV", "1000.0(0)", "1000.0 /mV", "1000.0(99999999999)/mV",
]  # fmt: skip
READ_AS_MILLIVOLTS = {"1000.0(0)", "1000.0 /mV"}
"""A gain without a unit is per mV, as the format says."""
FREQUENCIES = ["0", "-500", "nan", "inf", "1e3", "5,00", "49.9", "20001", "9" * 400, "0x1F4"]


def _wfdb_headers() -> Iterator[tuple[str, bytes]]:
    for number in NUMBERS["n_samples"]:
        yield f"W4 samples {number[:12]}", _header(RECORD, f"00001_lr 12 100 {number}")
    for number in NUMBERS["n_signals"]:
        yield f"W4 signals {number}", _header(RECORD, f"00001_lr {number} 100 1000")
    yield "W4 samples per frame", _header(".dat 16 ", ".dat 16x999999999 ", -1)
    yield "W4 byte offset", _header(".dat 16 ", ".dat 16+999999999 ", -1)
    yield "W4 skew", _header(".dat 16 ", ".dat 16:999999999 ", -1)
    yield "W4 signal lines", HEADER + b"00001_lr.dat 16 1000/mV 16 0 0 0 0 V6\n" * 200_000
    yield "W7 segments", _header(RECORD, "00001_lr/100000000 12 100 1000")
    yield "W7 itself as segment", b"00001_lr/2 12 100 1000\n00001_lr 500\n00001_lr 500\n"
    yield "W7 long line", _header(GAIN, "1" * 1_000_000)
    yield "W7 nested brackets", _header(GAIN, "(" * 30_000)
    yield "W7 many blanks", _header(RECORD, "00001_lr 12" + " " * 30_000 + "100 1000 x")
    yield "W7 long first line", b"0 " * 4_000 + b"\n" + HEADER
    for gain in (gain for gain in GAINS if gain not in READ_AS_MILLIVOLTS):
        yield f"W5 gain {gain}", _header(GAIN, gain)
    for frequency in FREQUENCIES:
        yield f"W5 rate {frequency[:9]}", _header(RECORD, f"00001_lr 12 {frequency} 1000")
    yield "W6 no samples declared right", _header(RECORD, "00001_lr 12 100 998")
    for name in ("8", "61", "80", "160", "212", "24", "32", "310", "311", "508", "16x2"):
        yield f"W6 format {name}", _header(".dat 16 ", f".dat {name} ", -1)
    yield "W6 lead twice", _header("0 V6", "0 V5")
    for path in ("../../etc/passwd", "/etc/passwd", "http://127.0.0.1/a.dat", "s3://a/b", "a::b"):
        yield f"W1 {path}", _header("00001_lr.dat", path, -1)


HEADERS = dict(_wfdb_headers())
SIGNAL_FILES = {
    "W6 short": SIGNALS[:-2],
    "W6 long": SIGNALS + bytes(2),
    "W6 another record's": np.roll(np.frombuffer(SIGNALS, "<i2"), 7).tobytes(),
    "W6 flipped bit": bytes([SIGNALS[0] ^ 1]) + SIGNALS[1:],
    "W6 empty": b"",
}


@pytest.mark.parametrize("name", HEADERS)
def test_hostile_header_is_refused_before_anything_is_allocated(
    watched: Watched, name: str
) -> None:
    reason = watched.refusal(HEADERS[name], SIGNALS)
    assert reason not in {R.READER_CRASHED, R.READER_MEMORY, R.READER_TIMEOUT}


@pytest.mark.parametrize("name", SIGNAL_FILES)
def test_signal_file_of_another_record_is_refused(watched: Watched, name: str) -> None:
    reasons = {R.INCOMPLETE, R.SIZE_MISMATCH, R.CHECKSUM_MISMATCH, R.INITIAL_VALUE_MISMATCH}
    assert watched.refusal(HEADER, SIGNAL_FILES[name]) in reasons


def test_control_the_same_record_unharmed_is_read(plain: Decoder) -> None:
    whole = RecordingBytes((Member("a", HEADER), Member("00001_lr.dat", SIGNALS)))
    assert plain.decode(whole).n_samples == 1000


NAMES = [
    b"line\nbreak.xml", b"\x1b[2Jclear.xml", b"\xff\xfe.xml", b"a\tb.xml", b"::.xml", b"-rf.xml",
    b"*.xml", b"=cmd.xml", b"\xc3\xa9.xml", b"e\xcc\x81.xml", b"%2e%2e.xml", b"a::b.hea",
    b"n" * 250 + b".xml", b"\r.xml", b"'; DROP TABLE item; --.xml", b"$(id).xml", b"\x7f.xml",
]  # fmt: skip


def test_names_of_files_are_only_names(tmp_path: Path, plain: Decoder) -> None:
    for name in NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(MUSE)
    source = FolderSource(tmp_path, 1 << 20)
    seen = list(source.scan())
    assert len({one.locator for one in seen}) == len(NAMES)
    for one in seen:
        assert one.locator.isascii()
        assert one.locator.isprintable()
        recording = plain.decode(source.read(one.locator, one.fingerprint))
        assert recording.format == "muse"


@pytest.mark.parametrize("kind", ["link", "folder link", "pipe", "device"])
def test_what_is_no_file_is_never_opened_for_reading(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.hea").write_bytes(HEADER)
    target = tmp_path / "00001_lr.dat"
    if kind == "link":
        target.symlink_to("/etc/passwd")
    elif kind == "folder link":
        target.symlink_to(tmp_path)
    elif kind == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to("/dev/zero")
    source = FolderSource(tmp_path, 1 << 20)
    started = time.monotonic()
    for one in source.scan():
        with pytest.raises((InputFault, TransientFault)):
            source.read(one.locator, one.fingerprint)
    assert time.monotonic() - started < 0.5
