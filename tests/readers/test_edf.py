"""EDF and EDF+: a real recording against pyEDFlib and its WFDB twin, and files from edfio."""

import datetime
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from edfio import Edf, EdfAnnotation, EdfSignal, Patient
from edfio import Recording as EdfRecording
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbatch.errors import EcgbatchError, Incomplete, Refusal
from ecgbatch.readers.registry import decode
from ecgbatch.readers.wfdb import member_names
from ecgbatch.records import Member, Recording, RecordingBytes
from ecgbatch.resources import demonstration
from ecgbatch.terms import LEADS, ReasonCode

SAMPLES = Path(__file__).parents[1] / "data" / "samples" / "edf"
REAL = (SAMPLES / "A0001.edf").read_bytes()
R = ReasonCode
ECG = np.random.default_rng(5).uniform(-2, 2, (12, 5000))


def _decode(content: bytes) -> Recording:
    return decode(RecordingBytes((Member("x", content),)))


def _reason(content: bytes) -> ReasonCode:
    with pytest.raises(EcgbatchError) as caught:
        _decode(content)
    return caught.value.reason


def _signal(row: int, label: str, unit: str = "mV", frequency: float = 500) -> EdfSignal:
    values = ECG[row, : int(10 * frequency)] * {"mV": 1, "uV": 1000}.get(unit, 1)
    limit = 4 * {"mV": 1, "uV": 1000}.get(unit, 1)
    return EdfSignal(
        values,
        frequency,
        label=label,
        physical_dimension=unit,
        physical_range=(-limit, limit),
        digital_range=(-32767, 32767),
    )


def _written(
    signals: Sequence[EdfSignal],
    patient: Patient | None = None,
    recording: EdfRecording | None = None,
    annotations: Sequence[EdfAnnotation] | None = None,
    starttime: datetime.time | None = None,
) -> bytes:
    file = BytesIO()
    edf = Edf(
        signals,
        patient=patient,
        recording=recording,
        annotations=annotations,
        starttime=starttime,
        data_record_duration=1,
    )
    edf.write(file)
    return file.getvalue()


def _twelve(prefix: str = "ECG ", unit: str = "mV") -> list[EdfSignal]:
    return [_signal(row, prefix + lead, unit) for row, lead in enumerate(LEADS)]


PLAIN = _written(_twelve())
STEP = 8 / 65534


def test_real_recording_equals_its_reference_and_its_wfdb_twin() -> None:
    recording = _decode(REAL)
    reference = np.load(SAMPLES / "A0001.expected.npz")
    assert recording.lead_names == LEADS == tuple(str(lead) for lead in reference["leads"])
    assert recording.sampling_frequency == float(reference["fs"]) == 500.0
    assert recording.format == recording.reader == "edf"
    assert recording.derived_leads == ()
    np.testing.assert_allclose(recording.signal, reference["signal_mv"], rtol=0, atol=1e-6)

    header = demonstration("samples") / "wfdb" / "A0001.hea"
    names = ["A0001.hea", *member_names(header.read_bytes())]
    members = (Member(name, (header.parent / name).read_bytes()) for name in names)
    twin = decode(RecordingBytes(tuple(members)))
    np.testing.assert_allclose(recording.signal, twin.signal, rtol=0, atol=4e-5)


@pytest.mark.parametrize(("prefix", "unit"), [("ECG ", "mV"), ("", "uV"), ("ecg ", "uV")])
def test_labels_and_units_are_read_in_any_spelling(prefix: str, unit: str) -> None:
    recording = _decode(_written(_twelve(prefix, unit)))
    np.testing.assert_allclose(recording.signal, ECG, rtol=0, atol=STEP / 2 + 1e-9)


def test_other_signals_are_left_out_whatever_their_rate() -> None:
    content = _written([*_twelve(), _signal(0, "SpO2", "%", 1), _signal(1, "Resp", "", 100)])
    recording = _decode(content)
    assert recording.lead_names == LEADS
    np.testing.assert_allclose(recording.signal, ECG, rtol=0, atol=STEP / 2 + 1e-9)


def test_leads_of_different_rates_and_double_leads_are_refused() -> None:
    mixed = [*_twelve()[:11], _signal(11, "V6", "mV", 250)]
    assert _reason(_written(mixed)) is R.LEAD_LENGTHS_DIFFER
    assert _reason(_written([*_twelve(), _signal(0, "I")])) is R.LEAD_DUPLICATED
    with pytest.raises(Refusal):
        _decode(_written([_signal(0, "EEG Fpz-Cz", "uV")]))


def test_edf_plus_says_who_when_and_what() -> None:
    content = _written(
        _twelve(),
        patient=Patient(
            code="007-A", sex="F", birthdate=datetime.date(1960, 5, 1), name="Secret_Name"
        ),
        recording=EdfRecording(startdate=datetime.date(2021, 5, 1), equipment_code="MAC_55"),
        annotations=[EdfAnnotation(0, None, "Normal ECG")],
        starttime=datetime.time(13, 14, 15),
    )
    recording = _decode(content)
    identity = recording.identity
    assert identity.patient_identifier == "007-A"
    assert identity.acquired_at == datetime.datetime(2021, 5, 1, 13, 14, 15)  # noqa: DTZ001
    assert identity.age_years == pytest.approx(61.0, abs=0.01)
    assert (identity.sex, identity.device) == ("female", "MAC 55")
    assert recording.statements == ("Normal ECG",)
    assert recording.statement_normal is True
    assert "Secret" not in repr(identity) + repr(recording.statements)


