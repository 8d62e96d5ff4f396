"""Calibration against scikit-learn, statsmodels, and risks that are calibrated by construction."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from ecgbatch.terms import Vessel
from tests.support.experiments import experiment
from tests.support.followed_studies import drawn_study
from training.evaluation import at_cuts, calibration
from training.evaluation.calibrated import (
    brier_and_ece,
    groups,
    slope_and_intercept,
    smooth,
)
from training.evaluation.section import Context
from training.records import Task
from training.settings.evaluation import BootstrapSettings
from training.terms import NO_GRADE, Quantity

BOOTSTRAP = BootstrapSettings(n_resamples=40)


def _task(n: int = 600, seed: int = 0) -> Task:
    rng = np.random.default_rng(seed)
    scores = 1.0 / (1.0 + np.exp(-rng.normal(-1.0, 1.2, n)))
    labels = (rng.random(n) < scores).astype(np.float64)
    return Task(labels, scores, [f"p{place}" for place in range(n)])


def test_brier_and_ece_are_those_of_scikit_learn() -> None:
    task = _task()
    brier, ece = brier_and_ece(task, BOOTSTRAP)
    assert brier is not None
    assert ece is not None
    assert brier.value == pytest.approx(brier_score_loss(task.labels, task.scores))
    observed, predicted = calibration_curve(
        task.labels, task.scores, n_bins=10, strategy="quantile"
    )
    assert ece.value == pytest.approx(float(np.abs(observed - predicted).mean()), abs=1e-9)
    assert brier.low < brier.value < brier.high


def test_slope_is_that_of_an_unpenalised_logistic_regression() -> None:
    task = _task(seed=1)
    logit = np.log(task.scores / (1.0 - task.scores))
    stretched = Task(task.labels, 1.0 / (1.0 + np.exp(-2.0 * logit)), task.patients)
    slope, intercept = slope_and_intercept(stretched)
    assert slope is not None
    assert intercept is not None
    peer = LogisticRegression(C=1e9, tol=1e-9, max_iter=1000)
    peer.fit(2.0 * logit[:, np.newaxis], task.labels)
    assert slope.value == pytest.approx(peer.coef_[0, 0], rel=1e-3)
    assert slope.low < 0.5 < slope.high
    # At the intercept the mean risk is the prevalence, which defines calibration in the large.
    moved = 1.0 / (1.0 + np.exp(-(2.0 * logit + intercept.value)))
    assert moved.mean() == pytest.approx(task.labels.mean(), abs=1e-8)


def test_a_patient_with_copies_of_an_ecg_makes_the_interval_no_narrower() -> None:
    task = _task(300)
    twice = Task(np.tile(task.labels, 2), np.tile(task.scores, 2), [*task.patients] * 2)
    once, copied = slope_and_intercept(task)[0], slope_and_intercept(twice)[0]
    assert once is not None
    assert copied is not None
    assert copied.value == pytest.approx(once.value)
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.01)


def test_one_risk_for_all_has_no_slope_and_separated_classes_no_estimate() -> None:
    flat = Task(np.array([0.0, 1.0] * 20), np.full(40, 0.3), [f"p{place}" for place in range(40)])
    assert slope_and_intercept(flat)[0] is None
    assert slope_and_intercept(flat)[1] is not None
    apart = replace(_task(60), labels=(_task(60).scores > 0.3).astype(np.float64))
    assert slope_and_intercept(apart)[0] is None


def test_groups_are_of_the_stated_size_and_the_last_takes_the_remainder() -> None:
    found = groups(_task(105), 20)
    assert found.n.tolist() == [20, 20, 20, 20, 25]
    ranked = np.sort(_task(105).scores)
    np.testing.assert_allclose(found.predicted[0], ranked[:20].mean())
    np.testing.assert_allclose((found.observed * found.n).sum(), _task(105).labels.sum())
    assert groups(_task(7), 20).n.tolist() == [7]


def test_the_smooth_curve_is_lowess_of_statsmodels_within_its_bands() -> None:
    task = _task(400)
    found = smooth(task, 0.6, BOOTSTRAP)
    peer = sm.nonparametric.lowess(task.labels, task.scores, frac=0.6, it=0, delta=0.0)
    at_peer = np.interp(found.x, peer[:, 0], peer[:, 1])
    np.testing.assert_allclose(found.y, np.clip(at_peer, 0.0, 1.0), atol=5e-3)
    inner, outer = found.bands[0.95], found.bands[0.99]
    middle = slice(10, 60)
    assert (outer[0][middle] <= inner[0][middle]).all()
    assert (inner[0][middle] < found.y[middle]).all()
    assert (found.y[middle] < inner[1][middle]).all()


def test_the_section_measures_every_scope_and_names_those_too_rare() -> None:
    settings = experiment(evaluation={"lowess_resamples": 5})
    study = drawn_study(400)
    labels = study.labels.copy()
    labels[:, list(Vessel).index(Vessel.LM)] = 0.0
    found = calibration.examine(
        Context(replace(study, labels=labels), {}, settings.evaluation, settings.bootstrap)
    )
    slopes = {
        one.scope: one.estimate
        for one in found.measures
        if one.quantity is Quantity.CALIBRATION_SLOPE
    }
    assert set(slopes) == {Vessel.RCA, Vessel.LAD, Vessel.LCX, "any_vessel"}
    assert slopes[Vessel.LAD].low < 1.0 < slopes[Vessel.LAD].high
    assert "LM (experimental)" in found.notes[0]
    axes = found.pictures[0].draw().axes
    assert [one.get_ylabel() for one in axes] == ["observed share", "ECGs"]


@pytest.mark.parametrize(
    "change",
    [
        {"probabilities": np.full((120, 4), 0.25)},
        {"probabilities": np.repeat(np.array([0.0, 0.3, 1.0]), 40)[:, np.newaxis] * np.ones(4)},
        {"patients": ("p0",) * 120},
        {"labels": np.full((120, 4), np.nan), "grades": np.full((120, 4), NO_GRADE, np.int8)},
    ],
    ids=["one risk for all", "risks of 0 and 1", "one patient", "no label"],
)
def test_a_study_at_the_edge_is_examined_and_drawn(change: dict[str, Any]) -> None:
    settings = experiment(evaluation={"lowess_resamples": 3}, bootstrap={"n_resamples": 5})
    study = replace(drawn_study(120), **change)
    context = Context(study, {Vessel.LAD: (0.2, 0.5)}, settings.evaluation, settings.bootstrap)
    for section in (calibration, at_cuts):
        found = section.examine(context)
        assert all(np.isfinite(one.estimate.value) for one in found.measures)
        for picture in found.pictures[:2]:
            picture.draw()
