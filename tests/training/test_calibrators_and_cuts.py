"""Calibrators against scikit-learn, cuts against a search through every one, ties and refusals."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from ecgbatch.bundle.calibration import calibrate
from ecgbatch.bundle.operating_points import Isotonic, NoCalibrator, Platt, PriorShift
from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode, Vessel
from training.operating_points.calibrators import (
    calibrated,
    fit_isotonic,
    fit_platt,
    prior_shift,
)
from training.operating_points.cuts import (
    sensitivity_cut,
    sensitivity_cuts,
    specificity_cut,
    specificity_cuts,
)
from training.operating_points.points import OperatingPoints
from training.operating_points.setting import Learnt, PointsSet, Scored, set_points
from training.records import Array
from training.settings.evaluation import (
    AbsoluteCuts,
    BootstrapSettings,
    OperatingPointSettings,
)

FEW_RESAMPLES = BootstrapSettings(seed=1, n_resamples=40)


def _ecgs(n: int, seed: int = 0, effect: float = 1.0) -> tuple[Array, Array]:
    """Logits (n, 4) that rise with the labels (n, 4)."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, 4)) < 0.3).astype(np.float64)
    return rng.normal(effect * labels - 1.0, 1.0), labels


def _scored(n: int, seed: int = 0, effect: float = 1.0) -> Scored:
    logits, labels = _ecgs(n, seed, effect)
    return Scored(logits, labels, [f"p{index // 2}" for index in range(n)])


def _set(cut: Scored, experimental: tuple[str, ...] = ("LM",), **changed: Any) -> PointsSet:
    return set_points(
        cut,
        _scored(200, seed=9),
        Learnt(cut.labels, {}),
        experimental=experimental,
        settings=OperatingPointSettings(**changed),
        bootstrap=FEW_RESAMPLES,
    )


cases = st.lists(
    st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 3)), min_size=2, max_size=25
).filter(lambda rows: {bool(label) for label, _, times in rows if times} == {True, False})
targets = st.sampled_from([0.05, 0.5, 0.8, 0.87, 0.95])


def _repeated(rows: list[tuple[bool, int, int]]) -> tuple[Array, Array, Array, Array, Array]:
    """Labels, scores, counts; then labels and scores with every ECG as often as it counts."""
    labels = np.array([float(label) for label, _, _ in rows])
    scores = np.array([score / 10 for _, score, _ in rows])
    times = np.array([times for _, _, times in rows])
    return labels, scores, times.astype(float), np.repeat(labels, times), np.repeat(scores, times)


@given(cases, targets)
@settings(max_examples=60)
def test_the_low_cut_is_the_largest_that_reaches_its_sensitivity(
    rows: list[tuple[bool, int, int]], target: float
) -> None:
    labels, scores, times, each, values = _repeated(rows)
    fit = [cut for cut in np.unique(values) if (values[each == 1] >= cut).mean() >= target]
    assert sensitivity_cut(each, values, target) == max(fit)
    assert sensitivity_cuts(labels, scores, target)(times[np.newaxis])[0, 0] == max(fit)


@given(cases, targets, st.sampled_from([0.0, 0.15, 0.5]))
@settings(max_examples=60)
def test_the_high_cut_is_the_first_score_at_or_above_the_base_with_its_specificity(
    rows: list[tuple[bool, int, int]], target: float, base: float
) -> None:
    labels, scores, times, each, values = _repeated(rows)
    fit = [
        cut
        for cut in np.unique(values)
        if cut >= base and (values[each == 0] < cut).mean() >= target
    ]
    got = specificity_cut(each, values, target, base)
    assert specificity_cuts(labels, scores, target, base)(times[np.newaxis])[0, 0] == got
    if fit:
        assert got == min(fit)
    else:
        assert got >= base
        assert (values[each == 0] < got).mean() >= target
        assert not (values >= got).any()


@given(
    st.lists(st.floats(-800, 800), min_size=1, max_size=20),
    st.sampled_from(
        [
            NoCalibrator(),
            Platt(a=1.37, b=-0.4),
            Isotonic(x=(0.1, 0.25, 0.8), y=(0.02, 0.02, 0.7)),
            PriorShift(training_prevalence=0.2, site_prevalence=0.03),
        ]
    ),
)
def test_probabilities_are_those_of_ecgbatch_to_the_last_bit(
    logits: list[float], calibrator: Any
) -> None:
    expected = [calibrate(logit, calibrator) for logit in logits]
    assert calibrated(np.array(logits), calibrator).tolist() == expected


@pytest.mark.parametrize("seed", range(3))
def test_platt_is_that_of_scikit_learn(seed: int) -> None:
    logits, labels = (array[:, 0] for array in _ecgs(300, seed))
    theirs = _SigmoidCalibration().fit(logits, labels)
    ours = fit_platt(logits, labels)
    assert ours is not None
    assert (ours.a, ours.b) == pytest.approx((-theirs.a_, -theirs.b_), rel=1e-3, abs=1e-3)


