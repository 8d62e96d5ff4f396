"""Arrays with a sidecar: nothing in them is guessed."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgbatch.errors import EcgbatchError, Incomplete, Refusal
from ecgbatch.readers.registry import decode
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.sources.folder import FolderSource
from ecgbatch.terms import LEADS, ReasonCode

R = ReasonCode
ECG = np.random.default_rng(7).normal(0, 0.4, (12, 600)).astype(np.float32)
SIDECAR: dict[str, object] = {"sampling_frequency": 500, "unit": "mV", "leads": list(LEADS)}


def _npy(values: NDArray[np.generic]) -> bytes:
    file = BytesIO()
    np.save(file, values)
    return file.getvalue()


def _source(array: bytes, sidecar: object = SIDECAR) -> RecordingBytes:
    text = sidecar if isinstance(sidecar, str) else json.dumps(sidecar)
    return RecordingBytes((Member("x.npy", array), Member("x.npy.json", text.encode())))


def _reason(source: RecordingBytes) -> ReasonCode:
    with pytest.raises(EcgbatchError) as caught:
        decode(source)
    return caught.value.reason


@pytest.mark.parametrize("values", [ECG, ECG.T, np.asfortranarray(ECG), ECG.astype(">f8")])
def test_array_in_either_orientation_and_byte_order_gives_its_values(
    values: NDArray[np.floating],
) -> None:
    recording = decode(_source(_npy(values)))
    np.testing.assert_array_equal(recording.signal, ECG.astype(np.float64))
    assert (recording.lead_names, recording.sampling_frequency) == (LEADS, 500.0)
    assert recording.signal_digest == decode(_source(_npy(ECG))).signal_digest


def test_unit_and_lead_order_come_from_the_sidecar() -> None:
    turned = {**SIDECAR, "unit": "uV", "leads": [f"ecg {lead}" for lead in reversed(LEADS)]}
    recording = decode(_source(_npy(ECG[::-1].astype(np.float64) * 1000), turned))
    np.testing.assert_allclose(recording.signal, ECG, atol=1e-9)
    eight = ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"]
    rows = [LEADS.index(lead) for lead in eight]
    recording = decode(_source(_npy(ECG[rows]), {**SIDECAR, "leads": eight}))
    assert recording.derived_leads == ("III", "aVR", "aVL", "aVF")


def test_values_that_are_not_finite_are_invalid_samples() -> None:
    spoiled = ECG.copy()
    spoiled[3, 5], spoiled[4, 6] = np.inf, np.nan
    bad = np.isnan(decode(_source(_npy(spoiled))).signal)
    assert np.argwhere(bad).tolist() == [[3, 5], [4, 6]]


def test_array_without_sidecar_has_no_unit() -> None:
    assert _reason(RecordingBytes((Member("x.npy", _npy(ECG)),))) is R.UNIT_UNKNOWN


@pytest.mark.parametrize(
    ("sidecar", "reason"),
    [
        ({**SIDECAR, "unit": "z-score"}, R.UNIT_UNKNOWN),
        ({**SIDECAR, "unit": 1}, R.UNIT_UNKNOWN),
        ({**SIDECAR, "sampling_frequency": "500"}, R.SAMPLING_FREQUENCY_INVALID),
        ({**SIDECAR, "sampling_frequency": True}, R.SAMPLING_FREQUENCY_INVALID),
        ({**SIDECAR, "sampling_frequency": 0}, R.SAMPLING_FREQUENCY_INVALID),
        ({**SIDECAR, "sampling_frequency": 10**400}, R.SAMPLING_FREQUENCY_INVALID),
        ({**SIDECAR, "leads": []}, R.HEADER_INVALID),
        ({**SIDECAR, "leads": "I"}, R.HEADER_INVALID),
        ({**SIDECAR, "leads": [1] * 12}, R.HEADER_INVALID),
        ({**SIDECAR, "leads": list(LEADS[:11])}, R.SIZE_MISMATCH),
        ({**SIDECAR, "leads": ["I", *LEADS[:11]]}, R.LEAD_DUPLICATED),
        ({**SIDECAR, "more": 1}, R.HEADER_INVALID),
        ({"unit": "mV", "leads": list(LEADS)}, R.HEADER_INVALID),
        ([], R.HEADER_INVALID),
        ("", R.HEADER_INVALID),
        ("[" * 50_000, R.HEADER_INVALID),
        ('{"unit": "mV", "unit": "uV"}', R.HEADER_INVALID),
        ('{"sampling_frequency": NaN, "unit": "mV", "leads": []}', R.HEADER_INVALID),
        (" " * 70_000, R.HEADER_INVALID),
    ],
)
def test_sidecar_says_exactly_what_is_needed(sidecar: object, reason: ReasonCode) -> None:
    assert _reason(_source(_npy(ECG), sidecar)) is reason


def test_objects_text_and_other_shapes_are_never_loaded() -> None:
    file = BytesIO()
    np.save(file, np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
    assert _reason(_source(file.getvalue())) is R.HEADER_INVALID
    for values in (
        np.array([["a"]]),
        ECG.astype(np.complex64),
        ECG > 0,
        ECG[0],
        ECG[None],
        np.zeros((12, 12), dtype="M8[s]"),
        np.zeros((12, 3), dtype=[("x", "f4")]),
    ):
        assert _reason(_source(_npy(values))) is R.HEADER_INVALID
    assert _reason(_source(_npy(ECG[:, :12]))) is R.SIZE_MISMATCH
    assert _reason(_source(_npy(ECG[:, :0]))) is R.SIZE_MISMATCH


def test_shape_is_compared_with_the_size_before_anything_is_allocated() -> None:
    whole = _npy(ECG)
    with pytest.raises(Incomplete):
        decode(_source(whole[:-1]))
    assert _reason(_source(whole + b"\0")) is R.SIZE_MISMATCH
    assert _reason(_source(whole.replace(b"(12, 600)", b"(12,9**9)"))) is R.HEADER_INVALID
    file = BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (12, 10**15)}
    np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(Incomplete):
        decode(_source(file.getvalue()))


def test_array_without_a_standard_lead_is_refused() -> None:
    with pytest.raises(Refusal):
        decode(_source(_npy(ECG), {**SIDECAR, "leads": [f"ch{n}" for n in range(12)]}))


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 127), st.binary(min_size=1, max_size=6))
def test_any_change_of_the_header_ends_in_a_recording_or_a_named_fault(
    at: int, patch: bytes
) -> None:
    content = _npy(ECG)
    mutant = content[:at] + patch + content[at + len(patch) :]
    try:
        recording = decode(_source(mutant))
    except EcgbatchError:
        return
    assert recording.signal.shape == (12, 600)


def test_folder_takes_the_sidecar_along_and_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(_npy(ECG))
    (tmp_path / "b.npy.json").write_text(json.dumps(SIDECAR))
    source = FolderSource(tmp_path, limit_bytes=10**6)
    alone = {sighting.locator: sighting for sighting in source.scan()}
    assert {locator: seen.is_whole for locator, seen in alone.items()} == {
        "a.npy": False,
        "b.npy.json": False,
    }
    unread = source.read("a.npy", alone["a.npy"].fingerprint)
    assert _reason(unread) is R.UNIT_UNKNOWN

    (tmp_path / "a.npy.json").write_text(json.dumps(SIDECAR))
    (tmp_path / "b.npy").write_bytes(_npy(ECG))
    both = list(source.scan())
    assert [(seen.members, seen.is_whole) for seen in both] == [
        (("a.npy", "a.npy.json"), True),
        (("b.npy", "b.npy.json"), True),
    ]
    recording = decode(source.read("a.npy", both[0].fingerprint))
    assert recording.lead_names == LEADS
