"""SCP-ECG: real files against libbiosig, files written here after the standard, damaged ones."""

import random
from pathlib import Path
from struct import pack, pack_into, unpack_from

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scp_files import DEFAULT_TABLE, huffman, rhythm_sections, scp_file

from ecgbatch.errors import EcgbatchError, Incomplete, InputFault, Refusal
from ecgbatch.readers.leads import standard_name
from ecgbatch.readers.registry import decode
from ecgbatch.readers.scp_huffman import decode_huffman, default_table, own_table
from ecgbatch.records import Identity, Member, Recording, RecordingBytes
from ecgbatch.terms import LEADS, ReasonCode

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
FILES = {
    "ecgtoolkit_Example": "ecgtoolkit_Example.scp",
    "welchallyn_20070321": "welchallyn_20070321.SCP",
    "welchallyn_20170504": "welchallyn_20170504.SCP",
}
R = ReasonCode


def _source(content: bytes) -> RecordingBytes:
    return RecordingBytes((Member("x", content),))


def _content(name: str) -> bytes:
    return (SAMPLES / "scp" / FILES[name]).read_bytes()


def _reason(content: bytes) -> ReasonCode:
    with pytest.raises(EcgbatchError) as caught:
        decode(_source(content))
    return caught.value.reason


@pytest.mark.parametrize(("name", "step"), [(name, 0.00375) for name in FILES])
def test_real_file_equals_its_reference(name: str, step: float) -> None:
    recording = decode(_source(_content(name)))
    reference = np.load(SAMPLES / "scp" / f"{name}.expected.npz")
    rows = {standard_name(str(lead)): row for row, lead in enumerate(reference["leads"])}
    stored = [lead for lead in recording.lead_names if lead not in recording.derived_leads]
    mine = np.stack([recording.signal[recording.lead_names.index(lead)] for lead in stored])
    expected = np.stack([reference["signal_mv"][rows[lead]] for lead in stored])

    assert set(stored) == set(rows)
    assert recording.lead_names == LEADS
    assert recording.sampling_frequency == float(reference["fs"])
    assert recording.format == recording.reader == "scp"
    assert recording.findings == ()
    assert np.abs(mine - expected).max() < step / 1000
    assert np.abs(expected).max() > 0.5


def test_twin_in_dicom_has_the_same_counts() -> None:
    twin = (SAMPLES / "dicom" / "ecgtoolkit_Example.dcm").read_bytes()
    mine, other = decode(_source(_content("ecgtoolkit_Example"))), decode(_source(twin))
    np.testing.assert_array_equal(mine.signal, other.signal)
    assert mine.signal_digest == other.signal_digest


def test_identity_and_statements_are_read() -> None:
    identity = decode(_source(_content("ecgtoolkit_Example"))).identity
    assert (identity.patient_identifier, identity.sex) == ("SBJ-123", "male")
    assert identity.acquired_at is not None
    assert identity.acquired_at.isoformat() == "2002-11-22T09:10:00"
    assert identity.age_years == pytest.approx(49.54, abs=0.01)
    assert identity.device == "ELI250"
    real = decode(_source(_content("welchallyn_20170504")))
    assert real.statements == ("sinusrytm (långsam)", "hög P-amplitud", "normal EKG-variant")
    assert (real.statement_normal, real.identity.edit_status) == (None, "unconfirmed")
    assert real.identity.acquired_at is None


def _signal(n_leads: int = 8, n: int = 5000) -> NDArray[np.int64]:
    walk = np.random.default_rng(3).integers(-9, 10, (n_leads, n)).cumsum(axis=1)
    return np.asarray(walk, dtype=np.int64)


def _stored(recording: Recording) -> NDArray[np.float64]:
    rows = [recording.lead_names.index(lead) for lead in ("I", "II", *LEADS[6:])]
    return recording.signal[rows]


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("coded", [False, True])
def test_differences_are_undone_with_and_without_huffman(order: int, coded: bool) -> None:
    signal = _signal()
    sections = rhythm_sections(signal, order=order, encode=huffman if coded else None)
    if coded:
        sections[2] = DEFAULT_TABLE
    recording = decode(_source(scp_file(sections)))
    np.testing.assert_allclose(_stored(recording), signal * 0.0025, rtol=0, atol=1e-12)
    assert recording.sampling_frequency == 500.0


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=200))
def test_every_value_survives_the_default_table(values: list[int]) -> None:
    decoded = decode_huffman(huffman(values), len(values), default_table())
    assert decoded.tolist() == values


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=60), st.integers(0, 200))
def test_any_bytes_decode_or_end_in_a_named_fault(content: bytes, n_samples: int) -> None:
    try:
        decoded = decode_huffman(content, n_samples, default_table())
    except InputFault:
        return
    assert decoded.shape == (n_samples,)


