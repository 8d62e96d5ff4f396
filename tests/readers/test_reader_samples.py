"""Every sample against decodings by other software."""

import subprocess
import sys

import numpy as np
import pytest
import wfdb
from reader_cases import (
    GUANGXI,
    MUSE_ECGS,
    SAMPLES,
    SHIPPED,
    SYNTHETIC,
    WFDB_ECGS,
    muse_bytes,
    replaced,
    wfdb_bytes,
    wfdb_header_path,
)

from ecgbatch.errors import Incomplete, InputFault, Refusal
from ecgbatch.readers.leads import standard_name
from ecgbatch.readers.registry import READERS, decode
from ecgbatch.records import Member, Recording, RecordingBytes
from ecgbatch.terms import LEADS, ReasonCode

ORACLE_RECORDS = (*WFDB_ECGS, "s0010_re", "100_3chan", "3000003_0003")


def _assert_equals_reference(recording: Recording, kind: str, name: str, half_step: float) -> None:
    reference = np.load(SAMPLES / kind / f"{name}.expected.npz")
    rows = {standard_name(str(lead)): row for row, lead in enumerate(reference["leads"])}
    expected = np.stack([reference["signal_mv"][rows[lead]] for lead in recording.lead_names])
    assert recording.sampling_frequency == float(reference["fs"])
    np.testing.assert_allclose(recording.signal, expected, rtol=0, atol=half_step)


@pytest.mark.parametrize("name", WFDB_ECGS)
def test_shipped_wfdb_record_equals_its_reference(name: str) -> None:
    recording = decode(wfdb_bytes(wfdb_header_path(name)))

    assert recording.lead_names == LEADS
    assert recording.derived_leads == ()
    assert recording.format == recording.reader == "wfdb"
    assert recording.findings == ()
    _assert_equals_reference(recording, "wfdb", name, 0.5 / 1000)


@pytest.mark.parametrize("name", MUSE_ECGS)
def test_shipped_muse_export_equals_its_reference(name: str) -> None:
    recording = decode(muse_bytes((SHIPPED / "muse" / f"{name}.xml").read_bytes()))

    assert recording.lead_names == LEADS
    assert recording.derived_leads == ("III", "aVR", "aVL", "aVF")
    assert recording.signal.shape == (12, 5000)
    _assert_equals_reference(recording, "muse", name, 1e-6)


@pytest.mark.parametrize("name", ORACLE_RECORDS)
def test_wfdb_record_is_bit_equal_to_the_wfdb_library(name: str) -> None:
    path = wfdb_header_path(name)
    recording = decode(wfdb_bytes(path))
    oracle = wfdb.rdrecord(str(path.with_suffix("")))

    rows = {standard_name(lead): row for row, lead in enumerate(oracle.sig_name)}
    for lead in set(recording.lead_names) - set(recording.derived_leads):
        mine = recording.signal[recording.lead_names.index(lead)]
        assert np.array_equal(mine, oracle.p_signal[:, rows[lead]], equal_nan=True)
    assert recording.sampling_frequency == oracle.fs


BINFORMATS = {"16": 1, "61": 2, "80": 3, "160": 4, "212": 5, "24": 8, "32": 9}


@pytest.mark.parametrize("name", BINFORMATS)
def test_each_sample_format_equals_the_wfdb_library(name: str) -> None:
    folder = SAMPLES / "wfdb"
    row = BINFORMATS[name]
    line = (folder / "binformats.hea").read_text().splitlines()[1 + row]
    header = f"binformats 1 200 499\n{line.replace(f'sig {row}, fmt {name}', 'V1')}\n"
    signal_file = folder / f"binformats.d{row}"
    source = RecordingBytes(
        (
            Member("binformats.hea", header.encode()),
            Member(signal_file.name, signal_file.read_bytes()),
        )
    )
    with np.load(folder / "binformats.expected.npz") as reference:
        expected = reference["signal_mv"][row]

    np.testing.assert_array_equal(decode(source).signal[0].astype(np.float32), expected)


@pytest.mark.parametrize("name", ["041s", "041s01", "binformats"])
def test_wfdb_structures_that_are_not_read_are_named(name: str) -> None:
    header = (SAMPLES / "wfdb" / f"{name}.hea").read_bytes()
    with pytest.raises(InputFault) as caught:
        decode(RecordingBytes((Member(f"{name}.hea", header),)))
    assert caught.value.reason is ReasonCode.WFDB_FORMAT_RARE


def test_two_signal_files_are_both_needed_and_both_verified() -> None:
    source = wfdb_bytes(wfdb_header_path("s0010_re"))
    assert [member.name for member in source.members[1:]] == ["s0010_re.dat", "s0010_re.xyz"]

    with pytest.raises(Incomplete):
        decode(RecordingBytes(source.members[:2]))
    spoiled = source.members[2].content[:-2] + b"\x34\x12"
    with pytest.raises(InputFault) as caught:
        decode(RecordingBytes((*source.members[:2], Member("s0010_re.xyz", spoiled))))
    assert caught.value.reason is ReasonCode.CHECKSUM_MISMATCH


