"""Formats that are known by their first bytes and not read, each with a reason of its own."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ecgbatch.readers.xml import root_name
from ecgbatch.terms import ReasonCode


@dataclass(frozen=True, slots=True)
class RefusedFormat:
    """A format by the name its users give it; `recognises` looks at its first bytes."""

    title: str
    reason: ReasonCode
    recognises: Callable[[bytes], bool]


def _starts(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magics)


def _has_root(name: str) -> Callable[[bytes], bool]:
    return lambda head: root_name(head) == name


def _is_mfer(head: bytes) -> bool:
    """The preamble: tag 40h, its length, and text that starts with MFR."""
    return len(head) > 1 and head[0] == 0x40 and head[2 : 2 + head[1]].startswith(b"MFR")


def _is_physio_control(head: bytes) -> bool:
    root = root_name(head)
    return root == "ECGRecord" or (root == "root" and b"<ECGRecord" in head)


_MUSE_TEXT = re.compile(rb"(?:\A|\n)[ \t]*(?:Rhythm|Median) signal:[ \t]*\d{1,9}[ \t]*X[ \t]*\d")


def _is_muse_text(head: bytes) -> bool:
    return _MUSE_TEXT.search(head) is not None


# A case number of 8 bytes, 2 bytes, then the time as a text of 20 bytes.
_CONTEC = re.compile(rb"[0-9A-Za-z \0]{8}.{2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\0", re.DOTALL)


def _is_contec(head: bytes) -> bool:
    return _CONTEC.match(head) is not None


_C = ReasonCode

REFUSED: tuple[RefusedFormat, ...] = (
    RefusedFormat("ISHNE Holter", _C.FORMAT_ISHNE, _starts(b"ISHNE1.0")),
    RefusedFormat("MFER", _C.FORMAT_MFER, _is_mfer),
    RefusedFormat("BDF", _C.FORMAT_BDF, _starts(b"\xffBIOSEMI")),
    RefusedFormat("PDF", _C.FORMAT_PDF, _starts(b"%PDF-", b"\xef\xbb\xbf%PDF-", b"\r\n%PDF-")),
    RefusedFormat("GE Sapphire XML", _C.FORMAT_VENDOR_XML, _has_root("sapphire")),
    RefusedFormat("Physio-Control XML", _C.FORMAT_VENDOR_XML, _is_physio_control),
    RefusedFormat("Zoncare XML", _C.FORMAT_VENDOR_XML, _has_root("zqecg")),
    RefusedFormat("MUSE text export", _C.FORMAT_TEXT_EXPORT, _is_muse_text),
    RefusedFormat("Contec ECG90A", _C.FORMAT_VENDOR_BINARY, _is_contec),
    RefusedFormat("HDF5", _C.FORMAT_VENDOR_BINARY, _starts(b"\x89HDF\r\n\x1a\n")),
    RefusedFormat("MATLAB 5 or later", _C.FORMAT_VENDOR_BINARY, _starts(b"MATLAB 5.0 MAT-file")),
    RefusedFormat("ZIP archive", _C.FORMAT_VENDOR_BINARY, _starts(b"PK\x03\x04")),
    RefusedFormat(
        "OLE compound file", _C.FORMAT_VENDOR_BINARY, _starts(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    ),
)


def reason_of(head: bytes) -> ReasonCode | None:
    """Why a file that starts like `head` is not read; None for a format that nobody knows."""
    return next((one.reason for one in REFUSED if one.recognises(head)), None)
