"""GE CardioSoft / CASE exports, written from the description of the format with known counts."""

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
Counts = NDArray[np.int64]
RATE = 100
NAMES = ("I", "II", "III", "AVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def _ecg(n_samples: int, seed: int = 7) -> Counts:
    """Counts (12, n_samples); the limb leads obey Einthoven and Goldberger to one count."""
    chest = np.random.default_rng(seed).integers(-900, 900, (8, n_samples))
    one, two = chest[0], chest[1]
    limb = (one, two, two - one, -(one + two) // 2, one - two // 2, two - one // 2)
    return np.stack([*limb, *chest[2:]])


ECG = _ecg(10 * RATE)


def _lines(counts: Counts) -> str:
    """As the device breaks them: tabs in front, a comma before each break."""
    parts = [counts[at : at + 300] for at in range(0, counts.size, 300)]
    return ",\r\n\t\t\t".join(",".join(map(str, part)) for part in parts)


def _strip(ecg: Counts) -> str:
    waves = "".join(
        f'\t<WaveformData lead="{name}">\r\n\t\t\t{_lines(row)}\r\n\t\t</WaveformData>\r\n'
        for name, row in zip(NAMES, ecg, strict=True)
    )
    return (
        f"<StripData><NumberOfLeads>12</NumberOfLeads><SampleRate units='Hz'>{RATE}</SampleRate>"
        f"<ChannelSampleCountTotal>{ecg.shape[1]}</ChannelSampleCountTotal>"
        f'<Resolution units="uVperLsb">5</Resolution>{waves}</StripData>'
    )


def _disclosure(values: Counts) -> str:
    return (
        f"<FullDisclosure><NumberOfChannels>12</NumberOfChannels>"
        f'<SampleRate units="Hz">{RATE}</SampleRate><Resolution units="uVperLsb">5</Resolution>'
        f"<LeadOrder>{','.join(NAMES)}</LeadOrder><FullDisclosureData>"
        f"<SampleCountTotal>{values.size}</SampleCountTotal>{_lines(values)},"
        f"</FullDisclosureData></FullDisclosure>"
    )


def _blocks(ecg: Counts) -> Counts:
    """One second of the first lead, one second of the second, and so on."""
    seconds = [ecg[:, at : at + RATE].ravel() for at in range(0, ecg.shape[1], RATE)]
    return np.concatenate(seconds)


HEAD = """<?xml version="1.0" encoding="ISO8859-1"?>\r\n<CardiologyXML>
<ObservationType>RestECG</ObservationType>
<ObservationDateTime><Hour>9</Hour><Minute>5</Minute><Second>7</Second>
<Day>3</Day><Month>2</Month><Year>2021</Year></ObservationDateTime>
<UID><DICOMStudyUID>1.2.3</DICOMStudyUID></UID>
<ClinicalInfo><DeviceInfo><Desc>CASE</Desc><SoftwareVer>V6.73</SoftwareVer></DeviceInfo></ClinicalInfo>
<PatientVisit><AssignedPatientLocation><Facility>Ward ä</Facility></AssignedPatientLocation>
<OrderNumber>007</OrderNumber></PatientVisit>
<PatientInfo><PID>0012</PID><Age units="Years">61</Age><BirthDateTime><Day>1</Day><Month>1</Month>
<Year>1960</Year></BirthDateTime><Gender>MALE</Gender></PatientInfo>
<Interpretation><Diagnosis><DiagnosisText>Sinus rhythm</DiagnosisText><DiagnosisText/></Diagnosis>
<Conclusion><ConclusionText>Normal ECG</ConclusionText></Conclusion></Interpretation>
<RestingECGMeasurements><MedianSamples><NumberOfLeads>1</NumberOfLeads>
<SampleRate units="Hz">500</SampleRate><WaveformData lead="I">1,2,3</WaveformData></MedianSamples>
</RestingECGMeasurements>
"""


def _document(*sections: str) -> str:
    return HEAD + "".join(sections) + "</CardiologyXML>"


def _decode(text: str) -> Recording:
    return decode(muse_bytes(text.encode("iso-8859-1")))


STRIP = _document(_strip(ECG))
DISCLOSED = _document(_disclosure(_blocks(ECG)))


def test_strip_has_the_written_counts_times_the_resolution() -> None:
    recording = _decode(STRIP)
    assert recording.format == recording.reader == "cardiosoft"
    assert recording.lead_names == LEADS
    assert recording.derived_leads == ()
    assert recording.sampling_frequency == RATE
    np.testing.assert_allclose(recording.signal, ECG * 0.005, rtol=1e-12)
    assert [finding.reason for finding in recording.findings] == [R.CHECKSUM_ABSENT]


@pytest.mark.parametrize("name", ["Lead", "LEAD"])
def test_name_of_the_lead_attribute_is_read_in_any_case(name: str) -> None:
    written = STRIP.replace(' lead="', f' {name}="')
    assert _decode(written).signal_digest == _decode(STRIP).signal_digest


def test_full_disclosure_has_the_same_signal_and_the_strip_is_preferred() -> None:
    expected = _decode(STRIP)
    assert _decode(DISCLOSED).signal_digest == expected.signal_digest
    other = _disclosure(_blocks(_ecg(20 * RATE, seed=8)))
    for both in (_strip(ECG) + other, other + _strip(ECG)):
        assert _decode(_document(both)).signal_digest == expected.signal_digest


def test_zeros_before_the_full_disclosure_begins_are_left_out() -> None:
    silent = np.concatenate([np.zeros((12, 3 * RATE + 17), np.int64), ECG], axis=1)[:, : 12 * RATE]
    recording = _decode(_document(_disclosure(_blocks(silent))))
    np.testing.assert_allclose(recording.signal, ECG[:, : 9 * RATE - 17] * 0.005, rtol=1e-12)


def test_lead_order_may_end_with_a_comma() -> None:
    ended = DISCLOSED.replace("V6</LeadOrder>", "V6, </LeadOrder>")
    assert ended != DISCLOSED
    assert _decode(ended).signal_digest == _decode(DISCLOSED).signal_digest


def test_full_disclosure_in_another_layout_is_refused() -> None:
    for values in (ECG.T.ravel(), ECG.ravel()):
        with pytest.raises(InputFault) as caught:
            _decode(_document(_disclosure(values)))
        assert caught.value.reason is R.XML_VARIANT_UNSUPPORTED


def test_identity_and_statements() -> None:
    recording = _decode(STRIP)
    identity = recording.identity
    assert identity.patient_identifier == "0012"
    assert identity.acquired_at == datetime(2021, 2, 3, 9, 5, 7)  # noqa: DTZ001 - wall clock
    assert (identity.age_years, identity.sex) == (61.0, "male")
    assert (identity.device, identity.site, identity.order_number) == ("CASE", "Ward ä", "007")
    assert identity.ecg_id is None
    assert recording.statements == ("Sinus rhythm", "Normal ECG")
    assert recording.statement_normal is True


def test_blanked_date_is_none_and_a_missing_age_follows_from_the_dates() -> None:
    blanked = STRIP.replace("<Year>2021<", "<Year>1<")
    assert _decode(blanked).identity.acquired_at is None
    for part in ("<Hour>9<", "<Minute>5<", "<Second>7<"):
        hidden = STRIP.replace(part, part.partition(">")[0] + "><")
        assert _decode(hidden).identity.acquired_at is None
    aged = STRIP.replace('<Age units="Years">61</Age>', "")
    assert _decode(aged).identity.age_years == pytest.approx(61.09, abs=0.01)
    assert (
        _decode(HEAD.partition("<Obs")[0] + _strip(ECG) + "</CardiologyXML>").identity.sex is None
    )


CASES = [
    ('units="uVperLsb"', 'units="mVperLsb"', R.UNIT_UNKNOWN),
    ('units="uVperLsb"', "", R.UNIT_UNKNOWN),
    (">5</Resolution>", ">0</Resolution>", R.GAIN_INVALID),
    (">5</Resolution>", ">4,88</Resolution>", R.GAIN_INVALID),
    ("Resolution", "Resolving", R.GAIN_INVALID),
    (f">{RATE}</SampleRate>", ">0</SampleRate>", R.SAMPLING_FREQUENCY_INVALID),
    (f">{RATE}</SampleRate>", "></SampleRate>", R.SAMPLING_FREQUENCY_INVALID),
    ("'Hz'", "'kHz'", R.SAMPLING_FREQUENCY_INVALID),
    ("<ChannelSampleCountTotal>1000<", "<ChannelSampleCountTotal>1001<", R.SIZE_MISMATCH),
    ("<ChannelSampleCountTotal>1000<", "<ChannelSampleCountTotal>?<", R.HEADER_INVALID),
    ("<NumberOfLeads>12<", "<NumberOfLeads>11<", R.SIZE_MISMATCH),
    ('lead="V2"', 'lead="V1"', R.LEAD_DUPLICATED),
    ("RestECG", "ExerciseECG", R.XML_VARIANT_UNSUPPORTED),
    ('lead="II">\r\n\t\t\t', 'lead="II">1,', R.SIZE_MISMATCH),
    ('lead="II">\r\n\t\t\t', 'lead="II">x', R.SAMPLE_DATA_DAMAGED),
    ('lead="II">\r\n\t\t\t', 'lead="II">1 ', R.SAMPLE_DATA_DAMAGED),
    ('lead="II">\r\n\t\t\t', 'lead="II">--', R.SAMPLE_DATA_DAMAGED),
    ('lead="II">\r\n\t\t\t', 'lead="II">0.', R.SAMPLE_DATA_DAMAGED),
    ('lead="II">\r\n\t\t\t', 'lead="II">9999999999999999999', R.SAMPLE_DATA_DAMAGED),
]


@pytest.mark.parametrize(("old", "new", "reason"), CASES)
def test_changed_strip_is_refused_with_its_reason(old: str, new: str, reason: ReasonCode) -> None:
    at = 0 if old == "RestECG" else STRIP.index("<StripData>")
    assert old in STRIP[at:]
    with pytest.raises(InputFault) as caught:
        _decode(STRIP[:at] + STRIP[at:].replace(old, new))
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<NumberOfChannels>12<", "<NumberOfChannels>11<", R.SIZE_MISMATCH),
        ("<SampleCountTotal>12000<", "<SampleCountTotal>11999<", R.SIZE_MISMATCH),
        ("<LeadOrder>I,II,", "<LeadOrder>V9,II,", R.XML_VARIANT_UNSUPPORTED),
        ("<LeadOrder>I,II,", "<LeadOrder>II,I,", R.XML_VARIANT_UNSUPPORTED),
        ("V5,V6</LeadOrder>", "V5,V5</LeadOrder>", R.LEAD_DUPLICATED),
        (f">{RATE}</SampleRate>", ">70</SampleRate>", R.SIZE_MISMATCH),
        (f">{RATE}</SampleRate>", ">99.5</SampleRate>", R.SIZE_MISMATCH),
        (f">{RATE}</SampleRate>", ">50</SampleRate>", R.XML_VARIANT_UNSUPPORTED),
    ],
)
def test_changed_disclosure_is_refused(old: str, new: str, reason: ReasonCode) -> None:
    assert old in DISCLOSED
    with pytest.raises(InputFault) as caught:
        _decode(DISCLOSED.replace(old, new))
    assert caught.value.reason is reason