def test_plain_edf_names_no_patient_and_no_hidden_date() -> None:
    dated = PLAIN[:8] + b"4711 Secret".ljust(80) + PLAIN[88:168] + b"10.05.23" + PLAIN[176:]
    identity = _decode(dated).identity
    assert identity.patient_identifier is None
    assert identity.acquired_at == datetime.datetime(2023, 5, 10)  # noqa: DTZ001
    for day in (b"01.01.85", b"99.99.99", b"XX.XX.XX"):
        hidden = dated[:88] + b" " * 80 + day + dated[176:]
        assert _decode(hidden).identity.acquired_at is None


def _field(content: bytes, width_before: int, width: int, text: str, row: int = 0) -> bytes:
    """Overwrite one field of a signal's header; the fields of one kind stand together."""
    n_signals = int(content[252:256])
    at = 256 + width_before * n_signals + width * row
    return content[:at] + text.encode().ljust(width) + content[at + width :]


UNIT, PHYSICAL_MIN, PHYSICAL_MAX, DIGITAL_MIN, DIGITAL_MAX, PER_RECORD = 96, 104, 112, 120, 128, 216


@pytest.mark.parametrize(
    ("before", "text", "reason"),
    [
        (UNIT, "", R.UNIT_UNKNOWN),
        (UNIT, "mmHg", R.UNIT_UNKNOWN),
        (PHYSICAL_MIN, "4", R.GAIN_INVALID),
        (PHYSICAL_MIN, "9", R.GAIN_INVALID),
        (PHYSICAL_MIN, "nan", R.GAIN_INVALID),
        (PHYSICAL_MIN, "4,88", R.HEADER_INVALID),
        (PHYSICAL_MAX, "inf", R.HEADER_INVALID),
        (PHYSICAL_MAX, "", R.HEADER_INVALID),
        (DIGITAL_MIN, "32767", R.GAIN_INVALID),
        (DIGITAL_MAX, "-32768", R.GAIN_INVALID),
        (DIGITAL_MAX, "1.5", R.HEADER_INVALID),
        (PER_RECORD, "501", R.INCOMPLETE),
        (PER_RECORD, "499", R.SIZE_MISMATCH),
        (PER_RECORD, "0", R.SIZE_MISMATCH),
        (PER_RECORD, "-500", R.SIZE_MISMATCH),
        (PER_RECORD, "99999999", R.INCOMPLETE),
        (PER_RECORD, "x", R.HEADER_INVALID),
    ],
)
def test_changed_signal_header_is_refused_with_its_reason(
    before: int, text: str, reason: ReasonCode
) -> None:
    assert _reason(_field(PLAIN, before, 8, text, row=3)) is reason


@pytest.mark.parametrize(
    ("at", "text", "reason"),
    [
        (192, "EDF+D", R.EDF_VARIANT_UNSUPPORTED),
        (236, "-1", R.INCOMPLETE),
        (236, "11", R.INCOMPLETE),
        (236, "9", R.SIZE_MISMATCH),
        (236, "0", R.SIZE_MISMATCH),
        (236, "1e9", R.HEADER_INVALID),
        (244, "0", R.HEADER_INVALID),
        (244, "", R.HEADER_INVALID),
        (244, "1000", R.SAMPLING_FREQUENCY_INVALID),
        (184, "256", R.HEADER_INVALID),
        (252, "9999", R.HEADER_INVALID),
        (252, "0", R.HEADER_INVALID),
    ],
)
def test_changed_file_header_is_refused_with_its_reason(
    at: int, text: str, reason: ReasonCode
) -> None:
    width = 4 if at == 252 else 8
    assert _reason(PLAIN[:at] + text.encode().ljust(width) + PLAIN[at + width :]) is reason


def test_cut_file_is_incomplete_and_a_longer_one_refused() -> None:
    for n_bytes in (192, 255, 256, 300, 3000, len(REAL) // 2, len(REAL) - 1):
        with pytest.raises(Incomplete):
            _decode(REAL[:n_bytes])
    assert _reason(REAL + b"\0\0") is R.SIZE_MISMATCH


def test_value_beyond_the_digital_range_is_an_invalid_sample() -> None:
    content = bytearray(PLAIN)
    at = 256 * 13 + 2 * (500 * 2 + 7)
    content[at : at + 2] = (-32768).to_bytes(2, "little", signed=True)
    bad = np.isnan(_decode(bytes(content)).signal)
    assert np.argwhere(bad).tolist() == [[2, 7]]


def test_bdf_and_text_are_not_taken_for_edf() -> None:
    assert _reason(b"\xffBIOSEMI" + REAL[8:]) is not R.HEADER_INVALID
    assert _reason(b"0       " + b"x" * 400) in {R.FORMAT_UNKNOWN, R.HEADER_INVALID}


@settings(deadline=None, max_examples=120)
@given(st.integers(0, 256 * 13 - 1), st.binary(min_size=1, max_size=8))
def test_any_change_of_the_header_ends_in_a_recording_or_a_named_fault(
    at: int, patch: bytes
) -> None:
    mutant = PLAIN[:at] + patch + PLAIN[at + len(patch) :]
    try:
        recording = _decode(mutant)
    except EcgbatchError:
        return
    assert recording.n_samples == 5000
