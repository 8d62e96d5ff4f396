"""Areas under the ROC and the precision-recall curve, with ties, weights and intervals."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from training.records import Array, Estimate, Rows, Task
from training.settings.evaluation import BootstrapSettings
from training.statistics import bootstrap as resampling
from training.statistics.bootstrap import Statistic, divided, each_counts_once

_Z = float(norm.ppf(0.975))


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """ECGs with a label, by rising score, for statistics that take weights.

    Attributes:
        rows: (M,) of the task, without missing labels. is_positive: (M,).
        starts, ends: (M,) where the ECGs of equal score begin, and where they have ended.
    """

    rows: Rows
    is_positive: NDArray[np.bool_]
    starts: Rows
    ends: Rows


def ranked(labels: Array, scores: Array) -> Ranked:
    """Args: labels: (N,) 1, 0 or NaN; scores: (N,)."""
    known = np.flatnonzero(np.isfinite(labels))
    rows = known[np.argsort(scores[known], kind="stable")]
    ordered = scores[rows]
    return Ranked(
        rows=rows,
        is_positive=labels[rows] == 1,
        starts=np.searchsorted(ordered, ordered, side="left"),
        ends=np.searchsorted(ordered, ordered, side="right"),
    )


def auroc_statistic(labels: Array, scores: Array) -> Statistic:
    """Mann-Whitney: how often a positive scores above a negative; ties count half (Bamber 1975).

    Undefined where the weights leave one class alone.
    """
    order = ranked(labels, scores)
    places = np.flatnonzero(order.is_positive)

    def of(counts: Array) -> Array:
        mine = counts[:, order.rows]
        below = _running(np.where(order.is_positive, 0.0, mine))
        wins = 0.5 * (below[:, order.starts[places]] + below[:, order.ends[places]])
        positives = mine[:, places]
        pairs = positives.sum(axis=1) * below[:, -1]
        return divided((positives * wins).sum(axis=1), pairs)[:, None]

    return of


def auprc_statistic(labels: Array, scores: Array) -> Statistic:
    """Average precision: the mean over positives of the precision at their score.

    The step sum of recall times precision, without interpolation (Davis and Goadrich 2006).
    Undefined without positives.
    """
    order = ranked(labels, scores)
    places = np.flatnonzero(order.is_positive)

    def of(counts: Array) -> Array:
        mine = counts[:, order.rows]
        positives = mine[:, places]
        all_below = _running(mine)
        positive_below = _running(np.where(order.is_positive, mine, 0.0))
        starts = order.starts[places]
        found = positive_below[:, -1:] - positive_below[:, starts]
        called = all_below[:, -1:] - all_below[:, starts]
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        return divided((positives * precision).sum(axis=1), positives.sum(axis=1))[:, None]

    return of


def macro_statistic(
    of_one: Callable[[Array, Array], Statistic], labels: Array, scores: Array
) -> Statistic:
    """Mean over tasks of `auroc_statistic` or `auprc_statistic`, all from the same weights.

    Args:
        labels, scores: (N, T), each task with both classes. Undefined where one task is.
    """
    parts = [of_one(labels[:, task], scores[:, task]) for task in range(labels.shape[1])]

    def of(counts: Array) -> Array:
        mean: Array = np.mean([part(counts) for part in parts], axis=0)
        return mean

    return of


def auroc(task: Task, settings: BootstrapSettings) -> Estimate | None:
    """With its interval over patients; None where one class is absent."""
    known = task.known()
    statistic = auroc_statistic(known.labels, known.scores)
    return resampling.estimate(statistic, known.patients, settings)


def auprc(task: Task, settings: BootstrapSettings) -> Estimate | None:
    """With its interval over patients; None where one class is absent."""
    known = task.known()
    if not has_both_classes(known.labels):
        return None
    statistic = auprc_statistic(known.labels, known.scores)
    return resampling.estimate(statistic, known.patients, settings)


def has_both_classes(labels: Array) -> bool:
    return bool((labels == 1).any() and (labels == 0).any())


def delong(task: Task) -> Estimate | None:
    """AUROC with DeLong's 95 % interval (DeLong, DeLong and Clarke-Pearson 1988), cut to 0..1.

    None where it does not hold: a patient counts twice, or a class has fewer than two ECGs.
    """
    known = task.known()
    if not each_counts_once(known.patients):
        return None
    placed = placements(known.labels, known.scores)
    if placed is None:
        return None
    value = float(placed[0].mean())
    half = _Z * math.sqrt(_covariance((placed,))[0, 0])
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


@dataclass(frozen=True, slots=True)
class AucDifference:
    """AUROC of a first score minus that of a second on the same ECGs; two-sided p value."""

    difference: Estimate
    p_value: float


def compare_delong(first: Task, second: Task) -> AucDifference | None:
    """Paired test of two scores with the same labels; None where `delong` is, or without spread.

    Raises:
        ValueError: the labels or patients of the two differ.
    """
    if not np.array_equal(first.labels, second.labels, equal_nan=True) or list(
        first.patients
    ) != list(second.patients):
        raise ValueError("both scores must be of the same ECGs")
    one, other = first.known(), second.known()
    placed = placements(one.labels, one.scores)
    against = placements(other.labels, other.scores)
    if placed is None or against is None or not each_counts_once(one.patients):
        return None
    covariance = _covariance((placed, against))
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= 0.0:
        return None
    value = float(placed[0].mean() - against[0].mean())
    half = _Z * math.sqrt(variance)
    p_value = 2.0 * float(norm.sf(abs(value) / math.sqrt(variance)))
    return AucDifference(Estimate(value, value - half, value + half), p_value)


def placements(labels: Array, scores: Array) -> tuple[Array, Array] | None:
    """Share of negatives below each positive, and of positives above each negative; ties half.

    Through ranks (Sun and Xu 2014). None where a class has fewer than two ECGs.
    """
    positives, negatives = scores[labels == 1], scores[labels == 0]
    m, n = len(positives), len(negatives)
    if m < 2 or n < 2:
        return None
    ranks = rankdata(np.concatenate([positives, negatives]))
    below = (ranks[:m] - rankdata(positives)) / n
    above = 1.0 - (ranks[m:] - rankdata(negatives)) / m
    return below, above


def _covariance(placed: tuple[tuple[Array, Array], ...]) -> Array:
    """(S, S) covariance of the areas of S scores."""
    of_positives = np.atleast_2d(np.cov(np.stack([one[0] for one in placed])))
    of_negatives = np.atleast_2d(np.cov(np.stack([one[1] for one in placed])))
    found: Array = of_positives / len(placed[0][0]) + of_negatives / len(placed[0][1])
    return found


def _running(counts: Array) -> Array:
    """(B, M) -> (B, M + 1): sums of all before each place."""
    sums = np.zeros((len(counts), counts.shape[1] + 1))
    np.cumsum(counts, axis=1, out=sums[:, 1:])
    return sums
