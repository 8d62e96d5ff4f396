"""The one XML parser against hostile and damaged documents."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_cases import GUANGXI, SYNTHETIC, muse_bytes

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.readers.registry import decode
from ecgbatch.readers.xml import parse_xml, root_name
from ecgbatch.terms import ReasonCode

R = ReasonCode


def _reason(content: bytes) -> ReasonCode:
    with pytest.raises(InputFault) as caught:
        parse_xml(content)
    assert caught.value.__cause__ is None
    return caught.value.reason


def _laughs(levels: int) -> bytes:
    declared = "".join(
        f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, levels)
    )
    return f'<!DOCTYPE a [<!ENTITY e0 "ha">{declared}]><a>&e{levels - 1};</a>'.encode()


@pytest.mark.parametrize(
    "content",
    [
        _laughs(10),
        _laughs(2),
        b'<!DOCTYPE a [<!ENTITY e "' + b"x" * 50_000 + b'">]><a>' + b"&e;" * 50_000 + b"</a>",
        b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>',
        b'<!DOCTYPE a [<!ENTITY e SYSTEM "http://127.0.0.1/x">]><a/>',
        b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1/x"> %p;]><a/>',
        b'<!DOCTYPE a SYSTEM "a.dtd" [<!ATTLIST a b CDATA "z">]><a/>',
        b"<!DOCTYPE a [ ]><a/>",
        b'<!-- c --><?p i?><!DOCTYPE a PUBLIC "x" "y" [<!NOTATION n SYSTEM "x">]><a/>',
        b'<!DOCTYPE a SYSTEM "a.dtd"><a>1&e;2</a>',
        b'<!DOCTYPE a SYSTEM "a.dtd"><a b="1&e;2"/>',
        b"<a>&nbsp;</a>",
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>'.encode(
            "utf-16"
        ),
    ],
)
def test_entities_and_internal_subsets_are_refused(content: bytes) -> None:
    assert _reason(content) is R.XML_ENTITY


def test_utf_7_cannot_smuggle_an_entity_in() -> None:
    body = '<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>'.encode("utf-7")
    content = b'<?xml version="1.0" encoding="UTF-7"?>' + body
    assert _reason(content) is R.TEXT_ENCODING_INVALID


@pytest.mark.parametrize("name", ["UTF-7", "EBCDIC-CP-US", "GB2312", "UCS-4", "x", ""])
def test_encodings_beyond_the_list_are_refused(name: str) -> None:
    content = f'<?xml version="1.0" encoding="{name}"?><a/>'.encode()
    assert _reason(content) is R.TEXT_ENCODING_INVALID


@pytest.mark.parametrize(
    "content",
    [
        b"<a>" * 65 + b"</a>" * 65,
        b"<a>" * 100_000,
        b"<a>" + b"<b/>" * 200_001 + b"</a>",
        b"<a " + b" ".join(b'a%d="1"' % at for at in range(200_000)) + b"/>",
        b"<a>" + b"<b c='1' d='2' e='3'/>" * 70_000 + b"</a>",
        b"<a>" + b"x" * (11 * 1024 * 1024) + b"</a>",
        b" " * (32 * 1024 * 1024 + 1),
    ],
    ids=["depth", "endless depth", "elements", "attributes of one", "attributes", "text", "size"],
)
def test_documents_beyond_any_ecg_are_refused(content: bytes) -> None:
    assert _reason(content) is R.XML_LIMIT


@pytest.mark.parametrize("opening", [b"<!--", b"<![CDATA[", b"<?p ", b"&x", b"<a ", b"</a", b'"'])
def test_endless_openings_take_no_endless_time(opening: bytes) -> None:
    for start in (b"<a>&x;", b"<!DOCTYPE a SYSTEM ", b"<!DOCTYPE ", b""):
        content = start + opening * 400_000
        root_name(content[:8192])
        with pytest.raises(InputFault):
            parse_xml(content)


@pytest.mark.parametrize(
    "content",
    [
        b"<a><b></a>",
        b"<a/>junk",
        b"<a/><a/>",
        b"<a>x & y</a>",
        b'<a b="1" b="2"/>',
        b"<a>&#0;</a>",
        b"junk<a/>",
    ],
)
def test_what_is_not_well_formed_is_invalid(content: bytes) -> None:
    assert _reason(content) is R.XML_INVALID


def test_plain_doctype_with_an_external_name_is_accepted_and_not_loaded() -> None:
    for identifier in ('SYSTEM "restecg.dtd"', 'PUBLIC "p" "http://127.0.0.1/x.dtd"', ""):
        content = f"<!DOCTYPE RestingECG {identifier}>\n<RestingECG>x</RestingECG>".encode()
        assert parse_xml(content).root.text == "x"


def test_text_around_comments_and_cdata_is_kept_whole() -> None:
    root = parse_xml(b"<a>12<!-- & -->34<?p i?>56<![CDATA[&x;]]></a>").root
    assert root.text == "123456&x;"


@pytest.mark.parametrize("position", [0.02, 0.1, 0.5, 0.9, 0.999])
def test_document_cut_before_its_root_closes_is_incomplete(position: float) -> None:
    for content in (GUANGXI.read_bytes(), SYNTHETIC.read_bytes()):
        for codec in ("utf-8", "utf-16"):
            text = content.decode().replace("ISO-8859-1", "UTF-8").encode(codec)
            with pytest.raises(Incomplete):
                decode(muse_bytes(text[: int(len(text) * position)]))


@given(length=st.integers(200, 197_000))
@settings(max_examples=40, deadline=None)
def test_real_export_cut_anywhere_is_incomplete(length: int) -> None:
    with pytest.raises(Incomplete):
        decode(muse_bytes(GUANGXI.read_bytes()[:length]))


NAME = "Jürgen"


@pytest.mark.parametrize(
    ("declared", "codec", "is_repaired"),
    [
        ("UTF-8", "utf-8", False),
        ("UTF-8", "utf-8-sig", False),
        ("UTF-16", "utf-16", False),
        ("UTF-16", "utf-16-le", False),
        ("UTF-16", "utf-16-be", False),
        ("ISO-8859-1", "iso-8859-1", False),
        ("ISO8859-1", "iso-8859-1", False),
        ("windows-1252", "cp1252", False),
        (None, "utf-8", False),
        (None, "utf-16", False),
        ("UTF-8", "iso-8859-1", True),
        ("UTF-8", "utf-16", True),
        ("UTF-16", "utf-8", True),
        ("UTF-16", "utf-8-sig", True),
        ("ISO-8859-1", "utf-8-sig", True),
        (None, "cp1252", True),
    ],
)
def test_text_is_read_in_its_true_encoding(
    declared: str | None, codec: str, is_repaired: bool
) -> None:
    declaration = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    document = parse_xml(f"{declaration}<a>{NAME}</a>".encode(codec))
    assert (document.root.text, document.is_repaired) == (NAME, is_repaired)


def test_control_characters_are_taken_out_and_reported() -> None:
    document = parse_xml(b"<a>12\x0034\x1f</a>\0\0")
    assert (document.root.text, document.is_repaired) == ("1234", True)


def test_repaired_export_carries_the_finding() -> None:
    content = SYNTHETIC.read_bytes().replace(b"ISO-8859-1", b"UTF-8").replace(b"Reader", b"J\xfcrg")
    findings = decode(muse_bytes(content)).findings
    assert ("encoding", R.ENCODING_REPAIRED) in [(f.check, f.reason) for f in findings]


def test_utf_8_and_utf_16_exports_of_one_ecg_are_the_same_signal() -> None:
    text = GUANGXI.read_bytes().decode()
    wide = muse_bytes(text.replace("UTF-8", "UTF-16", 1).encode("utf-16"))
    narrow = muse_bytes(text.encode())
    assert decode(wide).signal_digest == decode(narrow).signal_digest
    assert decode(wide).statements == decode(narrow).statements
    assert wide.file_digest != narrow.file_digest


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"<RestingECG>", "RestingECG"),
        (
            b"\xef\xbb\xbf<?xml version='1.0'?>\r\n<!-- <x> -->\n<h:RestingECG xmlns:h='u'>",
            "RestingECG",
        ),
        ('<?xml version="1.0"?><RestingECG/>'.encode("utf-16"), "RestingECG"),
        ("<RestingECG/>".encode("utf-16-be"), "RestingECG"),
        (b'<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n<Resti', "RestingECG"),
        (b"<!DOCTYPE RestingECG [<!ENTITY e 'x'>]><RestingECG>", "RestingECG"),
        (b"<restingecgdata x='1'>", "restingecgdata"),
        (b"<CardiologyXML><RestingECGMeasurements>", "CardiologyXML"),
        (b"<Resti", None),
        (b"hello <RestingECG>", None),
        (b"", None),
    ],
)
def test_root_is_found_by_its_local_name(head: bytes, name: str | None) -> None:
    assert root_name(head) == name


@given(content=st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_bytes_end_in_a_tree_or_a_named_fault(content: bytes) -> None:
    for document in (content, b"<a>" + content + b"</a>", b"<?xml " + content):
        root_name(document)
        with suppress(InputFault):
            assert parse_xml(document).root.name
