"""What a WFDB record must not get away with: real records with one thing wrong."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from reader_cases import replaced, wfdb_bytes, wfdb_header_path, with_signal_file

from ecgbatch.errors import EcgbatchError, Incomplete, InputFault
from ecgbatch.readers.registry import decode
from ecgbatch.readers.wfdb import member_names, recognises
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.terms import ReasonCode

PTB_XL = wfdb_bytes(wfdb_header_path("00001_lr"))
CINC = wfdb_bytes(wfdb_header_path("E07500"))
RECORD_LINE = "00001_lr 12 100 1000"
LEAD_I = "00001_lr.dat 16 1000.0(0)/mV 16 0 -119 1508 0 I"

R = ReasonCode
HEADER_CASES: list[tuple[str, str, ReasonCode]] = [
    # Gains: wfdb-python reads most of these as 200, 4 or 1 counts per mV.
    *(
        (LEAD_I, LEAD_I.replace("1000.0(0)/mV", gain), R.GAIN_INVALID)
        for gain in (
            "nan(0)/mV",
            "inf(0)/mV",
            "0(0)/mV",
            "0.0/mV",
            "-1000(0)/mV",
            "1e-320/mV",
            "4,88/mV",
            "1E3/mV",
            "1000.0.0/mV",
            "/mV",
            "(0)/mV",
        )
    ),
    (LEAD_I, "00001_lr.dat 16", R.GAIN_INVALID),
    *(
        (LEAD_I, LEAD_I.replace("/mV", f"/{unit}"), R.UNIT_UNKNOWN)
        for unit in ("NU", "mmHg", "pV", "mVs", "bpm", "m", "%")
    ),
    *(
        (RECORD_LINE, f"00001_lr 12 {frequency} 1000", R.SAMPLING_FREQUENCY_INVALID)
        for frequency in ("0", "-500", "nan", "inf", "1E3", "49.9", "20001", "500Hz", "5,0")
    ),
    (RECORD_LINE, "00001_lr 12", R.SAMPLING_FREQUENCY_INVALID),
    # Sizes far beyond the file must not be allocated.
    (RECORD_LINE, "00001_lr 12 100 999999999", R.INCOMPLETE),
    (RECORD_LINE, "00001_lr 12 100 1000000000000", R.HEADER_INVALID),
    (RECORD_LINE, f"00001_lr 12 100 {'9' * 900}", R.HEADER_INVALID),
    (RECORD_LINE, f"00001_lr {'9' * 900} 100 1000", R.HEADER_INVALID),
    (RECORD_LINE, "00001_lr 999999999 100 1000", R.HEADER_INVALID),
    (RECORD_LINE, "00001_lr 200 100 1000", R.INCOMPLETE),
    (RECORD_LINE, "00001_lr 13 100 1000", R.INCOMPLETE),
    (RECORD_LINE, "00001_lr 11 100 1000", R.HEADER_INVALID),
    (RECORD_LINE, "00001_lr/2 12 100 1000", R.WFDB_FORMAT_RARE),
    (RECORD_LINE, "00001_lr/100000000 12 100 1000", R.WFDB_FORMAT_RARE),
    (RECORD_LINE, "00001_lr 12 100 999", R.SIZE_MISMATCH),
    (RECORD_LINE, "00001_lr 12 100 1001", R.INCOMPLETE),
    # Formats: same size or not, another format is noticed.
    (".dat 16 ", ".dat 61 ", R.CHECKSUM_MISMATCH),
    (".dat 16 ", ".dat 160 ", R.INITIAL_VALUE_MISMATCH),
    (".dat 16 ", ".dat 80 ", R.SIZE_MISMATCH),
    (".dat 16 ", ".dat 212 ", R.SIZE_MISMATCH),
    (".dat 16 ", ".dat 32 ", R.INCOMPLETE),
    *(
        (".dat 16 ", f".dat {rare} ", R.WFDB_FORMAT_RARE)
        for rare in ("8", "310", "311", "508", "516", "524", "16x2", "16x1000", "0")
    ),
    (".dat 16 ", ".dat 17 ", R.HEADER_INVALID),
    (".dat 16 ", ".dat 16x ", R.HEADER_INVALID),
    (".dat 16 ", ".dat 16: ", R.HEADER_INVALID),
    (".dat 16 ", ".dat 16+24 ", R.INCOMPLETE),
    # Signals against what the header says of them.
    ("-119 1508 0 I", "-118 1508 0 I", R.INITIAL_VALUE_MISMATCH),
    ("-119 1508 0 I", "-119 1509 0 I", R.CHECKSUM_MISMATCH),
    ("-119 1508 0 I", "-119 15x8 0 I", R.HEADER_INVALID),
    ("-119 1508 0 I", f"-119 {'1' * 500} 0 I", R.HEADER_INVALID),
    ("0 V6", "0 V5", R.LEAD_DUPLICATED),
    ("0 AVR", "0 MDC_ECG_LEAD_II", R.LEAD_DUPLICATED),
    ("I\n", "I" * 1100 + "\n", R.HEADER_INVALID),
    ("I\n", "I\n# " + "x" * 1100 + "\n", R.HEADER_INVALID),
]


def _reason(source: RecordingBytes) -> ReasonCode:
    with pytest.raises(InputFault) as caught:
        decode(source)
    return caught.value.reason


@pytest.mark.parametrize(("old", "new", "reason"), HEADER_CASES)
def test_wrong_header_is_refused_with_its_reason(old: str, new: str, reason: ReasonCode) -> None:
    count = -1 if old.startswith(".dat") else 1
    assert _reason(replaced(PTB_XL, old, new, count)) is reason


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\x.dat",
        "sub/x.dat",
        "..",
        ".",
        ".hidden",
        "~",
        "~x.dat",
        "-",
        "http://host/x.dat",
        "s3:x",
        "a::b.dat",
        "x\x00.dat",
        "x\x1b[2J.dat",
        "pätient.dat",
        "x*.dat",
        "$HOME",
        "%2e%2e",
        "x" * 300,
    ],
)
def test_signal_file_name_that_is_not_plain_is_refused(name: str) -> None:
    header = replaced(PTB_XL, "00001_lr.dat", name).first
    with pytest.raises(InputFault) as caught:
        member_names(header)
    assert caught.value.reason is ReasonCode.HEADER_INVALID
    assert name not in str(caught.value)


def test_member_names_are_unique_in_order_and_may_hold_dots() -> None:
    header = b"x 3 500 10\n1.2.840.113.dat 16 200 \nb-2.xyz 16 200\nb-2.xyz 16 200\n"
    assert member_names(header) == ("1.2.840.113.dat", "b-2.xyz")


def test_member_names_are_known_even_where_the_record_will_be_refused() -> None:
    header = replaced(PTB_XL, "1000.0(0)/mV", "nan(0)/NU", -1).first
    assert member_names(header) == ("00001_lr.dat",)


def test_header_longer_than_any_header_is_refused() -> None:
    assert _reason(replaced(PTB_XL, "V6\n", "V6\n" + "# x\n" * 20_000)) is R.HEADER_INVALID


def _cut(content: bytes) -> bytes:
    return content[:-1]


SIGNAL_FILE_CASES: list[tuple[Callable[[bytes], bytes], ReasonCode]] = [
    (_cut, R.INCOMPLETE),
    (lambda content: content[:100], R.INCOMPLETE),
    (lambda _: b"", R.INCOMPLETE),
    (lambda content: content + b"\0", R.SIZE_MISMATCH),
    (lambda content: content * 2, R.SIZE_MISMATCH),
    (lambda content: content[::-1], R.CHECKSUM_MISMATCH),
    (lambda content: content[24:] + content[:24], R.INITIAL_VALUE_MISMATCH),
    (lambda content: bytes(len(content)), R.CHECKSUM_MISMATCH),
]


@pytest.mark.parametrize(("change", "reason"), SIGNAL_FILE_CASES)
def test_signal_file_that_does_not_fit_the_header_is_refused(
    change: Callable[[bytes], bytes], reason: ReasonCode
) -> None:
    content = change(PTB_XL.members[1].content)
    assert _reason(with_signal_file(PTB_XL, content)) is reason


def _mat_header(kind: int, rows: int, columns: int, imaginary: int, length: int) -> bytes:
    return struct.pack("<5i", kind, rows, columns, imaginary, length)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (_mat_header(30, 12, 5000, 0, 4) + b"var\0", R.SAMPLE_DATA_DAMAGED),
        (_mat_header(1030, 12, 5000, 0, 4) + b"val\0", R.SAMPLE_DATA_DAMAGED),
        (_mat_header(0, 12, 5000, 0, 4) + b"val\0", R.SAMPLE_DATA_DAMAGED),
        (_mat_header(30, 12, 5000, 1, 4) + b"val\0", R.SAMPLE_DATA_DAMAGED),
        (_mat_header(30, 5000, 12, 0, 4) + b"val\0", R.SIZE_MISMATCH),
        (_mat_header(30, 12, 4999, 0, 4) + b"val\0", R.SIZE_MISMATCH),
        (_mat_header(30, 12, -1, 0, 4) + b"val\0", R.SIZE_MISMATCH),
        (b"MATLAB 5.0 MAT-file     ", R.WFDB_FORMAT_RARE),
        (bytes(24), R.SAMPLE_DATA_DAMAGED),
    ],
)
def test_mat_file_with_another_header_is_refused(head: bytes, reason: ReasonCode) -> None:
    assert _reason(with_signal_file(CINC, head + CINC.members[1].content[24:])) is reason


@pytest.mark.parametrize("offset", ["", "+0", "+20", "+26"])
def test_mat_file_whose_samples_start_elsewhere_is_refused(offset: str) -> None:
    assert _reason(replaced(CINC, "16x1+24", f"16x1{offset}", -1)) is R.HEADER_INVALID


def test_cut_mat_file_is_incomplete() -> None:
    for length in (10, 24, 5000):
        with pytest.raises(Incomplete):
            decode(with_signal_file(CINC, CINC.members[1].content[:length]))


def test_formats_that_differ_within_one_signal_file_are_refused() -> None:
    assert _reason(replaced(PTB_XL, ".dat 16 ", ".dat 61 ")) is R.HEADER_INVALID


def test_signals_of_one_file_that_stand_apart_are_refused() -> None:
    header = b"x 3 500 1\na.dat 16 200 16 0 0 0 0 I\nb.dat 16 200 16 0 0 0 0 II\n"
    header += b"a.dat 16 200 16 0 0 0 0 V1\n"
    source = (Member("x.hea", header), Member("a.dat", bytes(4)), Member("b.dat", bytes(2)))
    assert _reason(RecordingBytes(source)) is R.HEADER_INVALID


def test_missing_signal_file_is_incomplete_not_a_fault_of_its_own() -> None:
    with pytest.raises(Incomplete):
        decode(RecordingBytes(PTB_XL.members[:1]))


def test_header_cut_at_any_byte_is_never_read_as_another_record() -> None:
    whole = decode(PTB_XL)
    for length in range(len("00001_lr 1"), len(PTB_XL.first)):
        header = Member("x.hea", PTB_XL.first[:length])
        try:
            recording = decode(RecordingBytes((header, *PTB_XL.members[1:])))
        except Incomplete:
            continue
        assert np.array_equal(recording.signal, whole.signal)
        assert recording.lead_names == whole.lead_names


def test_cut_last_comment_gives_no_wrong_age() -> None:
    header = CINC.first[: CINC.first.index(b"Age: 78") + len(b"Age: 7")]
    recording = decode(RecordingBytes((Member("x.hea", header), *CINC.members[1:])))
    assert recording.identity.age_years is None


def test_absent_checksum_is_a_finding() -> None:
    recording = decode(replaced(PTB_XL, LEAD_I, "00001_lr.dat 16 1000.0(0)/mV 16 0 -119"))
    assert "I" not in recording.lead_names or recording.derived_leads == ("I",)
    assert [finding.reason for finding in recording.findings] == [ReasonCode.CHECKSUM_ABSENT]


def test_number_of_samples_may_be_absent_if_the_file_divides_exactly() -> None:
    assert decode(replaced(PTB_XL, RECORD_LINE, "00001_lr 12 100")).n_samples == 1000
    source = replaced(PTB_XL, RECORD_LINE, "00001_lr 12 100")
    assert _reason(with_signal_file(source, source.members[1].content[:-2])) is R.SIZE_MISMATCH


@pytest.mark.parametrize(
    ("unit", "factor"), [("/uV", 1e-3), ("/µV", 1e-3), ("/V", 1e3), ("/NV", 1e-6), ("/mv", 1.0)]
)
def test_units_are_converted_to_millivolts(unit: str, factor: float) -> None:
    expected = decode(PTB_XL).signal[0] * factor
    for encoding in ("utf-8", "iso-8859-1"):
        header = PTB_XL.first.decode().replace("/mV", unit).encode(encoding)
        source = RecordingBytes((Member("x.hea", header), *PTB_XL.members[1:]))
        np.testing.assert_allclose(decode(source).signal[0], expected, rtol=1e-12)


def test_baseline_defaults_to_the_adc_zero_and_is_subtracted() -> None:
    expected = decode(PTB_XL).signal[0] - 0.024
    stated = replaced(PTB_XL, "1000.0(0)/mV 16 0 -119", "1000.0(24)/mV 16 0 -119")
    by_zero = replaced(PTB_XL, "1000.0(0)/mV 16 0 -119", "1000.0/mV 16 24 -119")
    for source in (stated, by_zero):
        np.testing.assert_allclose(decode(source).signal[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("10:11:12 13/05/2020", "2020-05-13T10:11:12"),
        ("12-May-2020 12:33:59", "2020-05-12T12:33:59"),
        ("12:33:59 12-May-2020", "2020-05-12T12:33:59"),
        ("08:00:00 01/02/2180", "2180-02-01T08:00:00"),
        ("12:33:59.250 2020-05-12", "2020-05-12T12:33:59.250000"),
        ("10:11:12 XX-XX-XXXX", None),
        ("10:11:12 31/02/2020", None),
        ("25:11:12 13/05/2020", None),
        ("10:11:12", None),
        ("10:11:12 01/01/1900", None),
    ],
)
def test_acquisition_time_is_read_and_never_fails(when: str, expected: str | None) -> None:
    identity = decode(replaced(PTB_XL, RECORD_LINE, f"{RECORD_LINE} {when}")).identity
    assert (identity.acquired_at.isoformat() if identity.acquired_at else None) == expected


@pytest.mark.parametrize(
    ("comments", "age", "sex", "identifier"),
    [
        ("# Age: 30\n# Sex: Female\n", 30.0, "female", None),
        ("#age: 81\n#sex: F\n", 81.0, "female", None),
        ("# Age: NaN\n# Sex: Unknown\n", None, None, None),
        ("# Age: 300\n", None, None, None),
        ("# <subject_id>: 10000032\n", None, None, "10000032"),
    ],
)
def test_demographics_are_read_from_the_comments(
    comments: str, age: float | None, sex: str | None, identifier: str | None
) -> None:
    identity = decode(replaced(PTB_XL, "V6\n", "V6\n" + comments)).identity
    assert (identity.age_years, identity.sex, identity.patient_identifier) == (age, sex, identifier)


@pytest.mark.parametrize("head", [b"README 3 things", b"<a/>", b"1,2,3\n", b"\0\0\0", b"I II III"])
def test_other_content_is_not_taken_for_a_header(head: bytes) -> None:
    assert not recognises(head)


def test_windows_line_ends_tabs_comments_and_a_byte_order_mark_are_accepted() -> None:
    text = PTB_XL.first.decode().replace("\n", "\r\n").replace(" ", "\t")
    header = Member("x.hea", b"\xef\xbb\xbf# first\r\n\r\n" + text.encode())
    recording = decode(RecordingBytes((header, *PTB_XL.members[1:])))
    assert np.array_equal(recording.signal, decode(PTB_XL).signal)


def test_errors_carry_no_content_of_the_file() -> None:
    for old, new, _ in HEADER_CASES:
        with pytest.raises(EcgbatchError) as caught:
            decode(replaced(PTB_XL, old, new, -1 if old.startswith(".dat") else 1))
        assert "00001" not in str(caught.value)
        assert caught.value.__cause__ is None
