"""The preparation against vectors made with the published chain, and against sines."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import signal as scipy_signal

from ecgbatch.errors import Refusal, SetupFault
from ecgbatch.preprocessing.apply import prepare, to_input
from ecgbatch.preprocessing.spec import Bandpass, PreprocessingSpec, ZScore, preset
from ecgbatch.preprocessing.steady_state import steady_state
from ecgbatch.preprocessing.steps import bandpass
from ecgbatch.terms import ReasonCode
from tests.support.bundles import VECTORS

Array = NDArray[np.float64]
ANYECG = preset("anyecg-ccta")
ECGFOUNDER = preset("ecgfounder")
WINDOW_AND_RESAMPLE = ANYECG.steps[:2]


@pytest.fixture(scope="module")
def reference() -> dict[str, Array]:
    with np.load(VECTORS / "preprocessing.npz", allow_pickle=False) as opened:
        return {name: opened[name] for name in opened.files}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (ECGFOUNDER.steps[:-1], "filtered"),
        (ECGFOUNDER.steps, "ecgfounder"),
        (ANYECG.steps, "anyecg_leadwise"),
    ],
)
def test_presets_agree_with_the_published_chain(
    reference: dict[str, Array], steps: Any, expected: str
) -> None:
    prepared, padded = prepare(reference["input_mv"], 500.0, steps)
    np.testing.assert_allclose(prepared, reference[expected], rtol=0, atol=1e-9)
    assert padded == 0


def test_model_input_is_read_only_single_precision(reference: dict[str, Array]) -> None:
    model_input = to_input(reference["input_mv"], 500.0, ECGFOUNDER)
    assert model_input.signal.dtype == np.float32
    assert np.array_equal(model_input.signal, reference["ecgfounder"].astype(np.float32))
    with pytest.raises(ValueError, match="read-only"):
        model_input.signal[0, 0] = 1


def _sine(sampling_frequency: float, n_samples: int, hertz: float, offset: float) -> Array:
    t = np.arange(n_samples) / sampling_frequency
    lead = offset + np.sin(2 * np.pi * hertz * t + 0.3)
    return np.tile(lead, (12, 1))


@pytest.mark.parametrize("frequency", [128.0, 240.0, 250.0, 257.0, 360.0, 976.5625, 1000.0, 2000.0])
@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_resampling_keeps_a_sine_in_shape_and_place(frequency: float, offset: float) -> None:
    signal = _sine(frequency, math.ceil(12 * frequency), 9.0, offset)
    prepared, _ = prepare(signal, frequency, WINDOW_AND_RESAMPLE)
    expected = _sine(500.0, 5000, 9.0, offset)
    assert np.abs(prepared - expected)[:, 100:].max() < 1e-4
    assert np.abs(prepared - expected).max() < 0.02


def test_a_frequency_as_a_header_rounds_it_is_exact_to_a_tenth_of_a_millisecond() -> None:
    signal = _sine(333.333, 4000, 9.0, 0.0)
    prepared, _ = prepare(signal, 333.333, WINDOW_AND_RESAMPLE)
    largest = 2 * np.pi * 9 * 1e-4
    assert np.abs(prepared - _sine(500.0, 5000, 9.0, 0.0))[:, 100:].max() < largest


def test_what_500_hz_cannot_hold_is_filtered_out_not_folded_back() -> None:
    prepared, _ = prepare(_sine(1000.0, 12000, 420.0, 0.0), 1000.0, WINDOW_AND_RESAMPLE)
    assert np.abs(prepared[:, 100:]).max() < 1e-3


def test_at_500_hz_the_first_ten_seconds_are_taken_as_they_are() -> None:
    signal = np.random.default_rng(1).normal(size=(12, 9000))
    prepared, padded = prepare(signal, 500.0, WINDOW_AND_RESAMPLE)
    assert np.array_equal(prepared, signal[:, :5000])
    assert padded == 0


def test_what_comes_after_the_window_moves_nothing() -> None:
    signal = np.random.default_rng(2).normal(size=(12, 40_000))
    other = signal.copy()
    other[:, 10_400:] = 7.0
    for spec in (ANYECG, ECGFOUNDER):
        one, two = (to_input(given, 1000.0, spec) for given in (signal, other))
        assert np.array_equal(one.signal, two.signal)


@pytest.mark.parametrize(
    ("frequency", "n_samples", "padded"),
    [
        (500.0, 4999, 1),
        (500.0, 4900, 100),
        (250.0, 2450, 100),
        (1000.0, 9800, 100),
        (257.0, 2569, 1),
    ],
)
def test_up_to_two_percent_short_the_last_value_is_repeated(
    frequency: float, n_samples: int, padded: int
) -> None:
    signal = np.random.default_rng(3).normal(size=(12, n_samples))
    prepared, counted = prepare(signal, frequency, WINDOW_AND_RESAMPLE)
    assert counted == padded
    assert prepared.shape == (12, 5000)
    if frequency == 500.0:
        assert np.array_equal(prepared[:, :n_samples], signal)
        assert np.array_equal(prepared[:, n_samples:], np.tile(signal[:, -1:], (1, padded)))


@pytest.mark.parametrize(
    ("frequency", "n_samples"),
    [(500.0, 4899), (250.0, 2449), (1000.0, 4000), (500.0, 1), (500.0, 0)],
)
def test_shorter_is_refused(frequency: float, n_samples: int) -> None:
    with pytest.raises(Refusal) as refusal:
        to_input(np.zeros((12, n_samples)), frequency, ANYECG)
    assert refusal.value.reason is ReasonCode.TOO_SHORT


@settings(max_examples=60, deadline=None)
@given(
    frequency=st.one_of(
        st.sampled_from([100.0, 250.0, 500.0, 1000.0]),
        st.integers(50, 1200).map(float),
        st.floats(50, 1200),
    ),
    seconds=st.floats(0.0, 25.0),
)
def test_any_length_gives_ten_seconds_or_a_refusal(frequency: float, seconds: float) -> None:
    n_samples = int(seconds * frequency)
    signal = np.ones((12, n_samples))
    duration = n_samples / frequency
    # One sample of room for the rounding of an odd frequency.
    slack = 1 / 500 + 10 * 0.005 / frequency
    try:
        prepared, padded = prepare(signal, frequency, WINDOW_AND_RESAMPLE)
    except Refusal:
        assert duration < 9.8 + slack
        return
    assert duration > 9.8 - slack
    assert prepared.shape == (12, 5000)
    assert abs(padded - max(0.0, 5000 - duration * 500)) <= 1 + slack * 500
    assert padded == 0 or duration < 10 + slack
    np.testing.assert_allclose(prepared, 1.0, atol=1e-9)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("spec", [ANYECG, ECGFOUNDER])
def test_a_sample_that_is_not_finite_is_refused_inside_the_window_alone(
    wrong: float, spec: PreprocessingSpec
) -> None:
    signal = np.random.default_rng(4).normal(size=(12, 6000))
    signal[5, 5999] = wrong
    assert np.isfinite(to_input(signal, 500.0, spec).signal).all()
    signal[5, 4321] = wrong
    with pytest.raises(Refusal) as refusal:
        to_input(signal, 500.0, spec)
    assert refusal.value.reason is ReasonCode.INVALID_SAMPLES


def test_values_beyond_single_precision_are_refused_not_infinite() -> None:
    spec = PreprocessingSpec(name="raw", steps=WINDOW_AND_RESAMPLE)
    with pytest.raises(Refusal):
        to_input(np.full((12, 5000), 1e300), 500.0, spec)


def test_a_constant_lead_becomes_zeros() -> None:
    signal = np.random.default_rng(5).normal(size=(12, 5000))
    signal[3] = 0.25
    assert not to_input(signal, 500.0, ANYECG).signal[3].any()


@pytest.mark.parametrize("shape", [(11, 5000), (5000, 12), (5000,)])
def test_other_than_twelve_leads_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Refusal):
        to_input(np.zeros(shape), 500.0, ANYECG)


def test_digests_are_those_of_the_published_specifications() -> None:
    assert ANYECG.canonical_json == (
        '[{"context_s":0.4,"duration_s":10.0,"max_missing":0.02,"step":"window"},'
        '{"half_length":16,"kaiser_beta":8.0,"sampling_frequency":500.0,"step":"resample"},'
        '{"eps":1e-08,"over":"lead","step":"zscore"}]'
    )
    assert len({ANYECG.digest, ECGFOUNDER.digest}) == 2


def test_the_digest_follows_every_number_and_not_the_name() -> None:
    document = json.loads(ECGFOUNDER.model_dump_json())
    digests = {ECGFOUNDER.digest}
    changes = [(2, "quality", 31.0), (3, "high_hz", 41.0), (4, "window_s", 0.6), (5, "eps", 1e-9)]
    for place, key, value in changes:
        changed = json.loads(json.dumps(document))
        changed["steps"][place][key] = value
        digests.add(PreprocessingSpec.model_validate_json(json.dumps(changed)).digest)
    assert len(digests) == len(changes) + 1
    renamed = json.dumps(document | {"name": "other"})
    assert PreprocessingSpec.model_validate_json(renamed).digest == ECGFOUNDER.digest


def test_a_whole_number_and_its_float_are_one_digest() -> None:
    text = ECGFOUNDER.model_dump_json()
    again = text.replace('"quality":30.0', '"quality":30')
    assert again != text
    assert PreprocessingSpec.model_validate_json(again).digest == ECGFOUNDER.digest


@pytest.mark.parametrize(
    "steps",
    [
        (),
        ANYECG.steps[:1],
        ANYECG.steps[1:],
        (ANYECG.steps[1], ANYECG.steps[0], ANYECG.steps[2]),
        (*ANYECG.steps, ANYECG.steps[0]),
        (ZScore(over="lead"), *ANYECG.steps),
    ],
)
def test_another_order_is_refused(steps: Any) -> None:
    with pytest.raises(ValidationError):
        PreprocessingSpec(name="other", steps=steps)


def test_only_a_preset_with_filters_is_worth_compiling_for() -> None:
    assert (ECGFOUNDER.has_filters, ANYECG.has_filters) == (True, False)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(SetupFault):
        preset("ecg-founder")


@pytest.mark.parametrize("frequency", [250.0, 500.0, 1000.0])
def test_invalid_samples_right_after_the_window_refuse_nothing(frequency: float) -> None:
    n_samples = int(11 * frequency)
    clean = np.random.default_rng(1).standard_normal((12, n_samples))
    spoiled = clean.copy()
    spoiled[4, int(10.2 * frequency) :] = np.nan

    got = to_input(spoiled, frequency, preset("anyecg-ccta"))

    assert np.isfinite(got.signal).all()
    assert (
        np.abs(got.signal - to_input(clean, frequency, preset("anyecg-ccta")).signal).max() < 0.05
    )


@pytest.mark.parametrize(("order", "band"), [(1, (5.0, 40.0)), (2, (5.0, 40.0)), (3, (10.0, 60.0))])
def test_steady_state_is_scipys_where_the_system_is_well_conditioned(
    order: int, band: tuple[float, float]
) -> None:
    b, a = scipy_signal.butter(order, band, "bandpass", fs=500.0)
    np.testing.assert_allclose(steady_state(b, a), scipy_signal.lfilter_zi(b, a), rtol=1e-6)


def test_zero_phase_filter_is_scipys_where_the_system_is_well_conditioned(
    reference: dict[str, Array],
) -> None:
    step = Bandpass(order=2, low_hz=5.0, high_hz=40.0)
    b, a = scipy_signal.butter(2, (5.0, 40.0), "bandpass", fs=500.0)
    expected = scipy_signal.filtfilt(b, a, reference["input_mv"], axis=-1)
    np.testing.assert_allclose(bandpass(reference["input_mv"], step), expected, rtol=0, atol=1e-11)


def test_reference_vectors_are_met_to_the_bit(reference: dict[str, Array]) -> None:
    prepared, _ = prepare(reference["input_mv"], 500.0, ECGFOUNDER.steps)
    assert np.array_equal(prepared, reference["ecgfounder"])
