"""Mortara ELI Link XML: the third-party sample, and documents built from known counts."""

import base64
import re
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_cases import SAMPLES, muse_bytes, replaced

from ecgbatch.errors import Incomplete, InputFault, Refusal
from ecgbatch.readers.registry import decode
from ecgbatch.records import RecordingBytes
from ecgbatch.terms import LEADS, ReasonCode

SAMPLE = SAMPLES / "mortara" / "ecgdatakit_mortara_synthetic.xml"
MADE = muse_bytes(SAMPLE.read_bytes())
R = ReasonCode


def _in_channels(old: str, new: str, count: int = 1) -> RecordingBytes:
    """Replace in the channels alone, which follow the typical cycle."""
    text = MADE.first.decode("utf-8")
    start = text.index("<CHANNEL ")
    assert old in text[start:]
    return muse_bytes((text[:start] + text[start:].replace(old, new, count)).encode())


def _document(counts: dict[str, list[int]], per_mv: str = "400", rate: str = "1000") -> str:
    channels = "".join(
        f'<CHANNEL OFFSET="0" BITS="16" FORMAT="SIGNED" UNITS_PER_MV="{per_mv}" '
        f'DURATION="{len(values)}" SAMPLE_FREQ="{rate}" NAME="{name}" ENCODING="BASE64" '
        f'DATA="{base64.b64encode(np.array(values, dtype="<i2").tobytes()).decode()}"/>'
        for name, values in counts.items()
    )
    return f'<ECG ACQUISITION_TIME="20240101000000">{channels}</ECG>'


def test_third_party_sample_equals_its_reference() -> None:
    recording = decode(MADE)
    reference = np.load(SAMPLE.with_suffix(".expected.npz"))

    assert recording.format == recording.reader == "mortara"
    assert recording.sampling_frequency == float(reference["fs"])
    assert recording.lead_names == ("I", "II", "III", "aVR", "aVL", "aVF", "V1")
    for row, name in enumerate(reference["leads"]):
        mine = recording.signal[recording.lead_names.index(str(name))]
        np.testing.assert_allclose(mine, reference["signal_mv"][row], rtol=0, atol=1e-7)
    assert [finding.reason for finding in recording.findings] == [R.CHECKSUM_ABSENT]


def test_identity_and_statements_of_the_sample() -> None:
    recording = decode(MADE)
    identity = recording.identity

    assert identity.patient_identifier == "PAT001"
    assert identity.acquired_at == datetime(2023, 12, 1, 12, 0, 0)  # noqa: DTZ001 - wall clock
    assert (identity.age_years, identity.sex) == (99.0, "male")
    assert (identity.device, identity.site) == ("ELI250c SN123", "Main Hospital")
    assert recording.statements == ("SINUS RHYTHM", "LEFT AXIS DEVIATION", "UNCONFIRMED REPORT")


def test_blank_fields_fall_back_or_are_none() -> None:
    changed = replaced(MADE, ' ID="PAT001"', ' ID=""')
    changed = replaced(changed, 'AGE="99"', 'AGE="0"')
    changed = replaced(changed, 'ACQUISITION_TIME="20231201120000"', 'ACQUISITION_TIME="20231201"')
    assert decode(changed).identity.acquired_at == datetime(2023, 12, 1, 12)  # noqa: DTZ001
    changed = replaced(changed, "2023-12-01T12:00:00", "2023-12-01")
    identity = decode(changed).identity
    assert identity.patient_identifier == "PAT001"
    assert (identity.acquired_at, identity.age_years) == (None, None)
    born = decode(replaced(MADE, 'AGE="99"', 'AGE=""')).identity
    assert born.age_years == pytest.approx(33.55, abs=0.01)


