"""DICOM waveforms: samples against pydicom's own scaling, and the same files changed."""

import random
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from struct import pack

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite

from ecgbatch.errors import EcgbatchError, Incomplete, InputFault
from ecgbatch.readers.registry import decode
from ecgbatch.reasons import REASONS
from ecgbatch.records import Member, Recording, RecordingBytes
from ecgbatch.resources import demonstration
from ecgbatch.terms import LEADS, ReasonClass, ReasonCode

SAMPLES = Path(__file__).parents[1] / "data" / "samples" / "dicom"
NAMES = (
    "ecgtoolkit_Example",
    "guangxi_teaching_sinus_rhythm",
    "pydicom_waveform_ecg",
    "synthetic_muse",
)
R = ReasonCode
Change = Callable[[Dataset], object]


def _content(name: str) -> bytes:
    return (SAMPLES / f"{name}.dcm").read_bytes()


REAL = _content("pydicom_waveform_ecg")
GUANGXI = _content("guangxi_teaching_sinus_rhythm")


def _decode(content: bytes) -> Recording:
    return decode(RecordingBytes((Member("x", content),)))


def _reason(content: bytes) -> ReasonCode:
    with pytest.raises(EcgbatchError) as caught:
        _decode(content)
    return caught.value.reason


def _changed(change: Change, content: bytes = GUANGXI) -> bytes:
    dataset = dcmread(BytesIO(content))
    change(dataset)
    file = BytesIO()
    dataset.save_as(file)
    return file.getvalue()


def _group(dataset: Dataset, number: int = 0) -> Dataset:
    return dataset.WaveformSequence[number]


def _in_group(**values: object) -> Change:
    def change(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(_group(dataset), keyword, value)

    return change


def _in_channels(row: int | None = None, **values: object) -> Change:
    """Set values in one channel or in all; None removes the attribute."""

    def change(dataset: Dataset) -> None:
        channels = list(_group(dataset).ChannelDefinitionSequence)
        for channel in channels if row is None else [channels[row]]:
            for keyword, value in values.items():
                if value is None:
                    delattr(channel, keyword)
                else:
                    setattr(channel, keyword, value)

    return change


def _counts(dataset: Dataset) -> np.ndarray:
    group = _group(dataset)
    shape = (group.NumberOfWaveformSamples, group.NumberOfWaveformChannels)
    return np.frombuffer(group.WaveformData, dtype="<i2").reshape(shape).copy()


@pytest.mark.parametrize("name", NAMES)
def test_sample_equals_its_reference(name: str) -> None:
    recording = _decode(_content(name))
    reference = np.load(SAMPLES / f"{name}.expected.npz")
    assert tuple(str(lead) for lead in reference["leads"]) == LEADS == recording.lead_names
    assert recording.sampling_frequency == float(reference["fs"])
    assert recording.derived_leads == ()
    assert recording.format == recording.reader == "dicom"
    np.testing.assert_allclose(recording.signal, reference["signal_mv"], rtol=0, atol=1e-6)
    assert np.abs(reference["signal_mv"]).max() > 0.5


@pytest.mark.parametrize("name", ["guangxi_teaching_sinus_rhythm", "synthetic_muse"])
def test_twin_as_muse_export_has_the_same_signal(name: str) -> None:
    muse = demonstration("samples") / "muse" / f"{name}.xml"
    other, mine = _decode(muse.read_bytes()), _decode(_content(name))
    # The converter derived four limb leads in whole counts.
    stored = [row for row, lead in enumerate(LEADS) if lead not in other.derived_leads]
    np.testing.assert_allclose(mine.signal[stored], other.signal[stored], rtol=0, atol=1e-12)
    np.testing.assert_allclose(mine.signal, other.signal, rtol=0, atol=0.00488)


def test_identity_is_read() -> None:
    recording = _decode(REAL)
    identity = recording.identity
    assert identity.acquired_at is not None
    assert identity.acquired_at.isoformat() == "2013-01-25T10:59:19"
    assert (identity.age_years, identity.sex, identity.device) == (42.0, "female", "el250")
    assert identity.ecg_id == "1.3.6.1.4.1.20029.40.20130125105919.5407.1.1"
    assert recording.statements == ("RITMO SINUSALE", "ECG NORMALE")
    assert identity.accession not in {None, ""}
    assert str(identity.patient_identifier) not in repr(recording)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"AcquisitionDateTime": "20240229123456.789+0530"},
            ("2024-02-29T12:34:56.789000", "+05:30"),
        ),
        ({"AcquisitionDateTime": "202402291234"}, ("2024-02-29T12:34:00", None)),
        ({"AcquisitionDateTime": "20240229"}, ("2024-01-01T00:00:00", None)),
        ({"AcquisitionDateTime": "x", "ContentTime": "01:02:03"}, ("2024-01-01T01:02:03", None)),
        ({"AcquisitionDateTime": "19000101000000"}, (None, None)),
        ({"TimezoneOffsetFromUTC": "-0330"}, ("2024-01-01T00:00:00", "-03:30")),
    ],
)
def test_time_is_the_wall_clock_as_it_stands(
    values: dict[str, str], expected: tuple[str | None, str | None]
) -> None:
    content = GUANGXI
    with pytest.MonkeyPatch.context() as patch:
        from pydicom import config  # noqa: PLC0415 - values that the writer would refuse

        patch.setattr(config.settings, "_writing_validation_mode", config.IGNORE)
        patch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
        content = _changed(lambda dataset: [setattr(dataset, *pair) for pair in values.items()])
    identity = _decode(content).identity
    at = identity.acquired_at.isoformat() if identity.acquired_at else None
    assert (at, identity.acquired_zone) == expected


