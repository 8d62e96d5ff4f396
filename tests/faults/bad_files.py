"""One file for each way in which an ECG can fail, be unsupported or be rejected."""

import gzip
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ecgbatch.terms import LEADS, ReasonCode
from tests.faults.ecg_files import FORMATS, ecg
from tests.support.ecgs import heartbeats, write_muse, write_wfdb

sys.path.append(str(Path(__file__).parents[1] / "isolation"))
install_traps: Callable[[Path], None] = import_module("plug_in").install

R = ReasonCode
_OF = {fmt.name: fmt for fmt in FORMATS}


@dataclass(frozen=True)
class Bad:
    """What to put there, and what a run makes of it."""

    reason: ReasonCode
    disposition: str
    make: Callable[[Path], object]


def _bytes(content: bytes | str, name: str = "bad.xml") -> Callable[[Path], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def _wfdb(*changes: tuple[str, str], **how: Any) -> Callable[[Path], object]:
    """A record whose header was changed by patterns; each must be found."""

    def make(folder: Path) -> None:
        signal = how.pop("signal", heartbeats(len(str(folder))))
        header = write_wfdb(folder, "bad", signal, **how)
        text = header.read_text()
        for pattern, new in changes:
            text, found = re.subn(pattern, new, text, count=1, flags=re.MULTILINE)
            assert found, pattern
        header.write_text(text)

    return make


def _damaged(change: Callable[[bytearray], None]) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        path = write_wfdb(folder, "bad", heartbeats(2)).with_suffix(".dat")
        content = bytearray(path.read_bytes())
        change(content)
        path.write_bytes(content)

    return make


def _of(name: str, *changes: tuple[bytes, bytes]) -> Callable[[Path], object]:
    """An ECG of this format with bytes of its first file replaced."""

    def make(folder: Path) -> None:
        content = ecg(_OF[name], 77).first
        for pattern, new in changes:
            content, found = re.subn(pattern, new, content, count=1, flags=re.DOTALL)
            assert found, pattern
        (folder / "bad.xml").write_bytes(content)

    return make


def _muse(*changes: tuple[str, str]) -> Callable[[Path], object]:
    return lambda folder: write_muse(folder, "bad.xml", *changes)


def _invert(content: bytearray) -> None:
    content[5000] ^= 1


def _swap_first_two(content: bytearray) -> None:
    """The sums stay, the first values do not."""
    content[:48] = content[24:48] + content[:24]


def _invalid() -> Any:
    signal = heartbeats(4)
    signal[4, 100:200] = np.nan
    return signal


def _link(folder: Path) -> None:
    (folder / "bad.xml").symlink_to("/etc/hostname")


def _huge(folder: Path) -> None:
    with (folder / "bad.xml").open("wb") as file:
        file.truncate((32 << 20) + 1)


def _trap(order: str) -> Callable[[Path], object]:
    return _bytes(f"TRAP {order} x")


BAD = (
    Bad(R.FORMAT_UNKNOWN, "unsupported", _bytes("no ECG at all")),
    Bad(
        R.WFDB_FORMAT_RARE,
        "unsupported",
        _bytes("bad/2 12 500 5000\nb1 2500\nb2 2500\n", "bad.hea"),
    ),
    Bad(R.FORMAT_ISHNE, "unsupported", _bytes(b"ISHNE1.0" + bytes(600))),
    Bad(R.FORMAT_MFER, "unsupported", _bytes(b"\x40\x20MFR " + bytes(600))),
    Bad(R.FORMAT_BDF, "unsupported", _bytes(b"\xffBIOSEMI" + bytes(600))),
    Bad(R.FORMAT_PDF, "unsupported", _bytes("%PDF-1.7 ...")),
    Bad(R.FORMAT_VENDOR_XML, "unsupported", _bytes("<?xml version='1.0'?><sapphire></sapphire>")),
    Bad(R.FORMAT_VENDOR_BINARY, "unsupported", _bytes(b"PK\x03\x04" + bytes(600))),
    Bad(R.FORMAT_TEXT_EXPORT, "unsupported", _bytes("Rhythm signal: 5000 X 12\n1 2 3\n")),
    Bad(
        R.XML_VARIANT_UNSUPPORTED,
        "unsupported",
        _of(
            "cardiosoft",
            (b"<CardiologyXML>", b"<CardiologyXML><ObservationType>StressECG</ObservationType>"),
        ),
    ),
    Bad(R.EDF_VARIANT_UNSUPPORTED, "unsupported", _of("edf", (rb"\A(.{192}).....", rb"\1EDF+D"))),
    Bad(R.DICOM_VARIANT_UNSUPPORTED, "unsupported", _of("dicom", (b"SS", b"MB"))),
    Bad(R.INCOMPLETE, "failed", _bytes("")),
    Bad(R.HEADER_INVALID, "failed", _wfdb((r"^bad\.dat(.*II)$", r"../bad.dat\1"))),
    Bad(R.SIZE_MISMATCH, "failed", _damaged(lambda content: content.extend(bytes(24)))),
    Bad(R.CHECKSUM_MISMATCH, "failed", _damaged(_invert)),
    Bad(R.INITIAL_VALUE_MISMATCH, "failed", _damaged(_swap_first_two)),
    Bad(R.UNIT_UNKNOWN, "failed", _wfdb(units="mmHg")),
    Bad(R.GAIN_INVALID, "failed", _wfdb((r"1000\.0\(0\)/mV", "0(0)/mV"))),
    Bad(R.SAMPLING_FREQUENCY_INVALID, "failed", _wfdb((r"^bad 12 500", "bad 12 5"))),
    Bad(R.LEAD_DUPLICATED, "failed", _wfdb((r" II$", " I"))),
    Bad(R.SAMPLE_OFFSET_UNSUPPORTED, "failed", _of("mortara", (b'OFFSET="0"', b'OFFSET="7"'))),
    Bad(R.XML_INVALID, "failed", _of("mortara", (b"</ECG>", b"</ECH>"))),
    Bad(R.XML_ENTITY, "failed", _muse(('SYSTEM "restecg.dtd"', '[<!ENTITY x "y">]'))),
    Bad(
        R.XML_LIMIT,
        "failed",
        _of("mortara", (b"</ECG>", b"<a>" * 5000 + b"</a>" * 5000 + b"</ECG>")),
    ),
    Bad(
        R.SAMPLE_DATA_DAMAGED,
        "failed",
        _of("muse, 12 leads", (rb"(Rhythm.*?<WaveFormData>)....", rb"\1!!!!")),
    ),
    Bad(R.EXPANSION_LIMIT, "failed", _bytes(gzip.compress(bytes(64 << 20)), "bad.xml.gz")),
    Bad(R.NOT_REGULAR, "failed", _link),
    Bad(R.FILE_TOO_LARGE, "failed", _huge),
    Bad(R.READER_CRASHED, "failed", _trap("segfault")),
    Bad(R.READER_TIMEOUT, "failed", _trap("hang")),
    Bad(R.READER_MEMORY, "failed", _trap("swallow")),
    Bad(R.LEAD_MISSING, "rejected", _wfdb(signal=heartbeats(3)[:3], leads=LEADS[:3])),
    Bad(R.TOO_SHORT, "rejected", _wfdb(signal=heartbeats(3, n_samples=2000))),
    Bad(R.LEAD_FLAT, "rejected", _wfdb(signal=np.zeros((12, 5000)))),
    Bad(R.INVALID_SAMPLES, "rejected", _wfdb(signal=_invalid())),
    Bad(R.AMPLITUDE_IMPLAUSIBLE, "rejected", _wfdb(signal=20 * heartbeats(3))),
    Bad(R.NO_RHYTHM_WAVEFORM, "rejected", _muse(("<WaveformType>Rhythm", "<WaveformType>Median"))),
)
