"""GE MUSE exports with one thing changed."""

import base64
import re
import zlib

import numpy as np
import pytest
from reader_cases import GUANGXI, SYNTHETIC, muse_bytes, replaced

from ecgbatch.errors import InputFault, Refusal
from ecgbatch.quality.checks import check, refusal
from ecgbatch.readers.registry import decode
from ecgbatch.records import RecordingBytes
from ecgbatch.settings import load_settings
from ecgbatch.terms import ReasonCode

REAL = muse_bytes(GUANGXI.read_bytes())
MADE = muse_bytes(SYNTHETIC.read_bytes())
R = ReasonCode


def _in_rhythm(source: RecordingBytes, old: str, new: str, count: int = 1) -> RecordingBytes:
    """Replace in the rhythm strip alone, which follows the median beat."""
    text = source.first.decode("utf-8")
    start = text.index("<WaveformType>Rhythm")
    assert old in text[start:]
    return muse_bytes((text[:start] + text[start:].replace(old, new, count)).encode())


def _reason(source: RecordingBytes) -> ReasonCode:
    with pytest.raises(InputFault) as caught:
        decode(source)
    return caught.value.reason


PER_BIT = "<LeadAmplitudeUnitsPerBit>4.88<"
CASES: list[tuple[str, str, ReasonCode]] = [
    ("MICROVOLTS", "NANOVOLTS", R.UNIT_UNKNOWN),
    ("MICROVOLTS", "", R.UNIT_UNKNOWN),
    ("<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits>", "", R.UNIT_UNKNOWN),
    *(
        (PER_BIT, f"<LeadAmplitudeUnitsPerBit>{gain}<", R.GAIN_INVALID)
        for gain in ("", "0", "-4.88", "4,88", "nan", "inf", "1E3", "four")
    ),
    ("<SampleBase>500<", "<SampleBase>0<", R.SAMPLING_FREQUENCY_INVALID),
    ("<SampleBase>500<", "<SampleBase>nan<", R.SAMPLING_FREQUENCY_INVALID),
    ("<SampleBase>500<", "<SampleBase><", R.SAMPLING_FREQUENCY_INVALID),
    ("<SampleExponent>0<", "<SampleExponent>9999999<", R.SAMPLING_FREQUENCY_INVALID),
    ("<SampleExponent>0<", "<SampleExponent>2<", R.SAMPLING_FREQUENCY_INVALID),
    ("<SampleExponent>0<", "<SampleExponent>0.5<", R.SAMPLING_FREQUENCY_INVALID),
    ("<LeadTimeOffset>0<", "<LeadTimeOffset>4<", R.SAMPLE_OFFSET_UNSUPPORTED),
    ("<LeadOffsetFirstSample>0<", "<LeadOffsetFirstSample>1<", R.SAMPLE_OFFSET_UNSUPPORTED),
    ("<LeadSampleSize>2<", "<LeadSampleSize>4<", R.XML_VARIANT_UNSUPPORTED),
    ("CONTINUOUS_SAMPLES", "COMPRESSED", R.XML_VARIANT_UNSUPPORTED),
    ("<LeadSampleCountTotal>5000<", "<LeadSampleCountTotal>5001<", R.SIZE_MISMATCH),
    ("<LeadByteCountTotal>10000<", "<LeadByteCountTotal>9999<", R.SIZE_MISMATCH),
    ("<LeadID>V2<", "<LeadID>V1<", R.LEAD_DUPLICATED),
    ("<FirstSampleBaseline>0<", "<FirstSampleBaseline>0.5<", R.HEADER_INVALID),
    ("<WaveFormData>", "<WaveFormData>*", R.SAMPLE_DATA_DAMAGED),
    ("<WaveFormData>", "<WaveFormData>é", R.SAMPLE_DATA_DAMAGED),
    ("<WaveFormData>", "<WaveFormData>AAAA", R.SAMPLE_DATA_DAMAGED),
]


@pytest.mark.parametrize(("old", "new", "reason"), CASES)
def test_changed_export_is_refused_with_its_reason(old: str, new: str, reason: ReasonCode) -> None:
    expected = {reason, R.SIZE_MISMATCH} if "AAAA" in new else {reason}
    assert _reason(_in_rhythm(REAL, old, new)) in expected


