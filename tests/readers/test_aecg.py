"""HL7 aECG documents: real ones against another decoder, and ones with known counts."""

import gzip
import random
import re
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_cases import SAMPLES, muse_bytes

from ecgbatch.errors import EcgbatchError, Incomplete, InputFault, Refusal
from ecgbatch.readers.leads import standard_name
from ecgbatch.readers.registry import decode
from ecgbatch.records import Recording, RecordingBytes
from ecgbatch.terms import LEADS, ReasonCode

R = ReasonCode
HALF_STEPS = {
    "ad4d3d80-d165_1-04_converted": 0.0025,
    "ecgtoolkit_Example": 0.00125,
    "fda_minimum_aecg": 0.00125,
    "wyf_1": 0.00244,
    "wyf_2": 0.00244,
    "wyf_22": 0.00244,
}


def _sample(name: str) -> bytes:
    return gzip.decompress((SAMPLES / "aecg" / f"{name}.xml.gz").read_bytes())


FDA = _sample("fda_subject1_0").decode()
HOSPITAL = _sample("wyf_1").decode()


def _changed(text: str, old: str, new: str, count: int = 1) -> RecordingBytes:
    assert old in text
    return muse_bytes(text.replace(old, new, count).encode())


def _reason(source: RecordingBytes) -> ReasonCode:
    with pytest.raises(InputFault) as caught:
        decode(source)
    return caught.value.reason


def _refusal(content: bytes) -> ReasonCode:
    with pytest.raises(Refusal) as caught:
        decode(muse_bytes(content))
    return caught.value.reason


def _reasons(recording: Recording) -> list[ReasonCode]:
    return [finding.reason for finding in recording.findings]


@pytest.mark.parametrize("name", HALF_STEPS)
def test_real_aecg_equals_its_reference(name: str) -> None:
    recording = decode(muse_bytes(_sample(name)))
    reference = np.load(SAMPLES / "aecg" / f"{name}.expected.npz")
    rows = {standard_name(str(lead)): row for row, lead in enumerate(reference["leads"])}

    assert set(recording.lead_names) == rows.keys()
    assert recording.derived_leads == ()
    assert recording.sampling_frequency == float(reference["fs"]) == 500.0
    expected = np.stack([reference["signal_mv"][rows[lead]] for lead in recording.lead_names])
    np.testing.assert_allclose(recording.signal, expected, rtol=0, atol=HALF_STEPS[name])
    assert (R.AECG_INCREMENT_REPAIRED in _reasons(recording)) == name.startswith("wyf")


def test_one_waveform_in_two_documents_is_one_signal() -> None:
    one, two = (decode(muse_bytes(_sample(n))) for n in ("ecgtoolkit_Example", "fda_subject1_0"))
    assert one.lead_names == LEADS
    assert one.signal_digest == two.signal_digest
    assert np.array_equal(one.signal, two.signal)


def test_leads_that_were_not_connected_are_not_numbers() -> None:
    recording = decode(muse_bytes(_sample("wyf_22")))
    assert np.isnan(recording.signal[6:]).all()
    assert not np.isnan(recording.signal[:6]).any()


def test_document_without_a_rhythm_series_is_refused() -> None:
    assert _refusal(_sample("fda_empty")) is R.NO_RHYTHM_WAVEFORM
    rhythm = '<code code="RHYTHM"'
    for other in ('<code code="REPRESENTATIVE_BEAT"', '<code code=""', "<code "):
        assert _refusal(FDA.replace(rhythm, other, 1).encode()) is R.NO_RHYTHM_WAVEFORM
    other = FDA.replace("<sequenceSet", "<other").replace("</sequenceSet", "</other")
    assert _refusal(other.encode()) is R.NO_RHYTHM_WAVEFORM


def test_derived_beat_with_the_same_lead_names_changes_nothing() -> None:
    start, end = FDA.index("<derivation"), FDA.index("</derivation>") + len("</derivation>")
    assert FDA[start:end].count("MDC_ECG_LEAD_V3") > 0
    without = decode(muse_bytes((FDA[:start] + FDA[end:]).encode()))
    assert without.signal_digest == decode(muse_bytes(FDA.encode())).signal_digest


