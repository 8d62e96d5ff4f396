"""Cuts and intervals against hand-made cases and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode, Stratum
from training.former.evaluation import (
    Bootstrap,
    Scores,
    any_vessel_label,
    auc,
    estimate,
    resampled,
    sensitivity,
)
from training.former.operating_points import (
    Cuts,
    NoCuts,
    maximum,
    sensitivity_cut,
    set_cuts,
    specificity_cut,
    stratum_facts,
)
from training.former.splits import split_patients

Array = NDArray[np.float64]
FEW = Bootstrap(n_resamples=50, seed=1)


def task(labels: Array, scores: Array) -> Scores:
    return Scores(labels, scores, [f"patient {index}" for index in range(len(labels))])


def noisy(n: int, seed: int = 0, separation: float = 1.5) -> Scores:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.3).astype(float)
    return task(labels, 1 / (1 + np.exp(-rng.normal(separation * labels, 1.0))))


def test_cuts_of_twenty_positives_and_twenty_negatives_are_those_counted_by_hand() -> None:
    labels = np.array([0.0] * 20 + [1.0] * 20)
    scores = np.array([*range(20), *range(10, 30)]) / 100

    # 19 of 20 positives at or above: all but 0.10. 19 of 20 negatives below: all but 0.19.
    assert sensitivity_cut(labels, scores, 0.95) == pytest.approx(0.11)
    assert specificity_cut(labels, scores, 0.95) == pytest.approx(0.19)
    assert sensitivity_cut(labels, scores, 1.0) == pytest.approx(0.10)
    assert specificity_cut(labels, scores, 1.0) == pytest.approx(0.20)


def test_ties_at_a_cut_stay_on_one_side_and_the_target_holds() -> None:
    labels = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    scores = np.array([0.5, 0.5, 0.5, 0.9, 0.2, 0.5, 0.5, 0.5])

    assert sensitivity_cut(labels, scores, 0.5) == 0.5
    assert specificity_cut(labels, scores, 0.5) == 0.9


def test_no_score_above_the_negatives_still_gives_a_cut_that_keeps_them_below() -> None:
    labels, scores = np.array([1.0, 0.0, 0.0]), np.array([0.1, 0.2, 0.7])
    cut = specificity_cut(labels, scores, 1.0)
    assert 0.7 < cut < 0.7000001


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.8, 0.87, 0.9, 0.95, 0.99]))
def test_cuts_are_the_extreme_roc_thresholds_that_reach_the_target(
    seed: int, target: float
) -> None:
    known = noisy(120, seed)
    scores = np.round(known.scores, 2)
    false_positive, true_positive, thresholds = roc_curve(
        known.labels, scores, drop_intermediate=False
    )
    reaching_sensitivity = thresholds[true_positive >= target - 1e-12]
    reaching_specificity = thresholds[1 - false_positive >= target - 1e-12]

    assert sensitivity_cut(known.labels, scores, target) == reaching_sensitivity.max()
    high = specificity_cut(known.labels, scores, target)
    if np.isfinite(reaching_specificity.min()):
        assert high == reaching_specificity.min()
    else:
        assert high > scores.max()


def test_cuts_carry_what_they_reached_their_interval_and_their_positives() -> None:
    known = noisy(600)
    cuts = set_cuts(known, 0.95, 0.95, FEW)

    assert isinstance(cuts, Cuts)
    at_or_above = known.scores >= cuts.low.value
    assert cuts.low.estimate.value == at_or_above[known.labels == 1].mean() >= 0.95
    below = known.scores < cuts.high.value
    assert cuts.high.estimate.value == pytest.approx(below[known.labels == 0].mean())
    assert cuts.high.estimate.value >= 0.95
    assert cuts.low.estimate.low < cuts.low.estimate.value < cuts.low.estimate.high
    assert cuts.low.n_positives == cuts.high.n_positives == (known.labels == 1).sum()


def test_missing_labels_do_not_move_a_cut() -> None:
    known = noisy(400)
    labels = np.concatenate([known.labels, np.full(50, np.nan)])
    scores = np.concatenate([known.scores, np.linspace(0, 1, 50)])

    assert set_cuts(task(labels, scores), 0.95, 0.95, FEW) == set_cuts(known, 0.95, 0.95, FEW)


def test_cuts_that_would_be_inverted_are_refused() -> None:
    perfect = task(np.array([0.0] * 40 + [1.0] * 40), np.linspace(0.0, 1.0, 80))
    with pytest.raises(SetupFault) as refused:
        set_cuts(perfect, 0.90, 0.90, FEW)
    assert refused.value.reason is ReasonCode.CUTS_INVERTED


@pytest.mark.parametrize(("n_positives", "expected"), [(29, NoCuts), (30, Cuts)])
def test_a_task_with_fewer_than_thirty_positives_gets_no_cuts(
    n_positives: int, expected: type
) -> None:
    rng = np.random.default_rng(3)
    labels = np.array([1.0] * n_positives + [0.0] * 300)
    scores = rng.normal(labels, 1.0)
    assert isinstance(set_cuts(task(labels, scores), 0.95, 0.95, FEW), expected)


def test_strata_are_below_between_and_at_or_above_the_cuts() -> None:
    labels = np.array([0.0, 0.0, 0.0, 1.0, 1.0, np.nan, 1.0, 1.0])
    scores = np.array([0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 0.9])
    low, middle, high = stratum_facts(task(labels, scores), 0.3, 0.6, FEW)

    assert [low.stratum, middle.stratum, high.stratum] == list(Stratum)
    assert [low.share, middle.share, high.share] == [0.25, 0.5, 0.25]
    assert low.npv is not None
    assert low.npv.value == 1.0
    assert middle.incidence is not None
    assert middle.incidence.value == pytest.approx(2 / 3)
    assert high.incidence is not None
    assert high.incidence.value == 1.0


def test_any_vessel_leaves_experimental_tasks_out() -> None:
    probabilities = np.array([[0.2, 0.9, 0.3, 0.1], [0.6, 0.1, 0.3, 0.7]])
    assert maximum(probabilities, [False, True, False, False]).tolist() == [0.3, 0.7]


def test_any_vessel_is_positive_if_one_is_and_negative_only_if_all_are_known() -> None:
    labels = np.array([[0.0, 1.0, np.nan], [0.0, 0.0, 0.0], [0.0, np.nan, 0.0]])
    found = any_vessel_label(labels)
    assert found[:2].tolist() == [1.0, 0.0]
    assert np.isnan(found[2])


@pytest.mark.parametrize("decimals", [1, 6])
def test_auc_and_the_middle_of_its_interval_agree_with_scikit_learn(decimals: int) -> None:
    known = noisy(300, seed=5)
    scores = np.round(known.scores, decimals)
    found = auc(task(known.labels, scores), Bootstrap(400, 2))

    assert found is not None
    assert found.value == pytest.approx(roc_auc_score(known.labels, scores))
    drawn = [
        roc_auc_score(known.labels[rows], scores[rows])
        for rows in resampled(known.patients, Bootstrap(400, 2))
    ]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))))


def test_one_class_alone_has_no_auc() -> None:
    assert auc(task(np.ones(5), np.linspace(0, 1, 5)), FEW) is None


def test_patients_are_resampled_whole_so_copies_do_not_narrow_the_interval() -> None:
    known = noisy(150, seed=9)
    above = (known.scores > 0.5).astype(np.float64)
    once = Scores(known.labels, above, known.patients)
    thrice = Scores(np.tile(known.labels, 3), np.tile(above, 3), [*known.patients] * 3)
    often = Bootstrap(300, 4)

    assert estimate(once, sensitivity, often) == estimate(thrice, sensitivity, often)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=60, max_size=120), st.integers(0, 99))
def test_no_patient_is_in_two_parts_and_no_ecg_is_lost(owners: list[int], seed: int) -> None:
    patients = [str(owner) for owner in [*owners, *range(8)]]
    split = split_patients(patients, 0.25, 0.25, seed)
    parts = [{patients[row] for row in part} for part in (split.train, split.cut, split.test)]

    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    rows = np.concatenate([split.train, split.cut, split.test])
    assert sorted(rows.tolist()) == list(range(len(patients)))


def test_a_part_without_a_patient_is_refused() -> None:
    with pytest.raises(ValueError, match="each of train, cut and test"):
        split_patients(["a", "a", "b"], 0.3, 0.3, 0)