def test_platt_stays_finite_where_the_classes_separate_and_refuses_a_falling_risk() -> None:
    labels = np.repeat([0.0, 1.0], 20)
    separated = fit_platt(labels * 4 - 2, labels)
    assert separated is not None
    # With smoothed targets a separated class is given exactly its target.
    assert calibrate(2.0, separated) == pytest.approx(21 / 22, rel=1e-6)
    assert fit_platt(2 - labels * 4, labels) is None


def test_isotonic_is_that_of_scikit_learn_within_its_bounds_and_comes_back_from_json() -> None:
    logits, labels = (array[:, 0] for array in _ecgs(300))
    raw = calibrated(logits, NoCalibrator())
    theirs = IsotonicRegression(out_of_bounds="clip").fit(raw, labels)
    ours = fit_isotonic(logits, labels)
    n1 = labels.sum()
    bounds = (1 / (300 - n1 + 2), (n1 + 1) / (n1 + 2))
    expected = np.clip(theirs.predict(raw), *bounds)
    np.testing.assert_allclose(calibrated(logits, ours), expected, atol=1e-12)
    assert Isotonic.model_validate_json(ours.model_dump_json()) == ours
    assert 0 < min(ours.y) <= max(ours.y) < 1


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=50)
def test_isotonic_takes_ties_and_constants(rows: list[tuple[int, bool]]) -> None:
    logits = np.array([float(value) for value, _ in rows])
    labels = np.array([float(label) for _, label in rows])
    fitted = calibrated(logits, fit_isotonic(logits, labels))
    assert ((fitted > 0) & (fitted < 1)).all()
    order = np.argsort(logits, kind="stable")
    assert (np.diff(fitted[order]) >= -1e-12).all()


def test_a_prior_shift_of_calibrated_risks_has_the_sites_prevalence() -> None:
    # p(x | class) stays, the prior moves: Bayes by hand. Odds 1/4 -> 1/19 with the LR 3.
    labels = np.array([1.0] * 20 + [0.0] * 80 + [np.nan] * 7)
    found = prior_shift(labels, 1.0, 0.05)
    assert found is not None
    assert found.training_prevalence == pytest.approx(0.2)
    assert calibrate(float(np.log(3 / 4)), found) == pytest.approx((3 / 19) / (1 + 3 / 19))
    # A weight of 4 on the positives makes the net learn a prevalence of one half.
    weighted = prior_shift(labels, 4.0, 0.05)
    assert weighted is not None
    assert weighted.training_prevalence == pytest.approx(0.5)


def test_a_vessel_without_a_positive_in_training_has_no_prior_to_shift() -> None:
    cut = _scored(400)
    learnt = cut.labels.copy()
    learnt[:, 1] = 0.0
    found = set_points(
        cut,
        _scored(200, seed=9),
        Learnt(learnt, {}),
        experimental=("LM",),
        settings=OperatingPointSettings(
            calibrator="prior_shift", site_prevalence=dict.fromkeys(Vessel, 0.05)
        ),
        bootstrap=FEW_RESAMPLES,
    )
    assert found.vessels[0].calibrator.kind == "prior_shift"
    assert found.vessels[1].cuts_absent_reason == "the weights have learnt from one class alone"


def test_ecgs_on_a_cut_are_counted_and_lie_above_it() -> None:
    cut = _scored(400)
    found = _set(cut, calibrator="isotonic")
    rca = found.vessels[0]
    assert rca.cuts is not None
    values = calibrated(cut.logits[:, 0], rca.calibrator)
    for one in (rca.cuts.low, rca.cuts.high):
        assert one.set_on.n_at_cut == (values == one.value).sum()
        assert one.set_on.sensitivity is not None
        reached = (values[cut.labels[:, 0] == 1] >= one.value).mean()
        assert one.set_on.sensitivity.value == pytest.approx(reached)
    assert rca.cuts.low.set_on.n_at_cut > 1
    assert any("share the value of the low cut" in one for one in found.warnings)


def test_both_intervals_hold_what_they_are_of() -> None:
    found = _set(_scored(400))
    assert found.vessels[0].cuts is not None
    for cut in (found.vessels[0].cuts.low, found.any_vessel.high):
        assert cut.value_ci is not None
        assert cut.value_ci[0] < cut.value_ci[1]
        assert cut.value_ci[0] <= cut.value <= cut.value_ci[1]
        reached = cut.reached(cut.set_on)
        assert reached is not None
        assert reached.value >= cut.target
        assert reached.ci[0] < reached.ci[1]
        assert cut.held.n_positives + cut.held.n_negatives == 200


