"""What SCP-ECG files say of the ECG: sections 8 and 11, whole, cut and damaged."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from struct import pack
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scp_files import assembled, places, rhythm_sections, scp_file, section

from ecgbatch.readers.registry import decode
from ecgbatch.readers.scp_statements import Edit, read_statements
from ecgbatch.records import Member, Recording, RecordingBytes, RefusedECG
from ecgbatch.terms import ReasonCode

SAMPLES = Path(__file__).parents[1] / "data" / "samples" / "scp"
SIGNAL = np.arange(8 * 30).reshape(8, 30) % 11
RHYTHM = rhythm_sections(SIGNAL)
CODED, FULL_TEXT, LOGIC = 1, 2, 3
AT = datetime(2021, 3, 4, 5, 6, 7)  # noqa: DTZ001 - wall clock
OPTIONAL = (8, 11)


def _head(flag: int, n_statements: int, year: int = AT.year) -> bytes:
    day_and_time = (year, AT.month, AT.day, AT.hour, AT.minute, AT.second)
    return bytes([flag]) + pack("<H5B", *day_and_time) + bytes([n_statements])


def _statements(flag: int, *contents: bytes) -> bytes:
    rows = (pack("<BH", n, len(one)) + one for n, one in enumerate(contents, start=1))
    return _head(flag, len(contents)) + b"".join(rows)


def _coded(kind: int, *fields: bytes) -> bytes:
    return bytes([kind]) + b"".join(field + b"\0" for field in fields)


REPORT = _statements(1, b"Sinusrytm (l\xe5ngsam)\0", b"\0", b"Normal ECG variant\0")
CODES = _statements(2, _coded(CODED, b"NSR"), _coded(FULL_TEXT, b"Electronic pacemaker"))
REPORTED = ("Sinusrytm (långsam)", "Normal ECG variant")
ADDED = ("NSR", "Electronic pacemaker")
RHYTHM_BLOCKS = [section(number, data) for number, data in RHYTHM.items()]
BLOCKS = {8: section(8, REPORT), 11: section(11, CODES)}


def _decode(content: bytes) -> Recording:
    return decode(RecordingBytes((Member("x", content),)))


def _assert_damaged(recording: Recording) -> None:
    """The whole signal is there, and the file says that something else is not."""
    np.testing.assert_allclose(recording.signal[0], SIGNAL[0] * 0.0025)
    assert [one.reason for one in recording.findings] == [ReasonCode.CHECKSUM_MISMATCH]


def _decode_with(report: bytes, codes: bytes = b"") -> Recording:
    optional = {number: data for number, data in ((8, report), (11, codes)) if data}
    return _decode(scp_file(RHYTHM | optional))


def _edit(recording: Recording) -> Edit:
    return Edit(recording.identity.edit_at, recording.identity.edit_status)


def test_texts_of_real_files_are_those_of_a_hex_dump_without_the_blank_ones() -> None:
    recording = _decode((SAMPLES / "welchallyn_20070321.SCP").read_bytes())
    assert len(recording.statements) == 9
    assert recording.statements[:3] == (
        "sinusrytm",
        "VK-hypertrofi",
        "ålderskorrigerat Sokolow index (SV1+RV5 eller V6) = 4.1 mV",
    )
    assert recording.statements[7:] == ("RSR' in V1", "fynd med definitiv patologisk signifikans")
    assert _edit(recording) == Edit(None, "unconfirmed")
    without = _decode((SAMPLES / "ecgtoolkit_Example.scp").read_bytes())
    assert (without.statements, _edit(without)) == ((), Edit(None, None))


def test_confirmed_statements_carry_their_time_and_the_zone_is_kept() -> None:
    when = pack("<BHHBB", 25, 4, 2021, 3, 3) + pack("<BH", 26, 3) + b"\x0a\x0b\x0c"
    who = when + pack("<BHhH", 34, 4, -210, 0) + b"\xff\0\0"
    report = _statements(1, b"Sinus rhythm\0", b"Normal ECG\0")
    recording = _decode(scp_file(RHYTHM | {1: who, 8: report}))
    assert recording.statement_normal is True
    assert _edit(recording) == Edit(AT, "confirmed")
    assert recording.identity.acquired_zone == "-03:30"


@pytest.mark.parametrize(
    ("flag", "edit"),
    [
        (0, Edit(None, "unconfirmed")),
        (1, Edit(AT, "confirmed")),
        (2, Edit(AT, "unconfirmed")),
        (3, Edit()),
        (255, Edit()),
    ],
)
@pytest.mark.parametrize("number", OPTIONAL)
def test_flag_says_whether_a_reader_confirmed_and_the_texts_are_read_with_any(
    flag: int, edit: Edit, number: int
) -> None:
    sections = {8: bytes([flag]) + REPORT[1:], 11: bytes([flag]) + CODES[1:]}
    recording = _decode(scp_file(RHYTHM | {number: sections[number]}))
    assert recording.statements == {8: REPORTED, 11: ADDED}[number]
    assert _edit(recording) == edit


def test_blank_time_of_a_confirmation_is_none() -> None:
    assert _edit(_decode_with(_head(1, 0, year=0))) == Edit(None, "confirmed")


@pytest.mark.parametrize(
    ("statement", "texts"),
    [
        (_coded(FULL_TEXT, b" Sinus rhythm "), ("Sinus rhythm",)),
        (_coded(CODED, b"NORM"), ("NORM",)),
        (_coded(CODED, b"ASMI", b"PROB", b""), ("ASMI; PROB",)),
        (_coded(LOGIC, b"1 AND 2"), ()),
        (_coded(0, b"NORM"), ()),
        (_coded(4, b"Sinus rhythm"), ()),
        (_coded(CODED, b"NORM", b"\x07\xe5"), ()),
        (_coded(FULL_TEXT), ()),
        (b"", ()),
    ],
)
def test_codes_stand_as_they_are_and_what_is_neither_code_nor_text_is_left_out(
    statement: bytes, texts: tuple[str, ...]
) -> None:
    other = _coded(FULL_TEXT, b"Other")
    assert _decode_with(b"", _statements(0, statement, other)).statements == (*texts, "Other")


def test_text_of_both_sections_stands_once_and_the_report_comes_first() -> None:
    codes = _statements(0, *(_coded(FULL_TEXT, text.encode("latin-1")) for text in REPORTED))
    assert _decode_with(REPORT, codes).statements == REPORTED
    assert _decode_with(REPORT, CODES).statements == REPORTED + ADDED


@pytest.mark.parametrize(
    ("flags", "edit"),
    [
        ((0, 1), Edit(AT, "confirmed")),
        ((1, 0), Edit(AT, "confirmed")),
        ((0, 2), Edit(AT, "unconfirmed")),
        ((3, 0), Edit(None, "unconfirmed")),
        ((3, 3), Edit()),
    ],
)
def test_further_state_of_the_two_sections_counts(flags: tuple[int, int], edit: Edit) -> None:
    assert _edit(_decode_with(*(_head(flag, 0) for flag in flags))) == edit


def test_normal_in_one_section_and_abnormal_in_the_other_is_not_normal() -> None:
    normal, abnormal = b"Normal ECG", b"Abnormal ECG"
    both = _decode_with(_statements(0, normal), _statements(0, _coded(FULL_TEXT, abnormal)))
    assert both.statement_normal is False


def _cut(number: int) -> Iterator[bytes]:
    data = {8: REPORT, 11: CODES}[number]
    return (data[:n_bytes] for n_bytes in range(len(data)))


@pytest.mark.parametrize("number", OPTIONAL)
def test_statements_before_a_cut_are_read_and_the_cut_one_is_left_out(number: int) -> None:
    whole = {8: REPORTED, 11: ADDED}[number]
    found = []
    for data in _cut(number):
        recording = _decode(scp_file(RHYTHM | {number: data}))
        np.testing.assert_allclose(recording.signal[0], SIGNAL[0] * 0.0025)
        assert recording.findings == ()
        # A byte that makes the length even can be the NUL that was cut off.
        assert recording.statements == whole[: len(recording.statements)]
        assert (recording.identity.edit_status is None) == (len(data) + len(data) % 2 < 9)
        found.append(len(recording.statements))
    assert found == sorted(found)
    assert {0, 1} <= set(found)


@pytest.mark.parametrize("number", OPTIONAL)
def test_section_that_ends_before_its_pointer_says_costs_the_statements_alone(number: int) -> None:
    block = BLOCKS[number]
    for n_bytes in range(len(block)):
        pointers = places((*RHYTHM, number), [*RHYTHM_BLOCKS, block])
        recording = _decode(assembled(pointers, b"".join((*RHYTHM_BLOCKS, block[:n_bytes]))))
        _assert_damaged(recording)
        assert (recording.statements, _edit(recording)) == ((), Edit())


@pytest.mark.parametrize("number", OPTIONAL)
def test_any_damaged_byte_of_a_section_costs_its_statements_alone(number: int) -> None:
    content = scp_file(RHYTHM | {8: REPORT, 11: CODES})
    start = content.index(BLOCKS[number])
    for at in range(start, start + len(BLOCKS[number])):
        damaged = content[:at] + bytes([content[at] ^ 0x21]) + content[at + 1 :]
        recording = _decode(damaged)
        _assert_damaged(recording)
        assert recording.statements == {8: ADDED, 11: REPORTED}[number]


def test_two_reports_in_one_file_are_none() -> None:
    blocks = [*RHYTHM_BLOCKS, BLOCKS[8], BLOCKS[8]]
    recording = _decode(assembled(places((*RHYTHM, 8, 8), blocks), b"".join(blocks)))
    _assert_damaged(recording)
    assert (recording.statements, _edit(recording)) == ((), Edit())


@settings(deadline=None, max_examples=200)
@given(report=st.binary(max_size=80), codes=st.binary(max_size=80))
def test_any_bytes_are_statements_or_none(report: bytes, codes: bytes) -> None:
    texts, edit = read_statements(report, codes)
    assert sum(map(len, texts)) <= 2 * (len(report) + len(codes))
    assert edit.status in {None, "unconfirmed", "confirmed"}


def test_no_more_statements_are_read_than_a_byte_can_count() -> None:
    texts, _ = read_statements(_head(0, 255) + b"\x01\x02\x00A\x00" * 5000, b"")
    assert texts == ("A",) * 255


def test_sections_within_sections_do_not_multiply_the_work() -> None:
    n_nested, n_bytes = 1000, 4_000_000
    sizes = [n_bytes - 16 * row for row in range(n_nested)]
    heads = b"".join(pack("<HHI8x", 0, 20 + row, size) for row, size in enumerate(sizes))
    start = sum(map(len, RHYTHM_BLOCKS))
    nested = [(20 + row, size, start + 16 * row) for row, size in enumerate(sizes)]
    pointers = places(RHYTHM, RHYTHM_BLOCKS) + nested
    content = assembled(pointers, b"".join((*RHYTHM_BLOCKS, heads.ljust(n_bytes, b"\0"))))
    started = perf_counter()
    recording = _decode(content)
    assert perf_counter() - started < 1.0
    _assert_damaged(recording)


def test_refusal_says_which_ecg_it_refuses() -> None:
    without_strip = {number: data for number, data in RHYTHM.items() if number != 6}
    with pytest.raises(RefusedECG) as caught:
        _decode(scp_file(without_strip | {8: _statements(1, b"Normal ECG\0")}))
    assert caught.value.reason is ReasonCode.NO_RHYTHM_WAVEFORM
    assert caught.value.letterhead.identity.edit_status == "confirmed"
    assert caught.value.letterhead.statement_normal is True
