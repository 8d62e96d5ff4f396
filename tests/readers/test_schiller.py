"""Schiller SEMA exports, written from the description of the format with known counts."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from reader_cases import muse_bytes

from ecgbatch.errors import Incomplete, InputFault, Refusal
from ecgbatch.readers.registry import decode
from ecgbatch.records import Recording
from ecgbatch.terms import LEADS, ReasonCode

R = ReasonCode
ROOT = "com.xiriuz.sema.xml.schillerEDI.SchillerEDI"
ECG = np.random.default_rng(3).integers(-900, 900, (12, 4998))


def _wave(kind: str, ecg: NDArray[np.int64], names: tuple[str, ...] = LEADS) -> str:
    channels = "".join(
        f"<channel><name>{name.upper()}</name><samplecount>{row.size}</samplecount>"
        f"<datastype>COMMASEPARATE</datastype><data>{','.join(map(str, row))},</data></channel>"
        for name, row in zip(names, ecg, strict=True)
    )
    return (
        f"<wavedata><type>{kind}</type><resolution><samplerate><value>500</value><unit>HZ</unit>"
        "<exponent>1</exponent></samplerate><yres><unitperbit>1.0</unitperbit><units>UV</units>"
        f"</yres></resolution>{channels}</wavedata>"
    )


AVERAGES = _wave("ECG_AVERAGES", ECG[:, :600] + 1)
RHYTHMS = _wave("ECG_RHYTHMS", ECG)
HEAD = """<patdata><id>0012</id><lastname>D</lastname><birthdate>19600101</birthdate>
<gender>FEMALE</gender></patdata>
<examdescript><order_id>007</order_id><case_id>C-1</case_id><startdatetime><date>20210203</date>
<time>090507120</time></startdatetime><idu><aquiring_department><name>Ward 3</name>
</aquiring_department></idu></examdescript>
<aquiringdevice><hardware><vendor>Schiller</vendor><model>AT-110</model></hardware></aquiringdevice>
"""


def _document(*waves: str) -> str:
    events = f"<eventdata><event>{''.join(waves)}</event></eventdata>"
    return f'<?xml version="1.0" encoding="utf-8"?>\r\n<{ROOT}>{HEAD}{events}</{ROOT}>'


def _decode(text: str) -> Recording:
    return decode(muse_bytes(text.encode("utf-8-sig")))


EXPORT = _document(AVERAGES, RHYTHMS)


def test_rhythm_strip_has_the_written_counts_in_microvolts() -> None:
    recording = _decode(EXPORT)
    assert recording.format == recording.reader == "schiller"
    assert recording.lead_names == LEADS
    assert recording.sampling_frequency == 500.0
    np.testing.assert_allclose(recording.signal, ECG * 0.001, rtol=1e-12)
    assert [finding.reason for finding in recording.findings] == [R.CHECKSUM_ABSENT]


def test_identity() -> None:
    identity = _decode(EXPORT).identity
    assert identity.patient_identifier == "0012"
    assert identity.acquired_at == datetime(2021, 2, 3, 9, 5, 7, 120_000)  # noqa: DTZ001
    assert identity.age_years == pytest.approx(61.09, abs=0.01)
    assert (identity.sex, identity.device) == ("female", "Schiller AT-110")
    assert (identity.order_number, identity.accession) == ("007", "C-1")
    assert identity.site == "Ward 3"
    at = HEAD.index("<idu>") + len("<idu>")
    institute = (
        f"{HEAD[:at]}<aquiring_institute><name>Clinic</name></aquiring_institute>{HEAD[at:]}"
    )
    assert _decode(EXPORT.replace(HEAD, institute)).identity.site == "Clinic"
    blank = _decode(EXPORT.replace(HEAD, "")).identity
    assert (blank.patient_identifier, blank.acquired_at, blank.device) == (None, None, None)
    assert _decode(EXPORT.replace("090507120", "0905")).identity.acquired_at is None


def test_averages_are_never_a_substitute_for_the_rhythm_strip() -> None:
    for text in (_document(AVERAGES), _document(), EXPORT.replace("eventdata", "otherdata")):
        with pytest.raises(Refusal) as caught:
            _decode(text)
        assert caught.value.reason is R.NO_RHYTHM_WAVEFORM


def test_strip_with_most_leads_then_most_samples_is_taken() -> None:
    few = _wave("ECG_RHYTHM", ECG[:2, :], LEADS[:2])
    short = _wave("ECG_RHYTHM", ECG[:, :900])
    expected = _decode(EXPORT).signal_digest
    for waves in ((few, short, RHYTHMS), (RHYTHMS, short, few)):
        assert _decode(_document(*waves)).signal_digest == expected


def test_eight_independent_leads_count_as_twelve() -> None:
    eight = [LEADS.index(name) for name in ("I", "II", *LEADS[6:])]
    long = _wave("ECG_RHYTHM", ECG[eight], tuple(LEADS[row] for row in eight))
    short = _wave("ECG_RHYTHM", ECG[:, :900])
    for waves in ((long, short), (short, long)):
        assert _decode(_document(*waves)).n_samples == 4998


CASES = [
    ("<exponent>1<", "<exponent>2<", R.SAMPLING_FREQUENCY_INVALID),
    ("<exponent>1<", "<exponent>0<", R.SAMPLING_FREQUENCY_INVALID),
    ("<value>500<", "<value>0<", R.SAMPLING_FREQUENCY_INVALID),
    ("<value>500<", "<value>5E2<", R.SAMPLING_FREQUENCY_INVALID),
    ("<units>UV<", "<units>NV<", R.UNIT_UNKNOWN),
    ("<units>UV<", "<units><", R.UNIT_UNKNOWN),
    ("<unitperbit>1.0<", "<unitperbit>0<", R.GAIN_INVALID),
    ("<unitperbit>1.0<", "<unitperbit><", R.GAIN_INVALID),
    ("COMMASEPARATE", "BASE64", R.XML_VARIANT_UNSUPPORTED),
    ("<samplecount>4998<", "<samplecount>4999<", R.SIZE_MISMATCH),
    ("<name>V2<", "<name>V1<", R.LEAD_DUPLICATED),
    ("<data>", "<data>1;", R.SAMPLE_DATA_DAMAGED),
    ("<data>", "<data>1_", R.SAMPLE_DATA_DAMAGED),
    ("<data>", "<data>\u0661", R.SAMPLE_DATA_DAMAGED),
    ("<data>", "<data>1.2.", R.SAMPLE_DATA_DAMAGED),
    ("<data>", "<data>0.12345678,", R.SIZE_MISMATCH),
]


@pytest.mark.parametrize(("old", "new", "reason"), CASES)
def test_changed_export_is_refused_with_its_reason(old: str, new: str, reason: ReasonCode) -> None:
    assert old in RHYTHMS
    with pytest.raises(InputFault) as caught:
        _decode(_document(AVERAGES, RHYTHMS.replace(old, new)))
    assert caught.value.reason is reason


def test_absent_exponent_and_lead_beyond_the_twelve_are_accepted() -> None:
    text = _document(RHYTHMS.replace("<exponent>1</exponent>", "").replace(">V6<", ">V7<"))
    recording = _decode(text)
    assert recording.lead_names == LEADS[:-1]
    assert recording.sampling_frequency == 500.0


def test_millivolts_are_a_thousand_microvolts() -> None:
    text = RHYTHMS.replace(">UV<", ">MV<").replace(">1.0<", ">0.001<")
    assert _decode(_document(text)).signal_digest == _decode(EXPORT).signal_digest


def test_cut_export_is_incomplete() -> None:
    with pytest.raises(Incomplete):
        _decode(EXPORT[:-5000])


@settings(max_examples=40)
@given(
    values=st.lists(st.integers(-32_000_000, 32_000_000), min_size=1, max_size=30),
    places=st.integers(0, 6),
)
def test_decimals_are_read_as_written(values: list[int], places: int) -> None:
    data = ",".join(f"{value / 10**places:.{places}f}" for value in values)
    channel = (
        f"<channel><name>I</name><samplecount>{len(values)}</samplecount>"
        f"<datastype>COMMASEPARATE</datastype><data>{data}</data></channel>"
    )
    start = RHYTHMS.index("<channel>")
    recording = _decode(_document(RHYTHMS[:start] + channel + "</wavedata>"))
    invalid = np.array(values) == -32768 * 10**places
    expected = np.where(invalid, np.nan, np.array(values) / 10**places * 0.001)
    np.testing.assert_allclose(recording.signal[0], expected, rtol=1e-9, atol=1e-15)
