"""Files that attack a reader: refused by name, in time, in little memory, and nothing else touched.

XML and compressed files, through the reader process; the marks are those of the threat model.
"""

import bz2
import gzip
import io
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from watched import Watched

from ecgbatch.isolation.decoder import Decoder
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.resources import demonstration
from ecgbatch.terms import ReasonCode

R = ReasonCode
MUSE = (demonstration("samples") / "muse" / "guangxi_teaching_sinus_rhythm.xml").read_bytes()


def _laughs(n_levels: int, repeats: int) -> bytes:
    declared = "".join(
        f'<!ENTITY e{level} "{f"&e{level - 1};" * repeats}">' for level in range(1, n_levels)
    )
    return (
        f'<!DOCTYPE RestingECG [<!ENTITY e0 "ha">{declared}]>'
        f"<RestingECG>&e{n_levels - 1};</RestingECG>"
    ).encode()


def _external(declaration: str, use: str = "&x;") -> bytes:
    return (
        f"<!DOCTYPE RestingECG [{declaration}]><RestingECG><PatientDemographics>"
        f"<PatientID>{use}</PatientID></PatientDemographics></RestingECG>"
    ).encode()


def _muse(body: bytes) -> bytes:
    return b"<RestingECG>" + body + b"</RestingECG>"


def _with_doctype(doctype: bytes) -> bytes:
    return re.sub(rb"<!DOCTYPE[^>]*>|(?=<RestingECG>)", doctype, MUSE, count=1)


def _encoded(name: str, codec: str) -> bytes:
    text = f'<?xml version="1.0" encoding="{name}"?><!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>'
    return text.replace("a>", "RestingECG>").replace("PE a", "PE RestingECG").encode(codec)


def _members(content: bytes, n_members: int) -> bytes:
    return gzip.compress(content, 9) * n_members


def _npz(n_bytes: int) -> bytes:
    target = io.BytesIO()
    np.savez_compressed(target, np.zeros(n_bytes // 8))
    return target.getvalue()


def _deflated_dicom() -> bytes:
    """Preamble, a file meta group that names the deflated syntax, and a deflated bomb."""
    syntax = b"1.2.840.10008.1.2.1.99\0"[:22]
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(element))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(400)) + packer.flush()
    return bytes(128) + b"DICM" + length + element + bomb


XML: dict[str, tuple[Callable[[], bytes], set[ReasonCode]]] = {
    "X1 billion laughs": (lambda: _laughs(10, 10), {R.XML_ENTITY}),
    "X1 quadratic": (lambda: _laughs(2, 50_000), {R.XML_ENTITY}),
    "X1 two entities": (lambda: _laughs(2, 2), {R.XML_ENTITY}),
    "X1 entity that is not used": (lambda: _external('<!ENTITY x "y">', ""), {R.XML_ENTITY}),
    "X2 local file": (lambda: _external('<!ENTITY x SYSTEM "file:///etc/passwd">'), {R.XML_ENTITY}),
    "X2 address": (lambda: _external('<!ENTITY x SYSTEM "http://127.0.0.1/">'), {R.XML_ENTITY}),
    "X2 parameter entity": (
        lambda: _external('<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;', ""),
        {R.XML_ENTITY},
    ),
    "X2 reference to nothing": (
        lambda: MUSE.replace(b"<PatientID>", b"<PatientID>&x;", 1),
        {R.XML_ENTITY},
    ),
    "X2 XInclude": (
        lambda: _muse(
            b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>'
        ),
        {R.NO_RHYTHM_WAVEFORM},
    ),
    "X3 internal subset": (
        lambda: _with_doctype(
            b'<!DOCTYPE RestingECG SYSTEM "restecg.dtd" [<!ATTLIST a b CDATA "z">]>'
        ),
        {R.XML_ENTITY},
    ),
    "X4 depth": (lambda: _muse(b"<a>" * 200_000 + b"</a>" * 200_000), {R.XML_LIMIT}),
    "X4 attributes of one element": (
        lambda: _muse(b"<a " + b" ".join(b'a%d="1"' % n for n in range(250_000)) + b"/>"),
        {R.XML_LIMIT},
    ),
    "X4 attributes": (lambda: _muse(b'<a b="1" c="2"/>' * 150_000), {R.XML_LIMIT}),
    "X4 elements": (lambda: _muse(b"<a/>" * 5_000_000), {R.XML_LIMIT}),
    "X4 text": (lambda: _muse(b"x" * (30 << 20)), {R.XML_LIMIT}),
    "X4 one attribute": (lambda: _muse(b'<a b="' + b"x" * (30 << 20) + b'"/>'), {R.XML_LIMIT}),
    "X4 comment that never ends": (
        lambda: b"<RestingECG><!--" + b"-" * (30 << 20),
        {R.INCOMPLETE, R.XML_INVALID, R.XML_LIMIT},
    ),
    "X4 white space": (lambda: b"<RestingECG>" + b" " * (60 << 20), {R.XML_LIMIT}),
    "X5 UTF-16 with an entity": (lambda: _encoded("UTF-16", "utf-16"), {R.XML_ENTITY}),
    "X5 UTF-7": (
        lambda: b'<?xml version="1.0" encoding="UTF-7"?>+ADw-RestingECG/+AD4-',
        {R.FORMAT_UNKNOWN, R.TEXT_ENCODING_INVALID},
    ),
    "X5 UTF-7 inside": (
        lambda: b'<?xml version="1.0" encoding="UTF-7"?><RestingECG/>',
        {R.TEXT_ENCODING_INVALID},
    ),
    "X5 EBCDIC": (
        lambda: b'<?xml version="1.0" encoding="cp500"?><RestingECG/>',
        {R.TEXT_ENCODING_INVALID},
    ),
    "X5 UTF-32": (
        lambda: "<RestingECG/>".encode("utf-32"),
        {R.FORMAT_UNKNOWN, R.INCOMPLETE, R.XML_INVALID},
    ),
}