@pytest.mark.parametrize(
    ("age", "years"), [("045Y", 45.0), ("006M", 0.5), ("000Y", None), ("", None), ("ABCD", None)]
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_age_is_stated_or_none(age: str, years: float | None) -> None:
    assert _decode(GUANGXI.replace(b"011Y", age.encode().ljust(4))).identity.age_years == years


def test_derived_group_is_never_a_substitute_for_the_rhythm_strip() -> None:
    assert _reason(_changed(_in_group(WaveformOriginality="DERIVED"))) is R.NO_RHYTHM_WAVEFORM
    assert _reason(_changed(_in_group(MultiplexGroupLabel="Median"))) is R.NO_RHYTHM_WAVEFORM


def test_group_is_chosen_by_its_leads_and_length_wherever_it_stands() -> None:
    def turned(dataset: Dataset) -> None:
        second = _group(dataset, 1)
        second.WaveformOriginality, second.MultiplexGroupLabel = "ORIGINAL", "Other"
        dataset.WaveformSequence = list(dataset.WaveformSequence)[::-1]

    np.testing.assert_array_equal(_decode(_changed(turned)).signal, _decode(GUANGXI).signal)


def test_leads_recorded_one_after_another_are_refused() -> None:
    def split(dataset: Dataset) -> None:
        whole = _group(dataset)
        counts = _counts(dataset)
        groups = []
        for number in range(4):
            group = deepcopy(whole)
            rows = slice(3 * number, 3 * number + 3)
            group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = 3, 1250
            group.ChannelDefinitionSequence = list(whole.ChannelDefinitionSequence)[rows]
            part = counts[1250 * number : 1250 * (number + 1), rows]
            group.WaveformData = np.ascontiguousarray(part).tobytes()
            groups.append(group)
        dataset.WaveformSequence = groups

    assert _reason(_changed(split)) is R.NO_RHYTHM_WAVEFORM


def _without_waveform(dataset: Dataset) -> None:
    del dataset.WaveformSequence


def _as_pdf(dataset: Dataset) -> None:
    _without_waveform(dataset)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    dataset.EncapsulatedDocument = b"%PDF-1.7"


def _as_image(dataset: Dataset) -> None:
    _without_waveform(dataset)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"


def _without_group_data(dataset: Dataset) -> None:
    del _group(dataset).WaveformData


def _unit(code: str | None) -> Change:
    def change(dataset: Dataset) -> None:
        for channel in _group(dataset).ChannelDefinitionSequence:
            if code is None:
                del channel.ChannelSensitivityUnitsSequence
            else:
                channel.ChannelSensitivityUnitsSequence[0].CodeValue = code

    return change


def _lead(row: int, code: str, meaning: str) -> Change:
    def change(dataset: Dataset) -> None:
        source = _group(dataset).ChannelDefinitionSequence[row].ChannelSourceSequence[0]
        source.CodeValue, source.CodeMeaning = code, meaning

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_without_waveform, R.INCOMPLETE),
        (_without_group_data, R.INCOMPLETE),
        (_as_pdf, R.FORMAT_PDF),
        (_as_image, R.DICOM_VARIANT_UNSUPPORTED),
        (_in_group(WaveformSampleInterpretation="MB"), R.DICOM_VARIANT_UNSUPPORTED),
        (
            _in_group(WaveformSampleInterpretation="AB", WaveformBitsAllocated=8),
            R.DICOM_VARIANT_UNSUPPORTED,
        ),
        (_in_group(WaveformBitsAllocated=8), R.DICOM_VARIANT_UNSUPPORTED),
        (_in_group(NumberOfWaveformSamples=4999), R.SIZE_MISMATCH),
        (_in_group(NumberOfWaveformSamples=0), R.SIZE_MISMATCH),
        (_in_group(NumberOfWaveformSamples=2**32 - 1), R.SIZE_MISMATCH),
        (_in_group(NumberOfWaveformChannels=11), R.SIZE_MISMATCH),
        (_in_group(SamplingFrequency="0"), R.SAMPLING_FREQUENCY_INVALID),
        (_in_group(SamplingFrequency=""), R.SAMPLING_FREQUENCY_INVALID),
        (_in_channels(ChannelSensitivity=None), R.GAIN_INVALID),
        (_in_channels(ChannelSensitivity="0"), R.GAIN_INVALID),
        (_in_channels(ChannelSensitivity="-1"), R.GAIN_INVALID),
        (_in_channels(ChannelSensitivity="1e-320"), R.GAIN_INVALID),
        (_in_channels(ChannelSensitivityCorrectionFactor=None), R.GAIN_INVALID),
        (_in_channels(ChannelBaseline="1e300"), R.GAIN_INVALID),
        (_in_channels(3, ChannelSampleSkew="2"), R.SAMPLE_OFFSET_UNSUPPORTED),
        (_in_channels(3, ChannelTimeSkew="0.5"), R.SAMPLE_OFFSET_UNSUPPORTED),
        (_in_channels(WaveformBitsStored=4), R.SAMPLE_DATA_DAMAGED),
        (_unit("nV/m"), R.UNIT_UNKNOWN),
        (_unit(None), R.UNIT_UNKNOWN),
        (_lead(3, "2:63", "Lead aVL"), R.LEAD_DUPLICATED),
        (_lead(3, "2:62", "Lead aVL"), R.HEADER_INVALID),
    ],
)
def test_changed_file_is_refused_with_its_reason(change: Change, reason: ReasonCode) -> None:
    assert _reason(_changed(change)) is reason