def test_wrong_crc_is_damage_and_zero_is_a_finding() -> None:
    text = REAL.first.decode()
    start = text.index("<WaveformType>Rhythm")
    crc = re.findall(r"<LeadDataCRC32>(\d+)<", text[start:])[0]
    assert _reason(_in_rhythm(REAL, crc, str(int(crc) ^ 1))) is R.SAMPLE_DATA_DAMAGED
    for nothing in ("0", ""):
        findings = decode(_in_rhythm(REAL, f">{crc}<", f">{nothing}<")).findings
        assert [finding.reason for finding in findings] == [R.CHECKSUM_ABSENT]


def test_median_beat_is_never_a_substitute_for_the_rhythm_strip() -> None:
    for source in (_in_rhythm(REAL, "Rhythm", "Median"), _in_rhythm(MADE, "Rhythm", "Other")):
        with pytest.raises(Refusal) as caught:
            decode(source)
        assert caught.value.reason is R.NO_RHYTHM_WAVEFORM


def _waveform(text: str, kind: str) -> str:
    for block in re.findall(r"<Waveform>.*?</Waveform>", text, re.DOTALL):
        if f"<WaveformType>{kind}<" in block:
            return str(block)
    raise AssertionError(kind)


def test_rhythm_strip_with_most_leads_is_taken_wherever_it_stands() -> None:
    text = MADE.first.decode()
    rhythm = _waveform(text, "Rhythm")
    first_lead = re.search(r"<LeadData>.*?</LeadData>", rhythm, re.DOTALL)
    assert first_lead
    one_lead = rhythm[: first_lead.end()] + "</Waveform>"
    expected = decode(MADE).signal
    for both in (one_lead + rhythm, rhythm + one_lead):
        changed = muse_bytes(text.replace(rhythm, both).encode())
        assert np.array_equal(decode(changed).signal, expected)


def test_longer_of_two_rhythm_strips_is_taken() -> None:
    text = MADE.first.decode()
    rhythm, median = _waveform(text, "Rhythm"), _waveform(text, "Median")
    short = median.replace("Median", "Rhythm")
    for both in (short + rhythm, rhythm + short):
        assert decode(muse_bytes(text.replace(rhythm, both).encode())).n_samples == 5000


def test_eight_leads_for_ten_seconds_are_better_than_twelve_for_less() -> None:
    text = MADE.first.decode()
    rhythm, median = _waveform(text, "Rhythm"), _waveform(text, "Median")
    lead = str(re.findall(r"<LeadData>.*?</LeadData>", median, re.DOTALL)[0])
    limb = "".join(lead.replace(">I<", f">{name}<") for name in ("III", "aVR", "aVL", "aVF"))
    twelve = median.replace("Median", "Rhythm").replace("</Waveform>", limb + "</Waveform>")
    for both in (twelve + rhythm, rhythm + twelve):
        assert decode(muse_bytes(text.replace(rhythm, both).encode())).n_samples == 5000


def test_first_sample_baseline_is_subtracted_before_scaling() -> None:
    whole = decode(MADE)
    row = whole.lead_names.index("V6")
    text = MADE.first.decode()
    at = text.rindex("<FirstSampleBaseline>0<")
    shifted = text[:at] + text[at:].replace("line>0<", "line>100<", 1)
    recording = decode(muse_bytes(shifted.encode()))
    np.testing.assert_allclose(whole.signal[row] - 0.488, recording.signal[row], atol=1e-12)
    assert recording.signal_digest != whole.signal_digest


def test_millivolts_per_bit_give_the_same_signal() -> None:
    changed = replaced(MADE, ">4.88<", ">0.00488<", -1)
    changed = replaced(changed, "MICROVOLTS", "MILLIVOLTS", -1)
    np.testing.assert_allclose(decode(changed).signal, decode(MADE).signal, rtol=1e-12)
    assert decode(changed).signal_digest == decode(MADE).signal_digest


def test_sampling_frequency_is_base_times_a_power_of_ten() -> None:
    changed = _in_rhythm(MADE, "<SampleBase>500<", "<SampleBase>5<")
    changed = _in_rhythm(changed, "<SampleExponent>0<", "<SampleExponent>2<")
    assert decode(changed).sampling_frequency == 500.0


