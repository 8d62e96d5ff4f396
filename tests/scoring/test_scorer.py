"""Risks from inputs: the reference logits, no batch mates, nothing that is not finite."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

from ecgbatch.bundle.calibration import calibrate, sigmoid
from ecgbatch.bundle.load import Bundle
from ecgbatch.bundle.operating_points import Isotonic, NoCalibrator, Platt, PriorShift
from ecgbatch.bundle.save import weights_bytes
from ecgbatch.errors import InputFault, SetupFault
from ecgbatch.records import ModelInput
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.terms import Numerics, ReasonCode, Vessel
from tests.support.bundles import small_manifest, task, vectors


def _inputs() -> list[ModelInput]:
    return [
        ModelInput(signal=signal.copy(), padded_samples=0) for signal in vectors()["input_5000"]
    ]


def _with(bundle: Bundle, **changes: object) -> Bundle:
    return dataclasses.replace(bundle, **changes)  # type: ignore[arg-type]


def test_risks_are_the_reference_logits_in_task_order(bundle: Bundle) -> None:
    scorer = Scorer(bundle)
    expected = vectors()["logits_5000"]
    for risks, row in zip(scorer.score(_inputs()), expected, strict=True):
        assert [risk.task for risk in risks] == list(Vessel)
        np.testing.assert_allclose([risk.logit for risk in risks], row, rtol=0, atol=1e-5)
        raw = [risk.probability_raw for risk in risks]
        np.testing.assert_allclose(raw, expit(row), rtol=0, atol=1e-5)
        assert raw == [risk.probability for risk in risks]
    assert scorer.runtime == f"torch {torch.__version__}"
    assert scorer.golden_difference <= 1e-4


def test_no_score_depends_on_its_batch(bundle: Bundle) -> None:
    scorer = Scorer(bundle)
    one, two = _inputs()
    assert scorer.score([]) == []
    together = scorer.score([one, two, one])
    assert together == [*scorer.score([one]), *scorer.score([two]), *scorer.score([one])]


def test_members_count_by_the_mean_of_their_logits(bundle: Bundle) -> None:
    first: Mapping[str, Tensor] = bundle.members[0]
    second = dict(first) | {"dense.bias": first["dense.bias"] + 3}
    weights = (weights_bytes(first), weights_bytes(second))
    both = _with(bundle, weights=weights, golden_logits=bundle.golden_logits + 1.5)
    risks = Scorer(both).score(_inputs()[:1])[0]
    expected = vectors()["logits_5000"][0] + 1.5
    np.testing.assert_allclose([risk.logit for risk in risks], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shift", [2e-4, -2e-4, np.nan])
def test_golden_logits_outside_the_tolerance_stop_the_start(bundle: Bundle, shift: float) -> None:
    wrong = bundle.golden_logits.copy()
    wrong[-1, 2] += shift
    with pytest.raises(SetupFault) as fault:
        Scorer(_with(bundle, golden_logits=wrong))
    assert fault.value.reason is ReasonCode.BUNDLE_GOLDEN


def test_golden_inputs_go_through_the_bundles_own_preparation(bundle: Bundle) -> None:
    louder = bundle.golden_signals_mv * np.float32(8)
    Scorer(_with(bundle, golden_signals_mv=louder))
    shuffled = bundle.golden_signals_mv[:, ::-1].copy()
    with pytest.raises(SetupFault) as fault:
        Scorer(_with(bundle, golden_signals_mv=shuffled))
    assert fault.value.reason is ReasonCode.BUNDLE_GOLDEN


@pytest.mark.parametrize(
    "tolerance", [{Numerics.FP32: 1e-4}, {Numerics.FP32: 1e-4, Numerics.BF16: 0.1}]
)
def test_a_precision_that_is_not_offered_is_refused(
    bundle: Bundle, tolerance: dict[Numerics, float]
) -> None:
    changed = _with(bundle, manifest=small_manifest(golden_tolerance=tolerance))
    with pytest.raises(SetupFault) as fault:
        Scorer(changed, precision=Numerics.BF16)
    assert fault.value.reason is ReasonCode.BUNDLE_PRECISION


def test_a_precision_that_the_bundle_did_not_measure_is_refused(bundle: Bundle) -> None:
    changed = _with(bundle, manifest=small_manifest(golden_tolerance={Numerics.BF16: 0.1}))
    with pytest.raises(SetupFault) as fault:
        Scorer(changed)
    assert fault.value.reason is ReasonCode.BUNDLE_PRECISION


def test_an_unknown_runtime_is_refused(bundle: Bundle) -> None:
    with pytest.raises(SetupFault, match="torch"):
        Scorer(bundle, runtime="abacus")


def test_a_bundle_without_cuts_does_not_score(bundle: Bundle) -> None:
    changed = _with(bundle, manifest=small_manifest(any_vessel={"cuts": None}))
    with pytest.raises(SetupFault) as fault:
        Scorer(changed)
    assert fault.value.reason is ReasonCode.CUTS_MISSING


def test_a_logit_that_is_not_finite_is_a_fault_of_the_input(bundle: Bundle) -> None:
    broken = ModelInput(np.full((12, 5000), 1e38, dtype=np.float32), padded_samples=0)
    with pytest.raises(InputFault) as fault:
        Scorer(bundle).score([broken])
    assert fault.value.reason is ReasonCode.RESULT_NOT_FINITE


def test_the_calibrator_moves_the_probability_and_leaves_the_raw_one(bundle: Bundle) -> None:
    tasks = tuple(task(vessel, calibrator=Platt(a=2.0, b=-1.0)) for vessel in Vessel)
    risks = Scorer(_with(bundle, manifest=small_manifest(tasks=tasks))).score(_inputs())[0]
    for risk in risks:
        assert risk.probability_raw == sigmoid(risk.logit)
        assert risk.probability == pytest.approx(expit(2 * risk.logit - 1), abs=1e-12)


def test_sigmoid_is_scipys_also_far_out() -> None:
    for logit in (-1e6, -745.0, -36.0, -1.0, 0.0, 0.3, 40.0, 800.0, 1e6):
        assert sigmoid(logit) == pytest.approx(expit(logit), rel=1e-14)
    assert np.isnan(sigmoid(float("nan")))


def test_isotonic_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    raw = rng.uniform(size=400)
    fitted = IsotonicRegression(out_of_bounds="clip").fit(raw, rng.uniform(size=400) < raw**2)
    points = Isotonic(
        x=tuple(map(float, fitted.X_thresholds_)), y=tuple(map(float, fitted.y_thresholds_))
    )
    logits = np.linspace(-8, 8, 101)
    expected = fitted.predict(expit(logits))
    np.testing.assert_allclose([calibrate(v, points) for v in logits], expected, atol=1e-12)


def test_prior_shift_multiplies_the_odds() -> None:
    shift = PriorShift(training_prevalence=0.5, site_prevalence=0.1)
    assert calibrate(0.0, shift) == pytest.approx(0.1)
    assert calibrate(np.log(3.0), shift) == pytest.approx((3 / 9) / (1 + 3 / 9))
    assert calibrate(0.7, NoCalibrator()) == sigmoid(0.7)
