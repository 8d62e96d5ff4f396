"""Each injected fault gives exactly its reason, and the real ECGs give hardly any."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal as scipy_signal

from ecgbatch.errors import SetupFault
from ecgbatch.quality.checks import check
from ecgbatch.quality.spectrum import Spectrum
from ecgbatch.quality.window import Window
from ecgbatch.records import Finding, Recording
from ecgbatch.settings import load_settings
from tests.support.ecgs import heartbeats
from tests.support.faults import FAULTS, inject
from tests.support.real_ecgs import real_ecgs, recording

SETTINGS = load_settings(environment={})
REAL = real_ecgs()
CLEAN = {
    **{
        name: REAL[name]
        for name in ("A0001", "guangxi_teaching_sinus_rhythm", "ecgtoolkit_Example")
    },
    "generated": recording(heartbeats(7)),
}

# Low voltage, and a fast heart that at half its rate is still plausible.
MISSED = {
    ("A0001", "gain 5 times too large"),
    ("ecgtoolkit_Example", "gain 5 times too large"),
    ("A0001", "declared too slow"),
    ("guangxi_teaching_sinus_rhythm", "declared too slow"),
}
# As the files of these recordings state them.
VENTRICULAR_RATES = [("guangxi_teaching_sinus_rhythm", 97), ("129DYPRG", 41)]
# docs/quality.md says of each why.
KNOWN_FLAGS = {
    ("JS20000", "leads_nearly_equal"),
    ("welchallyn_20170504", "leads_nearly_equal"),
    ("E07500", "wander"),
    ("HR06000", "wander"),
    ("ad4d3d80-d165_1-04_converted", "wander"),
    ("ad4d3d80-d165_1-04_orig", "wander"),
    ("tbj128_utf16be", "wander"),
}


def _findings(ecg: Recording) -> tuple[Finding, ...]:
    return check(ecg, SETTINGS.quality, SETTINGS.eligibility)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("ecg", CLEAN)
def test_fault_gives_exactly_its_reason(ecg: str, name: str) -> None:
    fault = FAULTS[name]

    findings = _findings(inject(fault, CLEAN[ecg], fault.strengths[-1], seed=3))

    is_found = (fault.check, fault.reason) in {(one.check, one.reason) for one in findings}
    assert is_found == ((ecg, name) not in MISSED)
    assert {one.reason for one in findings} <= {fault.reason, *fault.companions}
    refusing = {one.reason for one in findings if one.refuses} - set(fault.companions)
    assert refusing == ({fault.reason} if fault.refuses else set())


@pytest.mark.parametrize("ecg", CLEAN)
def test_clean_ecg_gives_no_finding(ecg: str) -> None:
    assert _findings(CLEAN[ecg]) == ()


@pytest.mark.parametrize(
    "name",
    [name for name, fault in FAULTS.items() if fault.check not in {"amplitude", "lead_missing"}],
)
def test_every_finding_states_value_and_limit(name: str) -> None:
    fault = FAULTS[name]

    findings = _findings(inject(fault, CLEAN["A0001"], fault.strengths[-1], seed=3))

    found = [one for one in findings if one.check == fault.check]
    assert all(one.value is not None for one in found)
    assert all(one.limit is not None or fault.check == "invalid_samples" for one in found)


def test_no_real_ecg_is_refused_and_each_flag_is_known() -> None:
    flags = {(name, one.check) for name, ecg in REAL.items() for one in _findings(ecg)}
    refused = [name for name, ecg in REAL.items() if any(one.refuses for one in _findings(ecg))]

    assert len(REAL) >= 8
    assert refused == []
    assert flags <= KNOWN_FLAGS
    assert ("JS20000", "leads_nearly_equal") in flags


def test_one_beat_repeated_over_the_whole_strip_is_not_refused() -> None:
    beat = CLEAN["generated"].signal[:, :500]

    findings = _findings(recording(np.tile(beat, 10)))

    assert not any(one.refuses for one in findings)


def test_bad_lead_does_not_hide_the_heart_rate() -> None:
    railed = inject(FAULTS["lead at the rail"], CLEAN["A0001"], 5.0, seed=1)

    beats = Window.of(railed).beats

    clean = Window.of(CLEAN["A0001"]).beats
    assert beats.rate_per_minute == pytest.approx(clean.rate_per_minute, abs=3)


@pytest.mark.parametrize(("name", "stated"), VENTRICULAR_RATES)
def test_heart_rate_is_what_the_device_states(name: str, stated: int) -> None:
    assert Window.of(REAL[name]).beats.rate_per_minute == pytest.approx(stated, abs=2)


@settings(max_examples=40, deadline=None)
@given(
    rate=st.floats(25, 200),
    sampling_frequency=st.sampled_from([100.0, 250.0, 500.0, 599.88, 1000.0]),
    seed=st.integers(0, 1000),
)
def test_heart_rate_is_found_at_any_sampling_frequency(
    rate: float, sampling_frequency: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(10 * sampling_frequency)) / sampling_frequency
    phase_s = (time_s + rng.uniform(0, 1)) % (60 / rate)
    beat = np.exp(-(((phase_s - 0.1) / 0.012) ** 2)) + 0.2 * np.exp(
        -(((phase_s - 0.25) / 0.03) ** 2)
    )
    signal = rng.uniform(0.4, 1.6, (12, 1)) * beat
    signal += 0.01 * rng.standard_normal(signal.shape)

    found = Window.of(recording(signal, sampling_frequency)).beats

    assert found.rate_per_minute == pytest.approx(rate, rel=0.04)


@settings(max_examples=30, deadline=None)
@given(n_samples=st.integers(20, 3000), seed=st.integers(0, 1000))
def test_power_is_the_periodogram_under_a_hann_window(n_samples: int, seed: int) -> None:
    signal = np.random.default_rng(seed).standard_normal((2, n_samples))

    power = Spectrum.of(signal, 500.0).power

    _, expected = scipy_signal.periodogram(signal, 500.0, window="hann", detrend="constant")
    inner = slice(1, -1)  # scipy doubles these and not the ends
    share = power[:, inner] / power[:, inner].sum(axis=1, keepdims=True)
    truth = expected[:, inner] / expected[:, inner].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(share, truth, atol=1e-12)


@pytest.mark.parametrize("name", ["mains hum", "drift", "muscle noise"])
def test_noise_is_measured_alike_at_500_and_1000_hz(name: str) -> None:
    fault = FAULTS[name]
    noisy = inject(fault, CLEAN["generated"], fault.strengths[-1], seed=5)
    faster = recording(scipy_signal.resample(noisy.signal, 10000, axis=1), 1000.0)

    values = [
        next(one.value for one in _findings(ecg) if one.check == fault.check)
        for ecg in (noisy, faster)
    ]

    assert values[0] == pytest.approx(values[1], rel=0.02)


def test_band_whose_bounds_are_not_in_order_is_refused() -> None:
    with pytest.raises(SetupFault, match="low must lie below high"):
        load_settings(environment={"ECGBATCH_QUALITY__HEART_RATE__LOW": "300.0"})
