"""ECG files of every format whose identity fields carry tokens, and damaged ones of each.

ZQP: what names a person and may stand nowhere. ZQC: clerical fields, each of which has its column.
ZQL: places, for operators alone. Birth dates cannot be words, so one date is searched for in every
spelling.
"""

import gzip
import os
import re
from binascii import crc_hqx
from io import BytesIO
from pathlib import Path
from struct import pack_into, unpack_from

from pydicom import dcmread
from pydicom.valuerep import PersonName

from ecgbatch.resources import demonstration
from tests.fuzz import written

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
BORN = ("1931-07-23", "19310723", "07-23-1931", "23-JUL-1931", "1931-7-23")

_TOKEN = re.compile("ZQ[PCL][A-Za-z0-9]*|" + "|".join(map(re.escape, BORN)))
_PERSON = {"ID": "ZQPID", "LAST": "ZQPLASTNAME", "FIRST": "ZQPFIRSTNAME", "TECH": "ZQPTECH"}


def tokens(text: str) -> set[str]:
    return set(_TOKEN.findall(text))


def write_planted(folder: Path) -> None:
    """All of them, whole and damaged, with a link and a pipe."""
    folder.mkdir()
    whole = planted()
    for name, content in (whole | damaged(whole)).items():
        (folder / name).write_bytes(content)
    (folder / "ZQLlink.xml").symlink_to(folder / "ZQLmuse.xml")
    os.mkfifo(folder / "ZQLpipe.dat")


def planted() -> dict[str, bytes]:
    """Name of a file to its bytes; what belongs together has one stem."""
    return {
        "ZQLmuse.xml": _muse(),
        "ZQLaecg.xml.gz": _aecg(),
        "ZQLphilips.xml": _philips(),
        "ZQLmortara.xml": _mortara(),
        "ZQLcardiosoft.xml": _cardiosoft(),
        "ZQLschiller.xml": _schiller(),
        "ZQLdicom.dcm": _dicom(),
        "ZQLscp.scp": _scp(),
        "ZQLedf.edf": _edf(),
        **_wfdb(),
        **{f"ZQL{one.name}": one.content for one in written.npy().members},
    }


def damaged(whole: dict[str, bytes]) -> dict[str, bytes]:
    """What breaks on the way, each with tokens inside and in its name."""
    found = {}
    for name, content in whole.items():
        if name.endswith((".json", ".dat", ".mat")):
            continue
        half = len(content) // 2
        found[f"half-{name}"] = content[:half]
        found[f"end-{name}"] = content[:-40]
        found[f"hole-{name}"] = content[:half] + bytes(range(200, 256)) * 4 + content[half + 224 :]
    muse = whole["ZQLmuse.xml"]
    declared = b'<!DOCTYPE RestingECG [<!ENTITY e "ZQPENTITY">]>'
    entity = re.sub(rb"<!DOCTYPE[^>]*>|(?=<RestingECG)", declared, muse, count=1)
    return found | {
        "ZQLentity.xml": entity,
        "ZQLnote.txt": b"ZQPID ZQPLASTNAME born 1931-07-23, please call",
        "ZQLletter.pdf": b"%PDF-1.7\n(ZQPLASTNAME 1931-07-23)",
        "ZQLempty.xml": b"",
        "ZQLlarge.xml": muse + b" " * 4_000_000,
        "ZQLbomb.xml.gz": gzip.compress(b"<ZQPBOMB>" + b" " * 40_000_000),
        "ZQLunit.hea": b"ZQLunit 12 500 5000\n" + b"ZQLunit.dat 16 200/ZQPUNIT 16 0 0 0 0 I\n" * 12,
        "ZQLlonely.hea": whole["ZQLwfdb.hea"].replace(b"ZQLwfdb.mat", b"ZQLgone.mat"),
        "ZQLheader.hea": b"ZQLheader 12 500 5000\n" + b"ZQLheader.dat 16 200/mV ZQPBAD\n" * 12,
        "ZQLheader.dat": bytes(120_000),
        "ZQLunit.dat": bytes(120_000),
        "ZQLsamples.dat": b"ZQPSAMPLES" * 100,
        "ZQL\nline\x1b[31m.xml": muse[:5000],
        "ZQLtext.xml": muse.replace(b"ZQPLASTNAME", b"ZQPLASTNAME\xff\x00"),
        "ZQLshort.xml": re.sub(rb"<WaveFormData>[^<]*<", b"<WaveFormData>AAAA<", muse),
    }