def test_identity_is_read_as_the_document_says() -> None:
    identity = decode(muse_bytes(FDA.encode())).identity
    assert identity.patient_identifier == "subject1"
    assert str(identity.acquired_at) == "2002-11-22 09:10:00"
    assert (identity.acquired_zone, identity.age_years, identity.sex) == (None, 46.0, "male")
    assert (identity.device, identity.site) == ("ELI250 0", "River City ECG Collection Service")
    assert identity.ecg_id == "61d1a24f-b47e-41aa-ae95-f8ac302f4eeb^subject1_0"

    identity = decode(muse_bytes(_sample("ad4d3d80-d165_1-04_converted"))).identity
    assert identity.ecg_id == "ad4d3d80-d165-11dd-4823-0161c6aa0029"
    assert identity.age_years == pytest.approx(32.98, abs=0.01)
    assert (identity.device, identity.sex) == ("PageWriter Touch EKG16296", "female")


def test_identifier_that_an_exporter_repeats_in_every_document_is_none() -> None:
    texts = [_sample(name).decode() for name in ("wyf_1", "wyf_2", "wyf_22")]
    assert len({re.findall(r'<id root="([^"]+)"', text)[0] for text in texts}) == 1
    identities = [decode(muse_bytes(text.encode())).identity for text in texts]
    assert [identity.ecg_id for identity in identities] == [None] * 3
    assert len({identity.acquired_at for identity in identities}) == 3
    assert [identity.age_years for identity in identities] == [None] * 3


@pytest.mark.parametrize(
    ("text", "acquired_at", "zone"),
    [
        ("20021122091000", "2002-11-22T09:10:00", None),
        ("20021122091000.250", "2002-11-22T09:10:00.250000", None),
        ("20021122091000-0500", "2002-11-22T09:10:00", "-05:00"),
        ("20021122091000.5+0130", "2002-11-22T09:10:00.500000", "+01:30"),
        ("2002-11-22T09:10:00", "2002-11-22T09:10:00", None),
        ("2002-11-22T09:10:00+08:00", "2002-11-22T09:10:00", "+08:00"),
        ("2002-11-22T09:10:00Z", "2002-11-22T09:10:00", "+00:00"),
        # Not to the second: the series says it.
        ("200211220910", "2002-11-22T09:10:00", None),
        ("20029922091000+0100", "2002-11-22T09:10:00", None),
        ("---", "2002-11-22T09:10:00", None),
    ],
)
def test_time_keeps_its_wall_clock_and_its_offset(
    text: str, acquired_at: str, zone: str | None
) -> None:
    changed = _changed(FDA, '<center value="20021122091000"', f'<center value="{text}"')
    identity = decode(changed).identity
    assert identity.acquired_at is not None
    assert (identity.acquired_at.isoformat(), identity.acquired_zone) == (acquired_at, zone)


def test_absolute_time_axis_says_when_if_nothing_else_does() -> None:
    text = re.sub(r"<effectiveTime>.*?</effectiveTime>", "", FDA, flags=re.DOTALL)
    identity = decode(muse_bytes(text.encode())).identity
    assert str(identity.acquired_at) == "2002-11-22 09:10:00"


def test_statements_are_the_interpretation_and_nothing_else() -> None:
    recording = decode(muse_bytes(_sample("ad4d3d80-d165_1-04_converted")))
    assert [text.split(",")[0] for text in recording.statements] == [
        "(SB) SINUS BRADYCARDIA",
        "(NPTA) NO PREVIOUS TRACING AVAILABLE FOR COMPARISON",
    ]
    recording = decode(muse_bytes(_sample("wyf_2")))
    assert recording.statements == ("1.窦性心律\n2.正常心电图",)
    assert recording.statement_normal is True
    assert decode(muse_bytes(FDA.encode())).statements == ()


