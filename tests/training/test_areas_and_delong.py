"""AUROC, AUPRC and DeLong against scikit-learn, by hand, and as properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from training.records import Array, Task
from training.settings.evaluation import BootstrapSettings
from training.statistics.association import rank_correlation_statistic
from training.statistics.auc import (
    areas,
    areas_statistic,
    auroc,
    compare_delong,
    delong,
    placements,
)
from training.statistics.bootstrap import at_once, replicates, resampled, weights
from training.statistics.curves import GRID, pr_statistic, roc_statistic


def noisy(n: int = 300, seed: int = 0, separation: float = 1.2, decimals: int = 6) -> Task:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.3).astype(float)
    scores = np.round(1 / (1 + np.exp(-rng.normal(separation * labels, 1.0))), decimals)
    return Task(labels, scores, [f"p{index:05d}" for index in range(n)])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 8]))
def test_weighted_areas_are_scikit_learns_with_ties_and_zero_weights(
    seed: int, decimals: int
) -> None:
    task = noisy(80, seed, decimals=decimals)
    counts = np.random.default_rng(seed).integers(0, 4, size=80).astype(float)
    counts[[np.argmax(task.labels), np.argmin(task.labels)]] = 1.0
    found = areas_statistic(task.labels, task.scores)(counts[None])[0]

    kept = counts > 0
    args = (task.labels[kept], task.scores[kept])
    assert found[0] == pytest.approx(roc_auc_score(*args, sample_weight=counts[kept]))
    assert found[1] == pytest.approx(average_precision_score(*args, sample_weight=counts[kept]))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_weight_is_the_same_as_repeated_rows(seed: int) -> None:
    task = noisy(60, seed, decimals=1)
    counts = np.random.default_rng(seed).integers(0, 4, size=60)
    rows = np.repeat(np.arange(60), counts)
    grades = np.random.default_rng(seed + 1).integers(0, 5, size=60).astype(float)

    for weighted, repeated in (
        (
            areas_statistic(task.labels, task.scores),
            areas_statistic(task.labels[rows], task.scores[rows]),
        ),
        (
            roc_statistic(task.labels, task.scores),
            roc_statistic(task.labels[rows], task.scores[rows]),
        ),
        (
            rank_correlation_statistic(grades, task.scores),
            rank_correlation_statistic(grades[rows], task.scores[rows]),
        ),
    ):
        once = np.ones((1, len(rows)))
        assert weighted(counts[None].astype(float)) == pytest.approx(repeated(once), nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 5.0), st.floats(-3.0, 3.0))
def test_areas_do_not_change_under_a_rising_transform(seed: int, a: float, b: float) -> None:
    task = noisy(70, seed, decimals=2)
    bent = a * np.arctanh(np.clip(task.scores, 0.001, 0.999)) ** 3 + b
    plain = at_once(areas_statistic(task.labels, np.clip(task.scores, 0.001, 0.999)), 70)
    assert at_once(areas_statistic(task.labels, bent), 70) == pytest.approx(plain)


def test_all_scores_alike_rank_as_chance() -> None:
    labels = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
    assert at_once(areas_statistic(labels, np.full(5, 0.3)), 5).tolist() == [0.5, 0.4]


def test_missing_labels_are_left_out_of_both_areas() -> None:
    task = noisy(120)
    labels = np.append(task.labels, [np.nan] * 30)
    scores = np.append(task.scores, np.linspace(0, 1, 30))
    few = BootstrapSettings(n_resamples=20)
    longer = Task(labels, scores, [*task.patients, *(f"q{index}" for index in range(30))])
    assert areas(longer, few) == areas(task, few)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_alone_has_no_area_and_no_number_stands_in(label: float) -> None:
    task = Task(np.full(6, label), np.linspace(0, 1, 6), list("abcdef"))
    assert areas(task, BootstrapSettings(n_resamples=5)) == (None, None)
    assert delong(task) is None


def test_the_interval_is_the_percentiles_over_the_same_resamples_by_scikit_learn() -> None:
    task = noisy(200, decimals=2)
    settings_ = BootstrapSettings(n_resamples=200, seed=3)
    found = auroc(task, settings_)
    drawn = [
        roc_auc_score(task.labels[rows], task.scores[rows])
        for rows in resampled(task.patients, settings_)
    ]
    assert found is not None
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))))


def test_weights_and_rows_draw_the_same_patients_whatever_the_block() -> None:
    patients = ["b", "a", "b", "c", "a", "a"]
    settings_ = BootstrapSettings(n_resamples=30, seed=5)
    counts = np.concatenate(list(weights(patients, settings_)))
    for row, rows in zip(counts, resampled(patients, settings_), strict=True):
        assert np.bincount(rows, minlength=6).tolist() == row.tolist()
        assert row[0] == row[2]
        assert row[1] == row[4] == row[5]


def test_copies_of_each_ecg_do_not_narrow_the_interval() -> None:
    task = noisy(150)
    thrice = Task(np.tile(task.labels, 3), np.tile(task.scores, 3), list(task.patients) * 3)
    settings_ = BootstrapSettings(n_resamples=100)
    once, copied = areas(task, settings_), areas(thrice, settings_)
    for one, other in zip(once, copied, strict=True):
        assert one is not None
        assert other is not None
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high))


def test_delong_on_five_ecgs_is_what_the_placements_give_by_hand() -> None:
    # Positives 0.8, 0.4; negatives 0.6, 0.4, 0.2. Of the negatives, 0.8 is above 3 and 0.4 above
    # 1 and level with 1: placements 1 and 1/2. Above the negatives lie 1/2, 3/4 and 1 of the
    # positives. AUROC 3/4; variances 1/8 and 1/16; variance of the area 1/16 + 1/48 = 1/12.
    labels, scores = np.array([1.0, 1, 0, 0, 0]), np.array([0.8, 0.4, 0.6, 0.4, 0.2])
    placed = placements(labels, scores)
    assert placed is not None
    assert placed[0].tolist() == [1.0, 0.5]
    assert placed[1].tolist() == [0.5, 0.75, 1.0]
    found = delong(Task(labels, scores, list("abcde")))
    assert found is not None
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - 1.959964 / np.sqrt(12), abs=1e-6)
    assert found.high == 1.0


def test_delong_and_the_bootstrap_see_about_the_same_spread() -> None:
    task = noisy(500, seed=2)
    drawn = replicates(
        areas_statistic(task.labels, task.scores), task.patients, BootstrapSettings(n_resamples=800)
    )[:, 0]
    found = delong(task)
    assert found is not None
    half = 1.959964 * drawn.std(ddof=1)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_delong_is_not_given_where_a_patient_counts_twice() -> None:
    task = noisy(50)
    assert delong(Task(task.labels, task.scores, ["same", "same", *task.patients[2:]])) is None


def test_paired_delong_is_the_literal_double_sum_over_pairs() -> None:
    first = noisy(60, seed=4, decimals=1)
    rng = np.random.default_rng(8)
    second = Task(first.labels, np.round(first.scores + rng.normal(0, 0.3, 60), 1), first.patients)
    found = compare_delong(first, second)

    positive, negative = first.labels == 1, first.labels == 0
    rows, columns = [], []
    for scores in (first.scores, second.scores):
        x, y = scores[positive][:, None], scores[negative][None, :]
        wins = (x > y) + 0.5 * (x == y)
        rows.append(wins.mean(axis=1))
        columns.append(wins.mean(axis=0))
    covariance = np.cov(rows) / positive.sum() + np.cov(columns) / negative.sum()
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert found is not None
    assert found.difference.value == pytest.approx(rows[0].mean() - rows[1].mean())
    half = (found.difference.high - found.difference.low) / 2
    assert half == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-6)


def test_a_score_has_no_difference_from_itself_and_other_ecgs_are_refused() -> None:
    task = noisy(40)
    assert compare_delong(task, task) is None
    with pytest.raises(ValueError, match="same ECGs"):
        compare_delong(task, noisy(40, seed=9))


def test_curves_pass_through_scikit_learns_points() -> None:
    task = noisy(150, decimals=1)
    precision, recall, _ = precision_recall_curve(task.labels, task.scores)
    expected: list[float] = []
    for wanted in GRID[1:]:
        reached = np.flatnonzero(recall >= wanted - 1e-12)
        expected.append(float(precision[reached[-1]]))
    found = at_once(pr_statistic(task.labels, task.scores), 150)
    assert found[1:] == pytest.approx(np.array(expected))
    area = np.trapezoid(at_once(roc_statistic(task.labels, task.scores), 150), GRID)
    assert area == pytest.approx(roc_auc_score(task.labels, task.scores), abs=0.01)


def test_rank_correlation_is_scipys_and_undefined_for_a_constant() -> None:
    rng = np.random.default_rng(0)
    grades: Array = rng.integers(0, 5, 90).astype(float)
    scores: Array = np.round(grades / 8 + rng.normal(0, 0.3, 90), 1)
    found = at_once(rank_correlation_statistic(grades, scores), 90)[0]
    assert found == pytest.approx(spearmanr(grades, scores).statistic)
    assert np.isnan(at_once(rank_correlation_statistic(np.ones(90), scores), 90)[0])