def _filled(text: str, **fields: str) -> str:
    """Elements of these names get the texts; each must be there, with or without one."""
    for name, token in fields.items():
        text, number = re.subn(
            rf"<{name}( [^>/]*)?(/>|>[^<]*</{name}>)", rf"<{name}\1>{token}</{name}>", text
        )
        assert number, name
    return text


def _after(text: str, tag: str, more: str) -> str:
    assert tag in text, tag
    return text.replace(tag, tag + more, 1)


def _muse() -> bytes:
    path = demonstration("samples") / "muse" / "guangxi_teaching_sinus_rhythm.xml"
    text = path.read_text(encoding="utf-8")
    text = _filled(text, PatientID=_PERSON["ID"], DateofBirth="07-23-1931", PatientAge="")
    text = _filled(text, RequisitionNumber="ZQCORDER", SiteName="ZQCSITE")
    names = {"PatientLastName": "LAST", "PatientFirstName": "FIRST"}
    text = re.sub(r"<Patient(Last|First)Name>[^<]*</Patient(Last|First)Name>\s*", "", text)
    people = "".join(f"<{tag}>{_PERSON[key]}</{tag}>" for tag, key in names.items())
    text = _after(text, "<PatientDemographics>", people)
    staff = ("AcquisitionTechID", "OverreaderLastName", "OrderingMDLastName", "EditorID")
    text = _after(text, "<TestDemographics>", "".join(f"<{tag}>ZQPTECH</{tag}>" for tag in staff))
    account = "<HISAccountNumber>ZQCACCESSION</HISAccountNumber>"
    return _after(text, "<Order>", account).encode()