INCREMENT = '<increment value="0.002" unit="s"'
ORIGIN, SCALE = '<origin value="0" unit="uV"', '<scale value="2.5" unit="uV"'
CASES: list[tuple[str, str, ReasonCode]] = [
    *(
        (INCREMENT, f'<increment value="{value}" unit="{unit}"', R.SAMPLING_FREQUENCY_INVALID)
        for value, unit in [
            ("0.002", ""),
            ("0.002", "h"),
            ("", "s"),
            ("0", "s"),
            ("-0.002", "s"),
            ("nan", "s"),
            ("2E-3", "s"),
            ("0,002", "s"),
            ("0.002", "us"),
            ("0.002", "ms"),
            ("1", "s"),
            ("4", "s"),
            ("2.05", "s"),
            ("2000", "ms"),
        ]
    ),
    ("<increment ", "<step ", R.SAMPLING_FREQUENCY_INVALID),
    ('code="TIME_ABSOLUTE"', 'code="TIME"', R.SAMPLING_FREQUENCY_INVALID),
    *(
        (SCALE, f'<scale value="{value}" unit="uV"', R.GAIN_INVALID)
        for value in ("", "0", "-2.5", "2,5", "nan", "inf", "1E3")
    ),
    ("<scale ", "<gain ", R.GAIN_INVALID),
    (SCALE, '<scale value="2.5" unit=""', R.UNIT_UNKNOWN),
    (SCALE, '<scale value="2.5" unit="mm"', R.UNIT_UNKNOWN),
    (SCALE, '<scale value="2.5"', R.UNIT_UNKNOWN),
    ("<origin ", "<start ", R.HEADER_INVALID),
    (ORIGIN, '<origin value="" unit="uV"', R.HEADER_INVALID),
    (ORIGIN, '<origin value="1" unit="?"', R.UNIT_UNKNOWN),
    (ORIGIN, '<origin value="99999999999999" unit="V"', R.HEADER_INVALID),
    ('"SLIST_PQ"', '"SLIST_INT"', R.XML_VARIANT_UNSUPPORTED),
    ('"SLIST_PQ"', '""', R.XML_VARIANT_UNSUPPORTED),
    ('"MDC_ECG_LEAD_II"', '"MDC_ECG_LEAD_I"', R.LEAD_DUPLICATED),
    ("<digits>", "<digits>1 ", R.LEAD_LENGTHS_DIFFER),
    ("<digits>", "<digits>x ", R.SAMPLE_DATA_DAMAGED),
    ("<digits>", "<digits>1e3 ", R.SAMPLE_DATA_DAMAGED),
    ("<digits>", "<digits>1.2.3 ", R.SAMPLE_DATA_DAMAGED),
    ("<digits>", "<digits>9999999999 ", R.SAMPLE_DATA_DAMAGED),
    ("<digits>", "<digits>１ ", R.SAMPLE_DATA_DAMAGED),
    ("<digits>", "<digits/><digits>", R.SIZE_MISMATCH),
]


@pytest.mark.parametrize(("old", "new", "reason"), CASES)
def test_changed_document_is_refused_with_its_reason(
    old: str, new: str, reason: ReasonCode
) -> None:
    assert _reason(_changed(FDA, old, new)) is reason


def test_milliseconds_called_seconds_are_read_only_where_ten_seconds_follow() -> None:
    repaired = decode(_changed(FDA, INCREMENT, '<increment value="2" unit="s"'))
    assert repaired.sampling_frequency == 500.0
    finding = repaired.findings[-1]
    assert (finding.reason, finding.value, finding.limit) == (R.AECG_INCREMENT_REPAIRED, 0.5, 50.0)
    right = decode(_changed(FDA, INCREMENT, '<increment value="2" unit="ms"'))
    assert _reasons(right) == [R.CHECKSUM_ABSENT]
    assert right.signal_digest == repaired.signal_digest
    plain = decode(muse_bytes(FDA.encode()))
    assert plain.signal_digest == right.signal_digest


@pytest.mark.parametrize(
    ("value", "unit"),
    [("2500", "nV"), ("0.0025", "mV"), ("0.0000025", "V"), ("2.5", "µV"), ("2.5", "μV")],
)
def test_scale_in_any_unit_is_the_same_signal(value: str, unit: str) -> None:
    changed = decode(_changed(FDA, SCALE, f'<scale value="{value}" unit="{unit}"', -1))
    plain = decode(muse_bytes(FDA.encode()))
    assert changed.signal_digest == plain.signal_digest
    np.testing.assert_allclose(changed.signal, plain.signal, rtol=1e-12)


def test_namespace_prefix_and_encoding_change_nothing() -> None:
    plain = decode(muse_bytes(FDA.encode()))
    prefixed = re.sub(r"<(/?)(\w)", r"<\1hl7:\2", FDA).replace("xmlns=", "xmlns:hl7=", 1)
    bare = FDA.replace('xmlns="urn:hl7-org:v3"', "", 1)
    assert len({prefixed, bare, FDA}) == 3
    for content in (prefixed.encode(), bare.encode(), FDA.encode("utf-16")):
        assert decode(muse_bytes(content)).signal_digest == plain.signal_digest


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_document_cut_off_is_incomplete(share: float) -> None:
    for content in (FDA.encode(), HOSPITAL.encode()):
        with pytest.raises(Incomplete):
            decode(muse_bytes(content[: int(len(content) * share)]))


