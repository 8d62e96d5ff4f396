"""Philips exports: real ones against another decoder, and ones with known counts."""

import base64
import gzip
import random
from contextlib import suppress
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_cases import SAMPLES, muse_bytes

from ecgbatch.errors import EcgbatchError, Incomplete, InputFault, Refusal
from ecgbatch.readers.philips_xli import decompress, expand
from ecgbatch.readers.registry import decode
from ecgbatch.records import RecordingBytes
from ecgbatch.terms import LEADS, ReasonCode

R = ReasonCode
HALF_STEP = 0.0025
REFERENCES = {
    "129DYPRG": "129DYPRG",
    "repbeats_example": "129DYPRG",
    "ad4d3d80-d165_1-04_orig": "ad4d3d80-d165_1-04_orig",
    "tbj128_utf16be": "ad4d3d80-d165_1-04_orig",
}


def _sample(name: str) -> bytes:
    return gzip.decompress((SAMPLES / "philips" / f"{name}.xml.gz").read_bytes())


OLD = _sample("129DYPRG").decode()
NEW = _sample("ad4d3d80-d165_1-04_orig").decode("utf-16")


def _changed(text: str, old: str, new: str) -> RecordingBytes:
    assert old in text
    codec = "utf-16" if text is NEW else "utf-8"
    return muse_bytes(text.replace(old, new, 1).encode(codec))


def _reason(source: RecordingBytes) -> ReasonCode:
    with pytest.raises(InputFault) as caught:
        decode(source)
    return caught.value.reason


@pytest.mark.parametrize("name", REFERENCES)
def test_real_philips_export_equals_its_reference_without_the_calibration_pulse(name: str) -> None:
    recording = decode(muse_bytes(_sample(name)))
    reference = np.load(SAMPLES / "philips" / f"{REFERENCES[name]}.expected.npz")

    assert tuple(reference["leads"]) == recording.lead_names == LEADS
    assert recording.derived_leads == ()
    assert recording.sampling_frequency == float(reference["fs"]) == 500.0
    assert recording.signal.shape == (12, 5000)
    expected = reference["signal_mv"][:, :5000]
    np.testing.assert_allclose(recording.signal, expected, rtol=0, atol=HALF_STEP)
    assert [finding.reason for finding in recording.findings] == [R.CHECKSUM_ABSENT]


def test_one_recording_in_two_exports_is_one_signal() -> None:
    digests = {name: decode(muse_bytes(_sample(name))).signal_digest for name in REFERENCES}
    assert digests["129DYPRG"] == digests["repbeats_example"]
    assert digests["ad4d3d80-d165_1-04_orig"] == digests["tbj128_utf16be"]
    assert len(set(digests.values())) == 2


def test_identity_is_read_as_the_export_says() -> None:
    identity = decode(muse_bytes(NEW.encode("utf-16"))).identity
    assert identity.patient_identifier == "9999"
    assert str(identity.acquired_at) == "2008-12-23 19:44:46"
    assert str(identity.edit_at) == "2008-12-24 07:15:13"
    assert identity.age_years == pytest.approx(32.98, abs=0.01)
    assert (identity.sex, identity.edit_status) == ("female", "confirmed")
    assert identity.device == "PageWriter Touch EKG16296"
    assert identity.ecg_id == "ad4d3d80-d165-11dd-4823-0161c6aa0029"
    assert (identity.order_number, identity.accession) == (None, None)

    identity = decode(muse_bytes(OLD.encode())).identity
    assert (identity.age_years, identity.sex, identity.site) == (50.0, "male", "GE EMS")
    assert (identity.edit_at, identity.edit_status) == (None, None)


def test_blanks_and_a_name_given_by_hand_identify_nobody() -> None:
    one = NEW.replace("<patientid>9999", "<patientid>---")
    assert decode(muse_bytes(one.encode("utf-16"))).identity.patient_identifier == "9999"
    none = one.replace("<MRN>9999", "<MRN>xxxxxx")
    assert decode(muse_bytes(none.encode("utf-16"))).identity.patient_identifier is None
    name = "ad4d3d80-d165-11dd-4823-0161c6aa0029.xml</documentname>"
    assert decode(_changed(NEW, name, "ecg.xml</documentname>")).identity.ecg_id is None
    ordered = _changed(NEW, "<ordernumber>---", "<ordernumber>A-17")
    assert decode(ordered).identity.order_number == "A-17"


