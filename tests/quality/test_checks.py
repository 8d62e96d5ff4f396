"""Every check has a case that must fire and the clean ECG, on which none may."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbatch.quality.checks import CHECKS, check, refusal
from ecgbatch.quality.eligibility import is_outside
from ecgbatch.records import Finding, Identity, Millivolts, Recording
from ecgbatch.settings import load_settings
from ecgbatch.terms import LEADS, ReasonCode
from tests.support.real_ecgs import SAMPLES

SETTINGS = load_settings(environment={})


def _clean() -> Millivolts:
    """A real 12-lead ECG in mV, (12, 5000) at 500 Hz; its limb leads made to fit exactly."""
    with np.load(SAMPLES / "wfdb" / "A0001.expected.npz", allow_pickle=False) as truth:
        signal: Millivolts = truth["signal_mv"][:, :5000].astype(np.float64)
    lead_i, lead_ii = signal[0], signal[1]
    signal[2:6] = [
        lead_ii - lead_i,
        -(lead_i + lead_ii) / 2,
        lead_i - lead_ii / 2,
        lead_ii - lead_i / 2,
    ]
    return signal


def _recording(signal: Millivolts, leads: tuple[str, ...] = LEADS) -> Recording:
    return Recording(
        signal=signal,
        lead_names=leads,
        sampling_frequency=500.0,
        signal_digest="0" * 64,
        format="wfdb",
        reader="wfdb",
        reader_version="1",
    )


def _check(recording: Recording) -> tuple[Finding, ...]:
    return check(recording, SETTINGS.quality, SETTINGS.eligibility)


def _with(row: int, change: Callable[[Millivolts], Millivolts]) -> Millivolts:
    signal = _clean()
    signal[row] = change(signal[row])
    return signal


def _square_wave() -> Millivolts:
    wave = np.where(np.arange(5000) % 500 < 100, 1.0, 0.0)
    return np.tile(wave, (12, 1))


def _sentinel(lead: Millivolts) -> Millivolts:
    lead[17] = np.nan
    return lead


def _still(lead: Millivolts) -> Millivolts:
    lead[2000:3100] = lead[2000]
    return lead


def test_clean_ecg_has_no_finding() -> None:
    assert _check(_recording(_clean())) == ()


@pytest.mark.parametrize(
    ("name", "signal", "reason", "lead"),
    [
        ("invalid_samples", _with(7, _sentinel), ReasonCode.INVALID_SAMPLES, "V2"),
        ("amplitude", _with(8, lambda x: 30 * x), ReasonCode.AMPLITUDE_IMPLAUSIBLE, "V3"),
        ("flat", _with(9, lambda x: 0 * x), ReasonCode.LEAD_FLAT, "V4"),
        ("constant_run", _with(10, _still), ReasonCode.LEAD_FLAT, "V5"),
        ("calibration", _square_wave(), ReasonCode.NOT_A_RHYTHM_STRIP, None),
        ("too_short", _clean()[:, :4899], ReasonCode.TOO_SHORT, None),
    ],
)
def test_fault_is_found_and_refused(
    name: str, signal: Millivolts, reason: ReasonCode, lead: str | None
) -> None:
    findings = _check(_recording(signal))

    refused = refusal(findings)
    assert refused is not None
    assert (refused.check, refused.reason, refused.lead) == (name, reason, lead)


def test_missing_lead_is_named() -> None:
    without = tuple(name for name in LEADS if name != "V3")

    findings = _check(_recording(np.delete(_clean(), 8, axis=0), without))

    assert [(f.reason, f.lead) for f in findings] == [(ReasonCode.LEAD_MISSING, "V3")]


@pytest.mark.parametrize(
    ("name", "signal", "lead"),
    [
        ("limb_leads", _clean()[[1, 0, *range(2, 12)]], "III"),
        ("leads_nearly_equal", np.stack([*_clean()[:8], _clean()[7], *_clean()[9:]]), "V3"),
    ],
)
def test_doubt_is_flagged_and_not_refused(name: str, signal: Millivolts, lead: str) -> None:
    findings = _check(_recording(signal))

    assert (name, lead) in {(f.check, f.lead) for f in findings}
    assert refusal(findings) is None


@pytest.mark.parametrize("factor", [5.0, 200.0, 1000.0])
def test_usual_unit_error_is_named_by_its_factor_and_not_rescaled(factor: float) -> None:
    signal = _clean()
    peak = np.median(np.percentile(np.abs(signal - np.median(signal, axis=1)[:, None]), 99.5, 1))
    recording = _recording(signal * (factor / peak))
    before = recording.signal.copy()

    findings = [f for f in _check(recording) if f.check == "unit_suspected"]

    assert [f.value for f in findings] == [factor]
    np.testing.assert_array_equal(recording.signal, before)


def test_what_lies_after_the_first_ten_seconds_does_not_count() -> None:
    spoiled = np.full((12, 2500), np.nan)

    assert _check(_recording(np.hstack([_clean(), spoiled]))) == ()


def test_long_record_is_noted() -> None:
    findings = _check(_recording(np.tile(_clean(), 7)))

    assert [(f.check, f.value) for f in findings] == [("long_record", 70.0)]


@pytest.mark.parametrize("n_samples", [4900, 4998, 5000])
def test_two_percent_short_is_long_enough(n_samples: int) -> None:
    assert _check(_recording(_clean()[:, :n_samples])) == ()


def test_check_that_is_switched_off_still_finds() -> None:
    off = load_settings(environment={"ECGBATCH_QUALITY__FLAT__REFUSES": "false"})
    recording = _recording(_with(9, lambda x: 0 * x))

    findings = check(recording, off.quality, off.eligibility)

    assert [(f.check, f.refuses) for f in findings if f.check == "flat"] == [("flat", False)]


@pytest.mark.parametrize(
    ("age_years", "statements", "reasons", "outside"),
    [
        (17.9, ("Normal ECG",), [ReasonCode.AGE_UNDER_18], True),
        (18.0, ("Normal ECG",), [], False),
        (70.0, ("Electronic ventricular pacemaker",), [ReasonCode.PACED], True),
        (None, ("Normal ECG",), [], None),
        (70.0, (), [], None),
    ],
)
def test_what_the_file_shows_to_be_outside_is_found_while_the_gate_is_off(
    age_years: float | None,
    statements: tuple[str, ...],
    reasons: list[ReasonCode],
    outside: bool | None,
) -> None:
    recording = replace(
        _recording(_clean()), identity=Identity(age_years=age_years), statements=statements
    )

    findings = _check(recording)

    assert [f.reason for f in findings] == reasons
    assert refusal(findings) is None
    assert is_outside(recording, findings) is outside


def test_eligibility_refuses_where_a_site_says_so() -> None:
    strict = load_settings(environment={"ECGBATCH_ELIGIBILITY__AGE__REFUSES": "true"})
    recording = replace(_recording(_clean()), identity=Identity(age_years=12))

    refused = refusal(check(recording, strict.quality, strict.eligibility))

    assert refused is not None
    assert refused.reason is ReasonCode.AGE_UNDER_18


def test_each_check_has_its_settings() -> None:
    names = {one.__name__ for one in CHECKS} | {"aecg_increment", "lead_off"}

    assert names == set(type(SETTINGS.quality).model_fields)


def test_repair_of_a_reader_is_a_finding_and_refuses_where_it_is_switched_off() -> None:
    repaired = Finding("aecg_increment", ReasonCode.AECG_INCREMENT_REPAIRED, value=500.0)
    recording = replace(_recording(_clean()), findings=(repaired,))
    off = load_settings(environment={"ECGBATCH_QUALITY__AECG_INCREMENT__REFUSES": "true"})

    assert refusal(_check(recording)) is None
    refused = refusal(check(recording, off.quality, off.eligibility))
    assert refused is not None
    assert refused.reason is ReasonCode.AECG_INCREMENT_REPAIRED


@settings(max_examples=60, deadline=None)
@given(
    n_samples=st.integers(0, 60),
    fill=st.sampled_from([0.0, np.nan, np.inf, -np.inf, 1e300]),
    n_leads=st.integers(1, 12),
)
def test_no_signal_makes_a_check_fail(n_samples: int, fill: float, n_leads: int) -> None:
    recording = _recording(np.full((n_leads, n_samples), fill), LEADS[:n_leads])

    assert refusal(_check(recording)) is not None