def test_sentinel_is_nan_in_its_lead_and_in_what_is_derived_from_it() -> None:
    counts = np.zeros(5000, dtype="<i2")
    counts[7] = -32768
    content = counts.tobytes()
    text = MADE.first.decode()
    start = text.index("<WaveformType>Rhythm")
    rhythm = re.sub(
        r"<LeadDataCRC32>0<(.*?)<WaveFormData>[^<]*<",
        f"<LeadDataCRC32>{zlib.crc32(content)}<\\g<1>"
        f"<WaveFormData>{base64.b64encode(content).decode()}<",
        text[start:],
        count=1,
        flags=re.DOTALL,
    )
    recording = decode(muse_bytes((text[:start] + rhythm).encode()))
    bad = np.isnan(recording.signal)
    assert bad.sum(axis=1).tolist() == [1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert bad[0, 7]


def test_lead_beyond_the_twelve_is_verified_then_left_out() -> None:
    recording = decode(_in_rhythm(REAL, "<LeadID>V2<", "<LeadID>V3R<"))
    assert "V2" not in recording.lead_names
    assert recording.signal.shape == (11, 5000)


@pytest.mark.parametrize(
    ("old", "new", "age"),
    [
        ("<PatientAge>45<", "<PatientAge>18<", 18.0),
        ("<AgeUnits>YEARS<", "<AgeUnits>MONTHS<", 45 / 12),
        ("<AgeUnits>YEARS<", "<AgeUnits>DAYS<", 45 / 365.2425),
        ("<AgeUnits>YEARS<", "<AgeUnits>FORTNIGHTS<", 45.6),
        ("<PatientAge>45<", "<PatientAge>0<", 45.6),
        ("<PatientAge>45</PatientAge>", "", 45.6),
        ("<PatientAge>45<", "<PatientAge>999<", 45.6),
    ],
)
def test_age_is_the_stated_one_else_follows_from_the_dates(old: str, new: str, age: float) -> None:
    assert decode(replaced(MADE, old, new)).identity.age_years == pytest.approx(age, abs=0.05)


def test_blanked_or_malformed_dates_are_none_and_never_fail() -> None:
    for day in ("01-01-1900", "1/1/1", "XX-XX-XXXX", "", "13-45-2020"):
        changed = replaced(MADE, "AcquisitionDate>08-17-2025<", f"AcquisitionDate>{day}<")
        assert decode(changed).identity.acquired_at is None
    changed = replaced(MADE, "<PatientAge>45</PatientAge>", "")
    changed = replaced(changed, ">01-01-1980<", ">01-01-1900<")
    assert decode(changed).identity.age_years is None


def test_vendor_ids_are_kept_as_strings() -> None:
    extra = (
        "<Order><RequisitionNumber>007</RequisitionNumber>"
        "<HISAccountNumber>A-1</HISAccountNumber></Order>"
        "<PharmaData><PharmaUniqueECGID>E-9</PharmaUniqueECGID></PharmaData><Diagnosis>"
    )
    identity = decode(replaced(MADE, "<Diagnosis>", extra)).identity
    assert (identity.order_number, identity.accession, identity.ecg_id) == ("007", "A-1", "E-9")


def test_export_in_a_namespace_is_read_by_local_names() -> None:
    text = MADE.first.decode().replace("<", "<g:").replace("<g:/", "</g:")
    text = text.replace("<g:?", "<?").replace("<g:!DOCTYPE RestingECG", "<!DOCTYPE g:RestingECG")
    text = text.replace("<g:RestingECG>", '<g:RestingECG xmlns:g="urn:x">')
    assert decode(muse_bytes(text.encode())).signal_digest == decode(MADE).signal_digest


def test_lead_that_the_cart_reports_as_off_keeps_its_samples_and_is_a_finding() -> None:
    content = GUANGXI.read_bytes()
    off = content.replace(b"<LeadOff>FALSE", b"<LeadOff>TRUE")
    whole, read = decode(muse_bytes(content)), decode(muse_bytes(off))
    assert np.array_equal(read.signal, whole.signal)
    stored = [lead for lead in read.lead_names if lead not in read.derived_leads]
    found = [one.lead for one in read.findings if one.reason is ReasonCode.LEAD_OFF]
    assert found == stored
    settings = load_settings(environment={})
    refused = refusal(check(read, settings.quality, settings.eligibility))
    assert refused is not None
    assert refused.reason is ReasonCode.LEAD_OFF