def test_several_strips_are_refused() -> None:
    with pytest.raises(InputFault) as caught:
        _decode(_document(_strip(ECG), _strip(ECG)))
    assert caught.value.reason is R.XML_VARIANT_UNSUPPORTED


def test_median_beat_is_never_a_substitute_for_the_strip() -> None:
    for text in (_document(), _document("<FullDisclosure><Resolution/></FullDisclosure>")):
        with pytest.raises((Refusal, InputFault)) as caught:
            _decode(text)
        assert caught.value.reason in {R.NO_RHYTHM_WAVEFORM, R.SAMPLING_FREQUENCY_INVALID}


def test_lost_number_is_seen_where_no_count_is_declared() -> None:
    bare = STRIP.replace("<ChannelSampleCountTotal>1000</ChannelSampleCountTotal>", "")
    assert _decode(bare).n_samples == 1000
    first = f'lead="I">\r\n\t\t\t{ECG[0, 0]},'
    with pytest.raises(InputFault) as caught:
        _decode(bare.replace(first, 'lead="I">,'))
    assert caught.value.reason is R.SIZE_MISMATCH


def test_sentinel_is_nan_in_its_lead_alone() -> None:
    ecg = ECG.copy()
    ecg[6, 5] = -32768
    assert np.argwhere(np.isnan(_decode(_document(_strip(ecg))).signal)).tolist() == [[6, 5]]


def test_cut_export_is_incomplete() -> None:
    with pytest.raises(Incomplete):
        _decode(STRIP[:-2000])


def test_too_many_numbers_are_refused_before_they_are_parsed() -> None:
    waves = f'<WaveformData lead="I">{"0," * 1_000_000}</WaveformData>' * 3
    with pytest.raises(InputFault) as caught:
        _decode(_document(_strip(ECG).replace("</StripData>", waves + "</StripData>")))
    assert caught.value.reason is R.XML_LIMIT


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), seconds=st.integers(1, 12))
def test_both_layouts_give_back_any_counts(seed: int, seconds: int) -> None:
    ecg = _ecg(seconds * RATE, seed)
    strip, disclosed = _document(_strip(ecg)), _document(_disclosure(_blocks(ecg)))
    np.testing.assert_allclose(_decode(strip).signal, ecg * 0.005, rtol=1e-12)
    np.testing.assert_allclose(_decode(disclosed).signal, ecg * 0.005, rtol=1e-12)