def test_statements_are_those_of_the_newest_interpretation() -> None:
    recording = decode(muse_bytes(OLD.encode()))
    assert recording.statements[:2] == ("ABNORMAL ECG", "Sinus bradycardia; rate< 50")
    assert recording.statement_normal is False

    start, end = OLD.index("<interpretation "), OLD.index("</interpretations>")
    original = OLD[start:end]
    later = original.replace('date="2011-12-01"', 'date="2011-12-02"', 1)
    later = later.replace("- ABNORMAL ECG -", "- NORMAL ECG -")
    assert later.count("2011-12-02") == 1
    for both in (original + later, later + original):
        recording = decode(muse_bytes((OLD[:start] + both + OLD[end:]).encode()))
        assert recording.statements[0] == "NORMAL ECG"
        assert recording.statement_normal is True


CASES: list[tuple[str, str, str, ReasonCode]] = [
    (OLD, ">SierraECG<", ">MortaraECG<", R.XML_VARIANT_UNSUPPORTED),
    (OLD, ">1.03<", ">1.05<", R.XML_VARIANT_UNSUPPORTED),
    (OLD, ">1.03<", ">1.04<", R.GAIN_INVALID),
    (OLD, "acquisitiontype>STD-12", "acquisitiontype>STD-15", R.XML_VARIANT_UNSUPPORTED),
    (OLD, "allocated>12", "allocated>15", R.XML_VARIANT_UNSUPPORTED),
    (OLD, "<signalresolution>5", "<signalresolution>", R.GAIN_INVALID),
    (OLD, "<signalresolution>5", "<signalresolution>0", R.GAIN_INVALID),
    (OLD, "<samplingrate>500", "<samplingrate>", R.SAMPLING_FREQUENCY_INVALID),
    (OLD, "<samplingrate>500", "<samplingrate>nan", R.SAMPLING_FREQUENCY_INVALID),
    (OLD, "<samplingrate>500", "<samplingrate>250", R.SIZE_MISMATCH),
    (OLD, 'perchannel="11000"', 'perchannel="10000"', R.SIZE_MISMATCH),
    (OLD, 'perchannel="11000"', 'perchannel="11002"', R.SIZE_MISMATCH),
    (OLD, 'perchannel="11000"', 'perchannel=""', R.HEADER_INVALID),
    (OLD, 'perchannel="11000"', 'perchannel="11001.5"', R.HEADER_INVALID),
    (OLD, 'perchannel="11000"', 'perchannel="-11000"', R.HEADER_INVALID),
    (OLD, 'perchannel="11000"', 'perchannel="99999999998"', R.XML_LIMIT),
    (OLD, 'compressflag="True"', 'compressflag="False"', R.SIZE_MISMATCH),
    (OLD, 'compressmethod="XLI"', 'compressmethod="ZIP"', R.XML_VARIANT_UNSUPPORTED),
    (OLD, 'compressmethod="XLI"', "", R.XML_VARIANT_UNSUPPORTED),
    (OLD, 'nbitspersample="16"', 'nbitspersample="24"', R.XML_VARIANT_UNSUPPORTED),
    (OLD, "signalsigned>True", "signalsigned>False", R.XML_VARIANT_UNSUPPORTED),
    (OLD, "<signaloffset>0", "<signaloffset>7", R.XML_VARIANT_UNSUPPORTED),
    (OLD, 'dataencoding="Base64"', 'dataencoding="Hex"', R.XML_VARIANT_UNSUPPORTED),
    (OLD, "7gUAAAEA", "*gUAAAEA", R.SAMPLE_DATA_DAMAGED),
    (OLD, "7gUAAAEA", "7QUAAAEA", R.SAMPLE_DATA_DAMAGED),
    (OLD, "7gUAAAEA", "////fwEA", R.SAMPLE_DATA_DAMAGED),
    (NEW, 'labels="I II III aVR', 'labels="I II III', R.HEADER_INVALID),
    (NEW, 'numberofleads="12"', 'numberofleads="11"', R.HEADER_INVALID),
    (NEW, 'labels="I II III', 'labels="I I III', R.LEAD_DUPLICATED),
    (NEW, 'labels="I II III', 'labels="X II III', R.XML_VARIANT_UNSUPPORTED),
    (NEW, 'samplespersecond="500"', 'samplespersecond="1000"', R.SIZE_MISMATCH),
    (NEW, 'compression="XLI"', 'compression="LZ"', R.XML_VARIANT_UNSUPPORTED),
    (NEW, 'compression="XLI"', "", R.SIZE_MISMATCH),
]