def _aecg() -> bytes:
    text = gzip.decompress((SAMPLES / "aecg" / "wyf_1.xml.gz").read_bytes()).decode()
    for old, new in (
        ('extension="ZY000000000000"', 'extension="ZQPID"'),
        ('<birthTime value="1900-01-01"/>', '<birthTime value="1931-07-23"/>'),
        ("<name>某某某</name>", "<name>ZQPLASTNAME</name>"),
        ("<name/>", "<name>ZQPTECH</name>"),
        ("<manufacturerModelName>0<", "<manufacturerModelName>ZQCDEVICE<"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    return gzip.compress(text.encode())


def _philips() -> bytes:
    packed = (SAMPLES / "philips" / "129DYPRG.xml.gz").read_bytes()
    text = gzip.decompress(packed).decode()
    text = _filled(text, patientid="ZQPID", lastname="ZQPLASTNAME", firstname="ZQPFIRSTNAME")
    text = _filled(text, operatorid="ZQPTECH", institutionname="ZQCSITE")
    text = text.replace("<years>50</years>", "<dateofbirth>1931-07-23</dateofbirth>")
    text = text.replace("1112010721168bdc", "ZQPINCIDENT")
    assert "1931-07-23" in text
    return _after(text, "<acquirer>", "<encounterid>ZQCACCESSION</encounterid>").encode()


def _mortara() -> bytes:
    path = SAMPLES / "mortara" / "ecgdatakit_mortara_synthetic.xml"
    text = path.read_text(encoding="utf-8")
    for old, new in (
        ("PAT001", "ZQPID"),
        ("Doe", "ZQPLASTNAME"),
        ("José O'Neil", "ZQPFIRSTNAME"),
        ('VALUE="John"', 'VALUE="ZQPFIRSTNAME"'),
        ("19900515", "19310723"),
        ("1990-05-15", "1931-07-23"),
        ('TECHNICIAN="TS"', 'TECHNICIAN="ZQPTECH"'),
        ("SN123", "ZQCDEVICE"),
        ("Main Hospital", "ZQCSITE"),
        ("Chest pain", "ZQPCOMMENT"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    return text.encode()


def _cardiosoft() -> bytes:
    person = (
        "<PatientInfo><PID>ZQPID</PID><Name><FamilyName>ZQPLASTNAME</FamilyName></Name>"
        "<BirthDateTime><Day>23</Day><Month>7</Month><Year>1931</Year></BirthDateTime>"
        "</PatientInfo><PatientVisit><OrderNumber>ZQCORDER</OrderNumber><ServicingFacility>"
        "<Name>ZQCSITE</Name></ServicingFacility></PatientVisit>"
    )
    text = written.cardiosoft().first.decode()
    return _after(text, "<ObservationType>RestECG</ObservationType>", person).encode()


def _schiller() -> bytes:
    person = (
        "<id>ZQPID</id><lastname>ZQPLASTNAME</lastname><firstname>ZQPFIRSTNAME</firstname>"
        "<birthdate>1931-07-23</birthdate>"
    )
    text = written.schiller().first.decode()
    assert "<id>0012</id>" in text
    return text.replace("<id>0012</id>", person).encode()


def _dicom() -> bytes:
    dataset = dcmread(SAMPLES / "dicom" / "guangxi_teaching_sinus_rhythm.dcm")
    dataset.PatientID = "ZQPID"
    dataset.PatientName = PersonName("ZQPLASTNAME^ZQPFIRSTNAME")
    dataset.PatientBirthDate = "19310723"
    dataset.OperatorsName = "ZQPTECH"
    dataset.ReferringPhysicianName = "ZQPDOCTOR"
    dataset.AccessionNumber = "ZQCACCESSION"
    dataset.InstitutionName = "ZQCSITE"
    dataset.DeviceSerialNumber = "ZQCDEVICE"
    target = BytesIO()
    dataset.save_as(target)
    return target.getvalue()


def _scp() -> bytes:
    content = bytearray((SAMPLES / "scp" / "ecgtoolkit_Example.scp").read_bytes())
    for old, new in ((b"SBJ-123", b"ZQPIDSC"), (b"Clark", b"ZQPLA")):
        at = content.index(old)
        content[at : at + len(old)] = new
    born = content.index(b"\x05\x04\x00\xa1\x07\x05\x08") + 3
    pack_into("<HBB", content, born, 1931, 7, 23)
    number, length, at = next(
        entry
        for place in range(22, 142, 10)
        if (entry := unpack_from("<HII", content, place))[0] == 1
    )
    assert number == 1
    section = bytes(content[at + 1 : at - 1 + length])
    pack_into("<H", content, at - 1, crc_hqx(section, 0xFFFF))
    pack_into("<H", content, 0, crc_hqx(bytes(content[2:]), 0xFFFF))
    return bytes(content)


def _edf() -> bytes:
    content = bytearray((SAMPLES / "edf" / "A0001.edf").read_bytes())
    content[8:88] = b"ZQPID F 23-JUL-1931 ZQPLASTNAME".ljust(80)
    content[88:168] = b"Startdate 10-MAY-2023 ZQCADMIN ZQPTECH ZQCDEVICE".ljust(80)
    return bytes(content)


def _wfdb() -> dict[str, bytes]:
    folder = demonstration("samples") / "wfdb"
    header = (folder / "JS20000.hea").read_text().replace("JS20000", "ZQLwfdb")
    comments = "# subject_id: ZQPID\n# Name: ZQPLASTNAME\n# Born: 1931-07-23\n"
    samples = (folder / "JS20000.mat").read_bytes()
    return {"ZQLwfdb.hea": (header + comments).encode(), "ZQLwfdb.mat": samples}