CASES = [
    ('UNITS_PER_MV="400"', 'UNITS_PER_MV="0"', R.GAIN_INVALID),
    ('UNITS_PER_MV="400"', 'UNITS_PER_MV="-400"', R.GAIN_INVALID),
    ('UNITS_PER_MV="400"', 'UNITS_PER_MV="4E2"', R.GAIN_INVALID),
    ('UNITS_PER_MV="400" ', "", R.GAIN_INVALID),
    ('SAMPLE_FREQ="500"', 'SAMPLE_FREQ="250"', R.SAMPLING_FREQUENCY_INVALID),
    ('SAMPLE_FREQ="500"', 'SAMPLE_FREQ=""', R.SAMPLING_FREQUENCY_INVALID),
    ('OFFSET="0"', 'OFFSET="4"', R.SAMPLE_OFFSET_UNSUPPORTED),
    ('OFFSET="0"', 'OFFSET="none"', R.SAMPLE_OFFSET_UNSUPPORTED),
    ('BITS="16"', 'BITS="12"', R.XML_VARIANT_UNSUPPORTED),
    ('BITS="16" ', "", R.XML_VARIANT_UNSUPPORTED),
    ('FORMAT="SIGNED"', 'FORMAT="UNSIGNED"', R.XML_VARIANT_UNSUPPORTED),
    ('ENCODING="BASE64"', 'ENCODING="HEX"', R.XML_VARIANT_UNSUPPORTED),
    ('DURATION="500"', 'DURATION="1000"', R.SIZE_MISMATCH),
    ('DURATION="500"', 'DURATION="1.5"', R.HEADER_INVALID),
    ('DATA="', 'DATA="*', R.SAMPLE_DATA_DAMAGED),
    ('DATA="', 'DATA="AAAA', R.SAMPLE_DATA_DAMAGED),
    ('NAME="II"', 'NAME="I"', R.LEAD_DUPLICATED),
]


@pytest.mark.parametrize(("old", "new", "reason"), CASES)
def test_changed_export_is_refused_with_its_reason(old: str, new: str, reason: ReasonCode) -> None:
    expected = {reason, R.SIZE_MISMATCH} if "AAAA" in new else {reason}
    with pytest.raises(InputFault) as caught:
        decode(_in_channels(old, new))
    assert caught.value.reason in expected


def test_typical_cycle_is_never_a_substitute_for_the_channels() -> None:
    with pytest.raises(Refusal) as caught:
        decode(_in_channels("<CHANNEL ", "<OTHER ", -1))
    assert caught.value.reason is R.NO_RHYTHM_WAVEFORM


def test_cut_export_is_incomplete() -> None:
    with pytest.raises(Incomplete):
        decode(muse_bytes(MADE.first[:-200]))


def test_root_of_that_name_without_its_attributes_is_unknown() -> None:
    with pytest.raises(InputFault) as caught:
        decode(muse_bytes(b"<ECG><CHANNELS/></ECG>"))
    assert caught.value.reason is R.FORMAT_UNKNOWN


def test_export_whose_first_lead_fills_the_sniffed_bytes_is_recognised() -> None:
    text = _document({name: list(range(5000)) for name in LEADS}, rate="500")
    text = text.replace(' ACQUISITION_TIME="20240101000000"', "")
    text = re.sub(r"<CHANNEL (.*?) (DATA=.*?)/>", r"<CHANNEL \2 \1/>", text)
    assert "UNITS_PER_MV" not in text[:8192]
    assert decode(muse_bytes(text.encode())).n_samples == 5000


def test_export_in_utf_16_is_read() -> None:
    text = MADE.first.decode().replace('encoding="UTF-8"', 'encoding="UTF-16"')
    again = decode(muse_bytes(text.encode("utf-16")))
    assert again.signal_digest == decode(MADE).signal_digest


@settings(max_examples=30)
@given(
    values=st.lists(
        st.lists(st.integers(-32767, 32767), min_size=3, max_size=3), min_size=8, max_size=8
    ),
    per_mv=st.sampled_from(["200", "400", "1000"]),
)
def test_written_counts_come_back_in_millivolts(values: list[list[int]], per_mv: str) -> None:
    names = ("V6", "V5", "V4", "V3", "V2", "V1", "II", "I")
    recording = decode(
        muse_bytes(_document(dict(zip(names, values, strict=True)), per_mv).encode())
    )
    assert recording.lead_names == LEADS
    assert recording.sampling_frequency == 1000.0
    for name, counts in zip(names, values, strict=True):
        mine = recording.signal[LEADS.index(name)]
        np.testing.assert_allclose(mine, np.array(counts) / float(per_mv), rtol=1e-12)


def test_sentinel_is_nan() -> None:
    recording = decode(muse_bytes(_document({"I": [1, -32768], "V9": [1, 2]}).encode()))
    assert recording.lead_names == ("I",)
    assert np.isnan(recording.signal).tolist() == [[False, True]]