@pytest.mark.parametrize(("text", "old", "new", "reason"), CASES)
def test_changed_export_is_refused_with_its_reason(
    text: str, old: str, new: str, reason: ReasonCode
) -> None:
    assert _reason(_changed(text, old, new)) is reason


def test_representative_beats_are_no_substitute_for_the_waveforms() -> None:
    changed = NEW.replace("<parsedwaveforms", "<otherwaveforms")
    changed = changed.replace("</parsedwaveforms", "</otherwaveforms")
    with pytest.raises(Refusal) as caught:
        decode(muse_bytes(changed.encode("utf-16")))
    assert caught.value.reason is R.NO_RHYTHM_WAVEFORM


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_export_cut_off_is_incomplete(share: float) -> None:
    for content in (OLD.encode(), NEW.encode("utf-16")):
        with pytest.raises(Incomplete):
            decode(muse_bytes(content[: int(len(content) * share)]))


def _lzw(content: bytes) -> bytes:
    """The way there, written from the description: 10-bit codes, the last one ends the data."""
    table = {bytes([value]): value for value in range(256)}
    codes, run = [], b""
    for value in content:
        longer = run + bytes([value])
        if longer in table:
            run = longer
            continue
        codes.append(table[run])
        if len(table) < 1023:
            table[longer] = len(table)
        run = bytes([value])
    bits = "".join(f"{code:010b}" for code in (*codes, table[run], 1023))
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _xli(counts: list[int]) -> bytes:
    bends = [2 * b - a - c for a, b, c in zip(counts, counts[1:], counts[2:], strict=False)]
    words = counts[:2] + [bend + 64 for bend in bends[1:]] + [0]
    high = bytes((word >> 8) & 255 for word in words)
    payload = _lzw(high + bytes(word & 255 for word in words))
    head = len(payload).to_bytes(4, "little") + b"\1\0"
    return head + bends[0].to_bytes(2, "little", signed=True) + payload


WAVES = st.lists(st.integers(-3000, 3000), min_size=3, max_size=300)


@given(leads=st.lists(WAVES, min_size=1, max_size=3), spare=st.integers(0, 2))
@settings(max_examples=80, deadline=None)
def test_what_was_compressed_comes_back(leads: list[list[int]], spare: int) -> None:
    n_samples = min(map(len, leads))
    counts = [lead[:n_samples] for lead in leads]
    content = b"".join(map(_xli, (*counts, *([[0] * n_samples] * spare))))
    back = decompress(content, len(leads), n_samples)
    assert [lead.tolist() for lead in back] == counts


def test_low_byte_of_the_last_word_may_be_missing() -> None:
    words = [7, 9, 64, 65, 60, 64]
    content = bytes(word >> 8 for word in words) + bytes(word & 255 for word in words)
    leads = []
    for kept in (content, content[:-1]):
        payload = _lzw(kept)
        leads.append(decompress(len(payload).to_bytes(4, "little") + bytes(4) + payload, 1, 6))
    assert leads[0][0].tolist() == leads[1][0].tolist()
    with pytest.raises(InputFault):
        expand(_lzw(content[:-2]), len(content))


FIFTEEN = (*LEADS, "V3R", "V4R", "V7")