def _lead(name: str, digits: str, origin: str, scale: str) -> str:
    return (
        f'<component><sequence><code code="MDC_ECG_LEAD_{name}"/><value type="SLIST_PQ">'
        f'<origin value="{origin}" unit="uV"/><scale value="{scale}" unit="uV"/>'
        f"<digits>{digits}</digits></value></sequence></component>"
    )


def _set(leads: dict[str, str], origin: str = "0", scale: str = "5") -> str:
    time = '<value type="GLIST_PQ"><head value="0"/><increment value="4" unit="ms"/></value>'
    sequences = "".join(_lead(name, digits, origin, scale) for name, digits in leads.items())
    return (
        '<component><sequenceSet><component><sequence><code code="TIME_RELATIVE"/>'
        f"{time}</sequence></component>{sequences}</sequenceSet></component>"
    )


def _document(*sets: str) -> RecordingBytes:
    series = f'<series><code code="RHYTHM"/>{"".join(sets)}</series>'
    text = f"<AnnotatedECG><component>{series}</component></AnnotatedECG>"
    return muse_bytes(text.encode())


@given(
    digits=st.lists(st.integers(-30000, 30000), min_size=1, max_size=50),
    origin=st.integers(-500, 500),
    scale=st.sampled_from(["1", "2.5", "4.88", "5.00", "0.125"]),
    blank=st.sampled_from([" ", "\n", "\t ", "\r\n   "]),
)
@settings(max_examples=80, deadline=None)
def test_millivolts_are_origin_plus_digits_times_scale(
    digits: list[int], origin: int, scale: str, blank: str
) -> None:
    text = blank.join(map(str, digits))
    recording = decode(_document(_set({"II": text}, str(origin), scale)))
    expected = [(origin + digit * float(scale)) / 1000 for digit in digits]
    assert recording.sampling_frequency == 250.0
    np.testing.assert_allclose(recording.signal, [expected], rtol=1e-9, atol=1e-9)


def test_digits_written_with_decimals_are_the_same_counts() -> None:
    whole = decode(_document(_set({"I": "1 -2 3", "II": "4 5 -32768"})))
    written = decode(_document(_set({"I": "1.0 -2.00 +3.", "II": "4.0 5 -32768.0"})))
    assert written.signal_digest == whole.signal_digest
    assert np.isnan(written.signal[1]).tolist() == [False, False, True]
    halves = decode(_document(_set({"I": "1.5 -2 3", "II": "4 5 6"})))
    np.testing.assert_allclose(halves.signal[0], [0.0075, -0.01, 0.015])
    assert halves.signal_digest != whole.signal_digest


def test_origin_is_part_of_the_signal_digest() -> None:
    leads = {"I": "1 2 3", "II": "4 5 6"}
    digests = {
        decode(_document(_set(leads, origin))).signal_digest for origin in ("0", "5", "5.5", "5.05")
    }
    assert len(digests) == 4
    shifted = {"I": "2 3 4", "II": "5 6 7"}
    moved = decode(_document(_set(leads, "5"))).signal_digest
    assert moved == decode(_document(_set(shifted))).signal_digest


def test_set_with_the_most_usable_leads_is_read_wherever_it_stands() -> None:
    one = _set({"I": "1 2 3 4 5 6 7 8 9"})
    two = _set({"I": "1 2", "II": "3 4", "VX": "5 6"})
    for sets in ((one, two), (two, one)):
        recording = decode(_document(*sets))
        assert recording.signal.shape == (6, 2)
        assert recording.derived_leads == ("III", "aVR", "aVL", "aVF")
    assert _refusal(_document(_set({"VX": "1 2"})).first) is R.LEAD_MISSING
    assert _refusal(_document(_set({})).first) is R.NO_RHYTHM_WAVEFORM


def test_lists_beyond_any_ecg_are_refused() -> None:
    lead = "1 " * 700_000
    leads = {"I": lead, "II": lead, "V1": lead}
    assert _reason(_document(_set(leads))) is R.XML_LIMIT


def test_damaged_document_ends_in_a_recording_or_a_named_fault() -> None:
    dice = random.Random(11)  # noqa: S311 - chosen for being repeatable
    content = HOSPITAL.encode()
    n_leads = 0
    for _ in range(120):
        at, size = dice.randrange(len(content)), dice.randrange(0, 9)
        damaged = content[:at] + dice.randbytes(dice.randrange(4)) + content[at + size :]
        with suppress(EcgbatchError):
            n_leads += len(decode(muse_bytes(damaged)).lead_names)
    assert n_leads < 120 * 12