def test_identity_is_read_as_the_wfdb_comments_say() -> None:
    identity = decode(wfdb_bytes(wfdb_header_path("A0001"))).identity
    assert (identity.age_years, identity.sex) == (74.0, "male")
    identity = decode(wfdb_bytes(wfdb_header_path("s0010_re"))).identity
    assert (identity.age_years, identity.sex) == (81.0, "female")


def test_identity_is_read_as_the_muse_export_says() -> None:
    recording = decode(muse_bytes(SYNTHETIC.read_bytes()))
    identity = recording.identity
    assert identity.patient_identifier == "SYNTH0001"
    assert identity.acquired_at is not None
    assert identity.acquired_at.isoformat() == "2025-08-17T09:15:11"
    assert identity.edit_at is not None
    assert identity.edit_at.isoformat() == "2025-08-17T09:34:21"
    assert (identity.age_years, identity.sex) == (45.0, "male")
    assert (identity.device, identity.site) == ("MAC55 1", "EXAMPLE HOSPITAL")
    assert identity.edit_status == "confirmed"
    assert recording.statements == ("Sinus rhythm (synthetic example)",)


def test_statements_come_from_the_confirmed_reading_not_the_original_one() -> None:
    recording = decode(muse_bytes(GUANGXI.read_bytes()))
    assert recording.statements == ("窦性心律", "ST段抬高（提示心室早期复极）")
    assert recording.statement_normal is None
    assert recording.identity.order_number == "00000000"


def test_missing_crc_is_a_finding_and_a_fitting_one_is_not() -> None:
    (finding,) = decode(muse_bytes(SYNTHETIC.read_bytes())).findings
    assert (finding.check, finding.reason) == ("checksum", ReasonCode.CHECKSUM_ABSENT)
    assert decode(muse_bytes(GUANGXI.read_bytes())).findings == ()


def test_nothing_identifying_is_in_the_repr_of_a_recording() -> None:
    recording = decode(muse_bytes(SYNTHETIC.read_bytes()))
    assert "SYNTH0001" not in repr(recording)
    assert "Sinus" not in repr(recording)


@pytest.mark.parametrize(
    "content", [b"\x00" * 400, b"<ECG/>", b"hello world\n", b"<RestingEcgData/>"]
)
def test_content_that_nobody_recognises_is_format_unknown(content: bytes) -> None:
    with pytest.raises(InputFault) as caught:
        decode(muse_bytes(content))
    assert caught.value.reason is ReasonCode.FORMAT_UNKNOWN
    assert not isinstance(caught.value, Incomplete)


def test_empty_first_member_is_incomplete() -> None:
    for source in (muse_bytes(b""), RecordingBytes(())):
        with pytest.raises(Incomplete):
            decode(source)


def test_signal_without_any_standard_lead_is_refused() -> None:
    source = wfdb_bytes(wfdb_header_path("3000003_0003"))
    with pytest.raises(Refusal) as caught:
        decode(replaced(source, "0 II", "0 CO2"))
    assert caught.value.reason is ReasonCode.LEAD_MISSING


def test_name_of_the_file_plays_no_part_in_recognising_it() -> None:
    source = wfdb_bytes(wfdb_header_path("00001_lr"))
    renamed = RecordingBytes((Member("x.xml", source.first), *source.members[1:]))
    assert decode(renamed).format == "wfdb"


def test_readers_are_named_once_and_carry_a_version() -> None:
    readers = [entry.load() for entry in READERS]
    assert [reader.NAME for reader in readers] == [entry.name for entry in READERS]
    assert len({reader.NAME for reader in readers}) == len(readers)
    assert all(reader.VERSION for reader in readers)


HERMETIC = """
import sys
from pathlib import Path
from ecgbatch.readers.registry import decode
from ecgbatch.records import Member, RecordingBytes
folder = Path(sys.argv[1])
wfdb = [Member(n, (folder / "wfdb" / n).read_bytes()) for n in ("E07500.hea", "E07500.mat")]
muse = [Member("x", (folder / "muse" / "guangxi_teaching_sinus_rhythm.xml").read_bytes())]
for members in (wfdb, muse):
    decode(RecordingBytes(tuple(members)))
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if watching else None)
watching = True
for members in (wfdb, muse):
    decode(RecordingBytes(tuple(members)))
watching = False
bad = [e for e in seen if e == "open" or e.split(".")[0] in {"socket", "subprocess", "os"}]
heavy = {"torch", "wfdb", "pandas", "scipy"} & set(sys.modules)
raise SystemExit(repr((bad, heavy)) if bad or heavy else 0)
"""


def test_reading_opens_no_file_no_socket_and_loads_no_heavy_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HERMETIC, str(SHIPPED)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