@pytest.mark.parametrize(
    ("code", "meaning", "there"),
    [
        ("5.6.3-9-62", "", True),
        ("2:62 \0", "aVR, augmented voltage, right", True),
        ("X", "Lead aVR", True),
        ("2:65", "Lead -aVR", False),
        ("2:9", "Lead V7", False),
        ("X", "Y", False),
    ],
)
def test_lead_is_named_by_its_code_else_by_its_meaning(
    code: str, meaning: str, there: bool
) -> None:
    recording = _decode(_changed(_lead(3, code, meaning)))
    assert ("aVR" not in recording.derived_leads) is there
    assert recording.lead_names == LEADS


def test_units_factor_and_baseline_give_the_same_millivolts() -> None:
    def rescaled(dataset: Dataset) -> None:
        _unit("mV")(dataset)
        _in_channels(
            ChannelSensitivity="0.00244",
            ChannelSensitivityCorrectionFactor="2",
            ChannelBaseline="1.22",
        )(dataset)

    whole, other = _decode(GUANGXI), _decode(_changed(rescaled))
    np.testing.assert_allclose(other.signal - 1.22, whole.signal, rtol=0, atol=1e-12)
    assert other.signal_digest != whole.signal_digest


@pytest.mark.parametrize(
    ("interpretation", "bits", "kind", "offset"),
    [
        ("SS", 16, "<i2", 0),
        ("US", 16, "<u2", 9000),
        ("SL", 32, "<i4", 0),
        ("UL", 32, "<u4", 90_000),
        ("SB", 8, "i1", 0),
        ("UB", 8, "u1", 128),
    ],
)
def test_every_linear_coding_of_the_samples_is_read(
    interpretation: str, bits: int, kind: str, offset: int
) -> None:
    small = 1 if bits > 8 else 16

    def recoded(dataset: Dataset) -> None:
        counts = (
            np.clip(_counts(dataset)[:4999] // small, -127, 127) if bits == 8 else _counts(dataset)
        )
        _in_group(
            WaveformSampleInterpretation=interpretation,
            WaveformBitsAllocated=bits,
            NumberOfWaveformSamples=len(counts),
            WaveformData=(counts.astype(np.int64) + offset).astype(kind).tobytes(),
        )(dataset)
        _in_channels(WaveformBitsStored=bits, ChannelBaseline=str(-4.88 * offset))(dataset)

    recording = _decode(_changed(recoded))
    counts = _counts(dcmread(BytesIO(GUANGXI)))[: recording.n_samples].T
    expected = np.clip(counts // small, -127, 127) if bits == 8 else counts
    np.testing.assert_allclose(recording.signal, expected * 0.00488, rtol=0, atol=1e-9)


def test_padding_is_masked_only_where_it_cannot_be_a_sample() -> None:
    def padded(value: int, rows: slice, start: int, n: int) -> Change:
        def change(dataset: Dataset) -> None:
            counts = _counts(dataset)
            counts[start : start + n, rows] = value
            _in_group(WaveformData=counts.tobytes())(dataset)
            _group(dataset).add_new(0x5400100A, "OW", pack("<h", value))

        return change

    every = slice(None)
    least = np.isnan(_decode(_changed(padded(-32768, slice(2, 3), 7, 1))).signal)
    assert np.argwhere(least).tolist() == [[2, 7]]
    run = np.isnan(_decode(_changed(padded(0, every, 4000, 1000))).signal)
    assert run[:, 4000:].all()
    assert not run[:, :4000].any()
    for change in (padded(0, every, 100, 50), padded(0, slice(3), 100, 900)):
        assert not np.isnan(_decode(_changed(change)).signal).any()


def _deflated(content: bytes, data: bytes | None = None) -> bytes:
    dataset = dcmread(BytesIO(content))
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    whole = file.getvalue()
    if data is None:
        return whole
    end = 144 + int.from_bytes(whole[140:144], "little")
    return whole[:end] + data


def test_deflated_file_is_read_and_its_expansion_bounded() -> None:
    whole = _deflated(GUANGXI)
    assert len(whole) < len(GUANGXI)
    assert _decode(whole).signal_digest == _decode(GUANGXI).signal_digest
    with pytest.raises(Incomplete):
        _decode(whole[:-400])
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(squeezer.compress(bytes(1 << 20)) for _ in range(200)) + squeezer.flush()
    assert _reason(_deflated(GUANGXI, bomb)) is R.EXPANSION_LIMIT
    assert _reason(_deflated(GUANGXI, b"\xff" * 99)) is R.SAMPLE_DATA_DAMAGED


def test_file_without_preamble_and_in_big_endian_is_read() -> None:
    assert _decode(GUANGXI[132:]).signal_digest == _decode(GUANGXI).signal_digest
    dataset = dcmread(BytesIO(GUANGXI))
    for group in dataset.WaveformSequence:
        group.WaveformData = np.frombuffer(group.WaveformData, "<i2").astype(">i2").tobytes()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    file = BytesIO()
    dcmwrite(file, dataset, implicit_vr=False, little_endian=False, force_encoding=True)
    assert _decode(file.getvalue()).signal_digest == _decode(GUANGXI).signal_digest


@pytest.mark.parametrize("content", [REAL, GUANGXI, _content("ecgtoolkit_Example")])
def test_cut_file_is_incomplete_wherever_it_is_cut(content: bytes) -> None:
    last = content.rindex(
        b"\x10\x10\x00\x54" if b"\x10\x10\x00\x54" in content else b"\x00\x54\x10\x10"
    )
    for n_bytes in range(400, min(last, len(content) - 29_000), 9_973):
        with pytest.raises(Incomplete):
            _decode(content[:n_bytes])


META = REAL[: 144 + int.from_bytes(REAL[140:144], "little")]
SEQUENCE = pack("<HH2sHI", 0x5400, 0x0100, b"SQ", 0, 0xFFFFFFFF)


@pytest.mark.parametrize(
    "data",
    [
        pack("<HH2sHI", 0x5400, 0x0100, b"SQ", 0, 0xFFFFFFF0),
        (SEQUENCE + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 40_000,
        (SEQUENCE + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 60_000,
        pack("<HH2sH", 8, 0x20, b"DA", 0) * 1_000_000,
        pack("<HH2sHI", 0x5400, 0x1010, b"OW", 0, 0xFFFFFFFF) + bytes(99),
        b"\xff" * 10_000,
        b"",
    ],
)
def test_hostile_lengths_and_nesting_are_refused_quickly(data: bytes) -> None:
    start = time.perf_counter()
    with pytest.raises(EcgbatchError):
        _decode(META + data)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("text", [b"nan ", b"inf ", b"1e9x", b"1\\2 ", b"    "])
def test_sensitivity_that_is_no_number_is_refused(text: bytes) -> None:
    assert _reason(REAL.replace(b"1.25", text)) in {R.HEADER_INVALID, R.GAIN_INVALID}


def test_damaged_file_ends_in_a_recording_or_a_named_fault() -> None:
    dice = random.Random(20_240_601)  # noqa: S311 - chosen for being repeatable
    whole = _decode(GUANGXI)
    refused = 0
    for turn in range(250):
        at = dice.randrange(len(GUANGXI) if turn % 2 else 6000)
        n = dice.randrange(1, 40)
        before, after = GUANGXI[:at], GUANGXI[at:]
        mutant = dice.choice(
            [
                before + bytes([after[0] ^ (1 << dice.randrange(8))]) + after[1:],
                before + after[n:],
                before + after[:n] + after,
                before + bytes(len(after[:n])) + after[n:],
            ]
        )
        try:
            recording = _decode(mutant)
        except EcgbatchError:
            refused += 1
        else:
            assert recording.n_samples == whole.n_samples
    assert refused > 80


def test_nothing_of_the_file_is_logged_or_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    spoiled = REAL.replace(b"ISO_IR 100", b"ISO_XX 999").replace(b"19000101", b"19SECRET")
    _decode(spoiled)
    with pytest.raises(InputFault):
        _decode(REAL.replace(b"1.25", b"SECR"))
    assert caplog.records == []


WITHOUT = """
import sys
sys.modules["pydicom"] = sys.modules["edfio"] = None
from pathlib import Path
from ecgbatch.errors import InputFault
from ecgbatch.readers.registry import decode
from ecgbatch.records import Member, RecordingBytes
for path in sys.argv[1:]:
    try:
        decode(RecordingBytes((Member("x", Path(path).read_bytes()),)))
    except InputFault as fault:
        print(fault.reason)
"""


def test_missing_library_is_named_and_only_then() -> None:
    others = [
        SAMPLES.parent / "edf" / "A0001.edf",
        SAMPLES.parent / "scp" / "ecgtoolkit_Example.scp",
    ]
    paths = [str(SAMPLES / f"{NAMES[0]}.dcm"), *map(str, others)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *paths], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["reader_not_installed"] * 2
    assert REASONS[R.READER_NOT_INSTALLED].reason_class is ReasonClass.ENVIRONMENT
    assert "ecgbatch[formats]" in REASONS[R.READER_NOT_INSTALLED].advice