def _own(*codes: tuple[int, int, int, int, int], n_tables: int = 1) -> bytes:
    return pack("<HH", n_tables, len(codes)) + b"".join(pack("<BBBhI", *code) for code in codes)


# The default table as the standard lists it: prefix bits, all bits, switch, value, code.
WRITTEN_OUT = (
    (1, 1, 1, 0, 0),
    *(
        (k + 2, k + 2, 1, -k if negative else k, (1 << k) - 1 | negative << (k + 1))
        for k in range(1, 9)
        for negative in (0, 1)
    ),
    (10, 18, 1, 0, 511),
    (10, 26, 1, 0, 1023),
)


def test_default_table_written_out_in_a_real_file_gives_the_same_signal() -> None:
    content = _content("welchallyn_20070321")
    sections = {}
    for at in range(32, 22 + 120, 10):
        number, length, index = unpack_from("<HII", content, at)
        if length:
            sections[number] = content[index + 15 : index - 1 + length]
    sections[2] = _own(*WRITTEN_OUT)
    assert len(sections[2]) == 4 + 19 * 9
    whole, own = decode(_source(content)), decode(_source(scp_file(sections)))
    np.testing.assert_array_equal(whole.signal, own.signal)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (_own(*WRITTEN_OUT, n_tables=2), R.SCP_VARIANT_UNSUPPORTED),
        (_own((1, 1, 0, 2, 0)), R.SCP_VARIANT_UNSUPPORTED),
        (_own((1, 9, 1, 5, 0)), R.SCP_VARIANT_UNSUPPORTED),
        (_own((1, 1, 1, 0, 0), (2, 2, 1, 1, 0)), R.HEADER_INVALID),
        (_own((0, 0, 1, 0, 0)), R.HEADER_INVALID),
        (_own((33, 33, 1, 0, 0)), R.HEADER_INVALID),
        (_own((1, 1, 1, 0, 2)), R.HEADER_INVALID),
        (_own(), R.HEADER_INVALID),
        (_own((1, 1, 1, 0, 0))[:-2], R.HEADER_INVALID),
        (b"", R.HEADER_INVALID),
    ],
)
def test_table_that_is_not_read_or_is_no_prefix_code_is_refused(
    table: bytes, reason: ReasonCode
) -> None:
    with pytest.raises(InputFault) as caught:
        own_table(table)
    assert caught.value.reason is reason


def test_bits_that_are_no_code_of_the_table_are_damage() -> None:
    table = own_table(_own((1, 1, 1, 7, 0)))
    assert decode_huffman(b"\x00", 8, table).tolist() == [7] * 8
    with pytest.raises(InputFault) as caught:
        decode_huffman(b"\x10", 8, table)
    assert caught.value.reason is R.SAMPLE_DATA_DAMAGED


def _changed(**knobs: object) -> bytes:
    return scp_file(rhythm_sections(_signal(), **knobs))  # type: ignore[arg-type]


def test_compressions_that_are_not_read_are_refused_by_name() -> None:
    assert _reason(_changed(flags=0b101)) is R.SCP_VARIANT_UNSUPPORTED
    assert _reason(_changed(bimodal=1)) is R.SCP_VARIANT_UNSUPPORTED
    assert (
        _reason(scp_file(rhythm_sections(_signal()) | {2: _own(n_tables=3)}))
        is R.SCP_VARIANT_UNSUPPORTED
    )


def test_sections_of_the_rhythm_strip_are_needed() -> None:
    sections = rhythm_sections(_signal())
    for number in (3, 6):
        without = {key: data for key, data in sections.items() if key != number}
        with pytest.raises(Refusal) as caught:
            decode(_source(scp_file(without)))
        assert caught.value.reason is R.NO_RHYTHM_WAVEFORM
    assert _reason(scp_file({3: sections[3], 6: sections[6]})) is R.HEADER_INVALID


def test_negated_and_extra_leads_are_left_out_and_double_ones_refused() -> None:
    recording = decode(_source(_changed(codes=(1, 2, 3, 4, 5, 6, 65, 8))))
    assert "V5" not in recording.lead_names
    assert recording.derived_leads == ("III", "aVR", "aVL", "aVF")
    assert _reason(_changed(codes=(1, 2, 3, 3, 5, 6, 7, 8))) is R.LEAD_DUPLICATED