@pytest.mark.parametrize("calibrator", ["none", "platt", "isotonic"])
def test_any_vessel_is_cut_on_the_maximum_over_the_vessels_that_are_left(calibrator: str) -> None:
    cut = _scored(400)
    found = _set(cut, calibrator=calibrator)
    counted = [0, 2, 3]
    values = np.max(
        [calibrated(cut.logits[:, one], found.vessels[one].calibrator) for one in counted], axis=0
    )
    labels = (cut.labels[:, counted] == 1).any(axis=1).astype(float)
    assert found.any_vessel.low.value == sensitivity_cut(labels, values, 0.95)
    assert found.any_vessel.high.value == specificity_cut(labels, values, 0.95)


def test_a_vessel_with_few_positives_is_experimental_without_cuts_or_warned_of() -> None:
    cut = _scored(400)
    cut.labels[np.flatnonzero(cut.labels[:, 0] == 1)[29:], 0] = np.nan
    cut.labels[np.flatnonzero(cut.labels[:, 2] == 1)[30:], 2] = np.nan
    found = _set(cut)
    rca, lad = found.vessels[0], found.vessels[2]
    assert (rca.cuts, rca.is_experimental, rca.n_positives) == (None, True, 29)
    assert lad.cuts is not None
    assert not lad.is_experimental
    assert any(one.startswith("RCA: no cuts: 29 positives") for one in found.warnings)
    assert any("LAD: cuts rest on 30 positives" in one for one in found.warnings)


@pytest.mark.parametrize("calibrator", ["platt", "isotonic"])
@pytest.mark.parametrize("factor", [-1.0, 0.0])
def test_a_vessel_that_ranks_backwards_or_not_at_all_is_experimental(
    calibrator: str, factor: float
) -> None:
    cut = _scored(400)
    cut.logits[:, 3] *= factor
    lcx = _set(cut, calibrator=calibrator).vessels[3]
    assert lcx.is_experimental
    assert lcx.cuts_absent_reason == "the risk does not rise with the logit on the cut part"


def test_where_no_vessel_is_left_the_run_stops() -> None:
    with pytest.raises(SetupFault) as fault:
        _set(_scored(60), experimental=("LM",))
    assert fault.value.reason is ReasonCode.CUTS_MISSING
    cut = _scored(400)
    cut.logits[:] *= -1
    with pytest.raises(SetupFault, match="RCA: the risk does not rise with the logit"):
        _set(cut, calibrator="platt")


def test_cuts_that_are_equal_or_inverted_are_refused_with_what_to_do() -> None:
    with pytest.raises(SetupFault) as fault:
        _set(_scored(400, effect=9.0), low_sensitivity=0.6)
    assert fault.value.reason is ReasonCode.CUTS_INVERTED
    assert fault.value.detail.startswith("RCA: low")
    assert "raise low_sensitivity" in fault.value.detail


def test_an_empty_stratum_is_warned_of() -> None:
    cut = _scored(400)
    cut.logits[:, 0] = np.where(cut.labels[:, 0] == 1, -1.0, cut.logits[:, 0])
    cut.logits[:, 0] = np.maximum(cut.logits[:, 0], -1.0)
    assert "RCA: no negative lies below the low cut" in _set(cut).warnings
    assert "RCA: no positive lies at or above the high cut" in _set(cut).warnings


def test_base_cuts_are_the_stated_probabilities() -> None:
    absolute = AbsoluteCuts(base=dict.fromkeys(Vessel, 0.15), any_vessel_base=0.2)
    cut = _scored(400)
    found = _set(cut, calibrator="platt", absolute=absolute)
    cuts = found.vessels[0].cuts
    assert cuts is not None
    assert (cuts.low.kind, cuts.low.value, cuts.low.target) == ("absolute", 0.15, 0.15)
    assert (cuts.low.value_ci, found.any_vessel.low.value) == (None, 0.2)
    values = calibrated(cut.logits[:, 0], found.vessels[0].calibrator)
    labels = cut.labels[:, 0]
    fit = [x for x in np.unique(values) if x >= 0.15 and (values[labels == 0] < x).mean() >= 0.95]
    assert cuts.high.value == min(fit)


def test_operating_points_come_back_from_json_and_fit_a_bundle() -> None:
    absolute = AbsoluteCuts(base=dict.fromkeys(Vessel, 0.15), any_vessel_base=0.2)
    found = _set(_scored(400), calibrator="isotonic", absolute=absolute)
    points = OperatingPoints(
        data="a test",
        date="2026-01-01",
        vessels=found.vessels,
        any_vessel=found.any_vessel,
        warnings=found.warnings,
        n_cut=400,
        n_test=200,
        n_resamples=40,
        made_from={},
    )
    assert OperatingPoints.model_validate_json(points.to_json()) == points
    bundled = points.bundle_cuts(points.any_vessel)
    assert bundled is not None
    assert (bundled.low.kind, bundled.high.kind) == ("absolute", "specificity")
    assert points.cut_pairs()["any_vessel"] == (bundled.low.value, bundled.high.value)
    logits = _scored(5, seed=4).logits
    expected = [
        [calibrate(value, one.calibrator) for value, one in zip(row, points.vessels, strict=True)]
        for row in logits.tolist()
    ]
    assert points.probabilities(logits).tolist() == expected