PACKED: dict[str, tuple[Callable[[], bytes], set[ReasonCode]]] = {
    "X6 gzip": (lambda: gzip.compress(bytes(500 << 20), 1), {R.EXPANSION_LIMIT}),
    "X6 gzip of XML": (
        lambda: gzip.compress(_muse(b" " * (200 << 20)), 1),
        {R.EXPANSION_LIMIT},
    ),
    "X6 many gzip members": (lambda: _members(bytes(1 << 20), 2_000), {R.EXPANSION_LIMIT}),
    "X6 gzip in gzip": (lambda: gzip.compress(gzip.compress(MUSE)), {R.EXPANSION_LIMIT}),
    "X6 npz": (lambda: _npz(200 << 20), {R.FORMAT_VENDOR_BINARY}),
    "X6 bzip2": (lambda: bz2.compress(bytes(50 << 20)), {R.FORMAT_UNKNOWN}),
    "X6 parquet": (lambda: b"PAR1" + bytes(1000) + b"PAR1", {R.FORMAT_UNKNOWN}),
    "X6 deflated DICOM": (
        _deflated_dicom,
        {R.EXPANSION_LIMIT, R.SAMPLE_DATA_DAMAGED, R.HEADER_INVALID, R.INCOMPLETE},
    ),
}


@pytest.mark.parametrize("name", [*XML, *PACKED])
def test_hostile_document_is_refused_with_its_reason(watched: Watched, name: str) -> None:
    make, reasons = (XML | PACKED)[name]
    assert watched.refusal(make()) in reasons


def test_control_the_same_files_unharmed_are_read(plain: Decoder) -> None:
    plain_doctype = _with_doctype(b'<!DOCTYPE RestingECG SYSTEM "restecg.dtd">')
    for content in (MUSE, plain_doctype, gzip.compress(MUSE)):
        assert plain.decode(RecordingBytes((Member("a", content),))).n_samples == 5000


HERMETIC = """
import sys
from pathlib import Path
from ecgbatch.isolation.here import decode_here
from ecgbatch.errors import EcgbatchError
from ecgbatch.records import Member, RecordingBytes
contents = [path.read_bytes() for path in Path(sys.argv[1]).iterdir()]
sources = [RecordingBytes((Member("a", content),)) for content in contents]
seen, watching = [], False
sys.addaudithook(lambda event, _: seen.append(event) if watching else None)
for watching in (False, True):
    for source in sources:
        try:
            decode_here(source)
        except EcgbatchError:
            continue
watching = False
outside = {"open", "socket", "subprocess", "os", "urllib"}
bad = [event for event in seen if event.split(".")[0] in outside]
raise SystemExit(repr(bad) if bad else 0)
"""


def test_hostile_documents_open_no_file_and_no_socket(tmp_path: Path) -> None:
    for number, (make, _) in enumerate(XML.values()):
        content = make()
        if len(content) < 1 << 20:
            (tmp_path / str(number)).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", HERMETIC, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