def test_leads_must_start_together_from_0_or_1() -> None:
    zero = decode(_source(_changed(starts=(0,) * 8)))
    np.testing.assert_array_equal(zero.signal, decode(_source(_changed())).signal)
    assert _reason(_changed(starts=(1, 2, 1, 1, 1, 1, 1, 1))) is R.SAMPLE_OFFSET_UNSUPPORTED


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (0, 0, R.GAIN_INVALID),
        (2, 0, R.SAMPLING_FREQUENCY_INVALID),
        (2, 40_000, R.SAMPLING_FREQUENCY_INVALID),
        (4, 3, R.HEADER_INVALID),
        (6, 9998, R.SIZE_MISMATCH),
        (6, 10_002, R.SIZE_MISMATCH),
    ],
)
def test_head_of_section_6_is_checked(at: int, value: int, reason: ReasonCode) -> None:
    sections = rhythm_sections(_signal())
    rhythm = bytearray(sections[6])
    pack_into("<H", rhythm, at, value)
    assert _reason(scp_file(sections | {6: bytes(rhythm)})) is reason


def test_sampling_interval_gives_the_exact_frequency() -> None:
    sections = rhythm_sections(_signal())
    rhythm = bytearray(sections[6])
    pack_into("<H", rhythm, 2, 1667)
    frequency = decode(_source(scp_file(sections | {6: bytes(rhythm)}))).sampling_frequency
    assert frequency == 1e6 / 1667


def test_wrong_crc_of_the_identification_is_a_finding_and_names_nobody() -> None:
    content = bytearray(_content("ecgtoolkit_Example"))
    at = content.index(b"SBJ-123")
    content[at] = ord("X")
    recording = decode(_source(bytes(content)))
    assert [finding.reason for finding in recording.findings] == [R.CHECKSUM_MISMATCH]
    whole = decode(_source(_content("ecgtoolkit_Example")))
    np.testing.assert_array_equal(recording.signal, whole.signal)
    assert whole.identity.patient_identifier == "SBJ-123"
    assert recording.identity == Identity(edit_status=whole.identity.edit_status)


def test_damage_never_changes_a_sample_unseen() -> None:
    dice = random.Random(20_240_601)  # noqa: S311 - chosen for being repeatable
    refused = 0
    for name in FILES:
        content = _content(name)
        whole = decode(_source(content))
        for _ in range(150):
            at, n = dice.randrange(len(content)), dice.randrange(1, 40)
            before, after = content[:at], content[at:]
            mutant = dice.choice(
                [
                    before + bytes([after[0] ^ (1 << dice.randrange(8))]) + after[1:],
                    before + bytes(len(after[:n])) + after[n:],
                    before + after[n:],
                    before + after[:n] + after,
                    before,
                ]
            )
            try:
                recording = decode(_source(mutant))
            except EcgbatchError:
                refused += 1
            else:
                np.testing.assert_array_equal(recording.signal, whole.signal)
    assert refused > 380


def test_shorter_than_declared_is_incomplete_and_longer_refused() -> None:
    content = _content("welchallyn_20170504")
    for n_bytes in (22, 30, 5000, len(content) - 1):
        with pytest.raises(Incomplete):
            decode(_source(content[:n_bytes]))
    assert _reason(content + b"\0") is R.SIZE_MISMATCH


@pytest.mark.parametrize("pointer", [(1, 0xFFFFFFF0, 143), (1, 20, 0xFFFFFFF0), (1, 3, 143)])
def test_pointer_out_of_the_file_is_refused(pointer: tuple[int, int, int]) -> None:
    content = bytearray(_content("welchallyn_20170504"))
    pack_into("<HII", content, 32, *pointer)
    assert _reason(bytes(content)) in {R.HEADER_INVALID, R.SAMPLE_DATA_DAMAGED}


def test_blank_and_malformed_identity_is_none() -> None:
    odd = b"".join(
        pack("<BH", tag, len(data)) + data
        for tag, data in [
            (25, b"\x00\x00\x0d\x2d"),
            (26, b"\x63\x63\x63"),
            (4, b"\xff\xff\x01"),
            (8, b"\x09"),
            (14, b"\x01"),
            (34, b"\xff\x7f"),
        ]
    )
    sections = rhythm_sections(_signal()) | {
        1: odd + pack("<BH", 2, 9999) + b"0012",
        8: b"\x01\x02",
    }
    identity = decode(_source(scp_file(sections))).identity
    assert identity.acquired_at is identity.age_years is identity.sex is identity.device is None
    assert identity.patient_identifier is None