def _residuals(leads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    one, two, three = leads["I"], leads["II"], leads["III"]
    exact = {
        "III": two - one,
        "aVR": -np.floor((one + two) / 2),
        "aVL": np.floor((one - three) / 2),
        "aVF": np.floor((two + three) / 2),
    }
    return leads | {name: (exact[name] - leads[name]).astype(np.int64) for name in exact}


def _export(leads: dict[str, np.ndarray], is_compressed: bool) -> RecordingBytes:
    stored = _residuals(leads)
    n_samples = stored["I"].size
    if is_compressed:
        content = b"".join(_xli(lead.tolist()) for lead in stored.values())
        coding = 'compression="XLI"'
    else:
        content = b"".join(lead.astype("<i2").tobytes() for lead in stored.values())
        coding = ""
    return muse_bytes(
        f"""<restingecgdata><documentinfo><documenttype>PhilipsECG</documenttype>
        <documentversion>1.04.02</documentversion></documentinfo><waveforms>
        <parsedwaveforms dataencoding="Base64" {coding} numberofleads="{len(leads)}"
        leadlabels="{" ".join(leads)}" durationperchannel="{n_samples * 4}"
        samplespersecond="250" resolution="2.5">{base64.encodebytes(content).decode()}
        </parsedwaveforms></waveforms></restingecgdata>""".encode()
    )


@pytest.mark.parametrize("is_compressed", [True, False])
@pytest.mark.parametrize("seconds", [4, 10, 11])
def test_fifteen_leads_with_known_counts_come_back_within_the_first_ten_seconds(
    is_compressed: bool, seconds: int
) -> None:
    dice = np.random.default_rng(seconds)
    leads = {
        name: np.cumsum(dice.integers(-20, 21, 250 * seconds)).astype(np.int64) for name in FIFTEEN
    }
    recording = decode(_export(leads, is_compressed))

    expected = np.stack([leads[name][:2500] for name in LEADS]) * 0.0025
    assert recording.lead_names == LEADS
    assert recording.sampling_frequency == 250.0
    np.testing.assert_allclose(recording.signal, expected, rtol=0, atol=1e-9)


def test_export_without_the_limb_leads_that_follow_derives_them() -> None:
    dice = np.random.default_rng(1)
    leads = {name: dice.integers(-90, 90, 2500) for name in LEADS}
    eight = {name: leads[name] for name in ("I", "II", *LEADS[6:])}
    stored = _export(leads, is_compressed=False)
    assert decode(stored).derived_leads == ()
    text = stored.first.decode()
    content = b"".join(lead.astype("<i2").tobytes() for lead in eight.values())
    start, end = text.index('resolution="2.5">') + 17, text.index("</parsedwaveforms>")
    text = text[:start] + base64.b64encode(content).decode() + text[end:]
    text = text.replace('numberofleads="12"', 'numberofleads="8"')
    text = text.replace(" ".join(LEADS), " ".join(eight))
    recording = decode(muse_bytes(text.encode()))
    assert recording.derived_leads == ("III", "aVR", "aVL", "aVF")
    np.testing.assert_allclose(recording.signal[2], (eight["II"] - eight["I"]) * 0.0025, atol=1e-9)


def _bomb(n_bytes: int) -> bytes:
    """The longest entries that the dictionary can hold, over and over."""
    codes = [0, *range(256, 1023)]
    codes += [1022] * (n_bytes * 8 // 10 - len(codes))
    bits = "".join(f"{code:010b}" for code in codes)
    return int(bits, 2).to_bytes((len(bits) + 7) // 8, "big")


def test_compressed_bomb_is_stopped_at_the_declared_size() -> None:
    payload = _bomb(64_000)
    started = perf_counter()
    with pytest.raises(InputFault) as caught:
        expand(payload, 11_000)
    assert caught.value.reason is R.SIZE_MISMATCH
    assert perf_counter() - started < 1.0

    bomb = len(payload).to_bytes(4, "little") + b"\1\0\0\0" + payload
    start, end = OLD.index(">7gUAAAEA") + 1, OLD.index("</parsedwaveforms>")
    whole = OLD[:start] + base64.b64encode(bomb * 12).decode() + OLD[end:]
    assert _reason(muse_bytes(whole.encode())) is R.SIZE_MISMATCH


@given(content=st.binary(max_size=400), n_leads=st.integers(1, 3), n_samples=st.integers(1, 200))
@settings(max_examples=150, deadline=None)
def test_any_bytes_end_in_the_declared_samples_or_a_named_fault(
    content: bytes, n_leads: int, n_samples: int
) -> None:
    framed = len(content).to_bytes(4, "little") + b"\1\0\0\0" + content
    for data in (content, framed * n_leads):
        with suppress(InputFault):
            leads = decompress(data, n_leads, n_samples)
            assert [lead.size for lead in leads] == [n_samples] * n_leads


def test_damaged_export_never_changes_its_number_of_samples_unseen() -> None:
    dice = random.Random(7)  # noqa: S311 - chosen for being repeatable
    content = OLD.encode()
    start, end = content.index(b">7gUAAAEA") + 1, content.index(b"</parsedwaveforms>")
    refused = 0
    for turn in range(200):
        low, high = (start, end) if turn % 2 else (0, len(content))
        at, size = dice.randrange(low, high), dice.randrange(0, 9)
        damaged = content[:at] + dice.randbytes(dice.randrange(4)) + content[at + size :]
        try:
            recording = decode(muse_bytes(damaged))
        except EcgbatchError:
            refused += 1
            continue
        assert recording.signal.shape[1] == 5000 or b'"11000"' not in damaged
    assert refused > 80
