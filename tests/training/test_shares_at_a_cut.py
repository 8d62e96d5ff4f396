"""Proportions, ratios, net benefit and reclassification against statsmodels and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from ecgbatch.terms import Vessel
from tests.support.studies import study
from training.records import Task
from training.settings.evaluation import BootstrapSettings
from training.statistics import proportions
from training.statistics.any_vessel import any_label, maximum, task_of
from training.statistics.association import agreement_statistic, groups_of, within_statistic
from training.statistics.bootstrap import at_once, estimate, estimates, ratio
from training.statistics.decisions import (
    net_benefit_statistic,
    net_reclassification_statistic,
    reclassified,
)

# Twenty ECGs: at or above 0.5 are 6 of 8 positives and 3 of 12 negatives.
TWENTY = Task(
    np.array([1.0] * 8 + [0.0] * 12),
    np.array([0.9] * 6 + [0.1] * 2 + [0.7] * 3 + [0.2] * 9),
    [f"p{index}" for index in range(20)],
)


def test_the_six_numbers_at_a_cut_are_those_counted_by_hand() -> None:
    found = {
        name: getattr(proportions, name)(TWENTY, 0.5).value
        for name in ("sensitivity", "specificity", "ppv", "npv", "lr_positive", "lr_negative")
    }
    assert found == pytest.approx(
        {
            "sensitivity": 6 / 8,
            "specificity": 9 / 12,
            "ppv": 6 / 9,
            "npv": 9 / 11,
            "lr_positive": 3.0,
            "lr_negative": 1 / 3,
        }
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 400), st.data())
def test_where_each_patient_counts_once_the_interval_is_wilsons_as_in_statsmodels(
    n: int, data: st.DataObject
) -> None:
    hits = data.draw(st.integers(0, n))
    found = proportions.proportion(
        np.arange(n) < hits, np.ones(n, dtype=bool), [str(index) for index in range(n)]
    )
    assert found is not None
    expected = proportion_confint(hits, n, method="wilson")
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0


def test_copies_of_a_patient_count_as_one_and_unlike_ecgs_as_more() -> None:
    hits = np.arange(60) % 3 == 0
    members = np.ones(60, dtype=bool)
    once = proportions.proportion(hits, members, [str(index) for index in range(60)])
    copied = proportions.proportion(
        np.tile(hits, 4), np.tile(members, 4), [str(index % 60) for index in range(240)]
    )
    shuffled = proportions.proportion(
        np.random.default_rng(0).permutation(np.tile(hits, 4)),
        np.tile(members, 4),
        [str(index % 60) for index in range(240)],
    )
    assert once is not None
    assert copied is not None
    assert shuffled is not None
    # The linearised variance has n - 1 where Wilson's has n.
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.02)
    assert shuffled.high - shuffled.low < 0.7 * (copied.high - copied.low)


def test_a_share_of_one_keeps_a_lower_limit_and_the_bootstrap_would_not() -> None:
    everyone = np.ones(20, dtype=bool)
    patients = [str(index // 2) for index in range(20)]
    found = proportions.proportion(everyone, everyone, patients)
    assert found is not None
    assert found.low == pytest.approx(proportion_confint(10, 10, method="wilson")[0])
    drawn = estimate(
        ratio(everyone.astype(float), everyone.astype(float)), patients, BootstrapSettings()
    )
    assert drawn is not None
    assert drawn.low == drawn.high == 1.0


@pytest.mark.parametrize(
    ("a", "n", "b", "m"), [(90, 120, 60, 400), (40, 50, 5, 300), (30, 31, 80, 90)]
)
def test_intervals_of_likelihood_ratios_are_near_the_score_interval_of_statsmodels(
    a: int, n: int, b: int, m: int
) -> None:
    found = proportions.quotient(proportions.wilson(a / n, n), proportions.wilson(b / m, m))
    low, high = confint_proportions_2indep(a, n, b, m, compare="ratio", method="score")
    assert found is not None
    assert np.log([found.low, found.high]) == pytest.approx(np.log([low, high]), abs=0.08)


def test_a_perfect_sensitivity_leaves_lr_negative_and_npv_an_interval() -> None:
    task = Task(TWENTY.labels, np.append(np.full(8, 0.9), TWENTY.scores[8:]), TWENTY.patients)
    negative = proportions.lr_negative(task, 0.5)
    stated = proportions.npv_at(task, 0.5, 0.1)
    assert negative is not None
    assert negative.value == negative.low == 0.0
    assert 0.2 < negative.high < 0.8
    assert stated is not None
    assert stated.value == stated.high == 1.0
    assert 0.9 < stated.low < 0.99


def test_predictive_values_at_a_stated_prevalence_are_bayes_and_meet_the_observed_ones() -> None:
    # Of 1,000 with 10 % disease: 75 of 100 and 225 of 900 at or above; 25 and 675 below.
    positive = proportions.ppv_at(TWENTY, 0.5, 0.1)
    negative = proportions.npv_at(TWENTY, 0.5, 0.1)
    assert positive is not None
    assert positive.value == pytest.approx(75 / 300)
    assert negative is not None
    assert negative.value == pytest.approx(675 / 700)
    for stated, observed in (
        (proportions.ppv_at(TWENTY, 0.5, 0.4), proportions.ppv(TWENTY, 0.5)),
        (proportions.npv_at(TWENTY, 0.5, 0.4), proportions.npv(TWENTY, 0.5)),
    ):
        assert stated is not None
        assert observed is not None
        assert stated.value == pytest.approx(observed.value)


def test_what_has_no_members_or_no_bound_is_none() -> None:
    negatives = Task(np.zeros(4), np.array([0.1, 0.2, 0.3, 0.4]), list("abcd"))
    assert proportions.sensitivity(negatives, 0.2) is None
    assert proportions.ppv(negatives, 0.9) is None
    assert proportions.lr_positive(TWENTY, 0.8) is None
    assert proportions.ppv_at(TWENTY, 0.8, 0.1) is None
    empty = Task(np.full(3, np.nan), np.zeros(3), list("abc"))
    assert proportions.prevalence(empty) is None


def test_a_bootstrap_interval_without_bound_is_no_estimate() -> None:
    above, below = np.array([1.0, 1.0, 1.0]), np.array([1.0, 0.0, 0.0])
    found = estimates(ratio(above, below), list("abc"), BootstrapSettings(n_resamples=50))
    assert found == (None,)


def test_any_vessel_counts_the_vessels_that_are_not_experimental() -> None:
    labels = np.array([[0, 1, 0, 0], [0, 0, 0, np.nan], [1, 0, np.nan, 0], [0, np.nan, 0, 0]])
    one = study(4, labels=labels.astype(np.float32))
    task = task_of(one, "any_vessel")
    assert task.labels[[0, 2, 3]].tolist() == [0.0, 1.0, 0.0]
    assert np.isnan(task.labels[1])
    assert task.scores.tolist() == one.probabilities[:, [0, 2, 3]].max(axis=1).tolist()
    assert maximum(np.array([[0.1, 0.9, 0.2, 0.3]]), (Vessel.LM,)).tolist() == [0.3]
    assert any_label(np.array([[1.0, np.nan], [np.nan, 0.0]]))[0] == 1.0


def test_net_benefit_is_the_one_computed_by_hand() -> None:
    found = at_once(
        net_benefit_statistic(TWENTY.labels, TWENTY.scores, np.array([0.15, 0.5, 0.7, 0.95])), 20
    )
    # At 0.15: 6 hits and 12 false alarms. At 0.5 and, as equal scores are at it, 0.7: 6 and 3.
    expected = [
        (6 - 12 * 0.15 / 0.85) / 20,
        (6 - 3) / 20,
        (6 - 3 * 0.7 / 0.3) / 20,
        0.0,
        *((8 - 12 * t / (1 - t)) / 20 for t in (0.15, 0.5, 0.7, 0.95)),
    ]
    assert found == pytest.approx(np.array(expected))


def test_net_reclassification_is_the_one_counted_in_the_table() -> None:
    # Positives: 5 stay low, 3 low to high, 1 high to low, 1 stays. Negatives: 4 down, 1 up, 5 stay.
    before = np.array([0] * 5 + [0] * 3 + [2] + [1] + [1] * 4 + [0] + [1] * 5)
    after = np.array([0] * 5 + [2] * 3 + [0] + [1] + [0] * 4 + [1] + [1] * 5)
    labels = np.array([1.0] * 10 + [0.0] * 10)
    counts = reclassified(before, after, labels)
    assert counts.positives.tolist() == [[5, 0, 3], [0, 1, 0], [1, 0, 0]]
    assert counts.negatives.tolist() == [[0, 1, 0], [4, 5, 0], [0, 0, 0]]
    found = at_once(net_reclassification_statistic(before, after, labels), 20)
    assert found == pytest.approx(np.array([0.2, 0.3]))


def test_spread_and_agreement_within_patients_are_those_of_the_pairs_by_hand() -> None:
    patients, dates = ["a", "a", "b", "b", "b", "c", "d", "d"], [1, 1, 1, 1, 1, 1, None, None]
    groups = groups_of(patients, dates)
    assert groups.tolist() == [0, 0, 1, 1, 1, -1, -1, -1]
    values, kept = np.array([0.1, 0.3, 0.2, 0.2, 0.5]), groups[:5]
    # Sums of squares 0.02 and 0.06 on 1 + 2 degrees of freedom; 1 of 1 and 1 of 3 pairs alike.
    assert at_once(within_statistic(values, kept), 5) == pytest.approx(np.sqrt([0.08 / 3]))
    classes = np.array([1, 1, 0, 0, 2])
    assert at_once(agreement_statistic(classes, kept), 5) == pytest.approx(np.array([2 / 4]))


def test_the_interval_holds_the_truth_about_as_often_as_it_says_with_repeated_patients() -> None:
    rng = np.random.default_rng(0)
    truth, held = 0.97, 0
    for _ in range(400):
        patients = np.repeat(np.arange(60), rng.integers(1, 4, size=60))
        of_patient = rng.beta(truth * 2.3, (1 - truth) * 2.3, size=60)
        hits = rng.random(len(patients)) < of_patient[patients]
        found = proportions.proportion(hits, np.ones(len(hits), dtype=bool), patients)
        assert found is not None
        held += found.low <= truth <= found.high
    assert 0.91 < held / 400 < 0.99
