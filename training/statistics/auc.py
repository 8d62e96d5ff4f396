"""Areas under the ROC and the precision-recall curve, with ties, weights and intervals."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from training.records import Array, Estimate, Task
from training.settings.evaluation import BootstrapSettings
from training.statistics import bootstrap as resampling
from training.statistics.bootstrap import Statistic, divided, each_counts_once

_Z = float(norm.ppf(0.975))


def areas_statistic(labels: Array, scores: Array) -> Statistic:
    """AUROC and AUPRC, two columns, from one sort.

    AUROC is the Mann-Whitney statistic: how often a positive scores above a negative, ties
    counting half (Bamber 1975). AUPRC is average precision: the mean over positives of the
    precision at their score, a step sum without interpolation (Davis and Goadrich 2006).
    AUROC is undefined where the weights leave one class alone, AUPRC without positives.

    Args:
        labels: (N,) 1, 0 or NaN, which is left out; scores: (N,).
    """
    known = np.flatnonzero(np.isfinite(labels))
    rows = known[np.argsort(scores[known], kind="stable")]
    ordered = scores[rows]
    places = np.flatnonzero(labels[rows] == 1)
    # The ECGs of equal score begin at `starts` and have ended at `ends`, counted over all ECGs;
    # the `own_` ones count over positives alone.
    starts = np.searchsorted(ordered, ordered[places], side="left")
    ends = np.searchsorted(ordered, ordered[places], side="right")
    own_starts, own_ends = np.searchsorted(places, starts), np.searchsorted(places, ends)

    def of(counts: Array) -> Array:
        mine = counts[:, rows]
        positives = mine[:, places]
        below, own_below = _running(mine), _running(positives)
        at_starts, at_ends = below[:, starts], below[:, ends]
        own_at_starts = own_below[:, own_starts]
        wins = 0.5 * (at_starts - own_at_starts + at_ends - own_below[:, own_ends])
        n_positives = own_below[:, -1]
        n_negatives = below[:, -1] - n_positives
        called, found = below[:, -1:] - at_starts, own_below[:, -1:] - own_at_starts
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        return np.stack(
            [
                divided((positives * wins).sum(axis=1), n_positives * n_negatives),
                divided((positives * precision).sum(axis=1), n_positives),
            ],
            axis=1,
        )

    return of


def auroc(task: Task, settings: BootstrapSettings) -> Estimate | None:
    """With its interval over patients; None where one class is absent."""
    return areas(task, settings)[0]


def auprc(task: Task, settings: BootstrapSettings) -> Estimate | None:
    """With its interval over patients; None where one class is absent."""
    return areas(task, settings)[1]


def areas(task: Task, settings: BootstrapSettings) -> tuple[Estimate | None, Estimate | None]:
    """AUROC and AUPRC from the same resamples."""
    known = task.known()
    if not has_both_classes(known.labels):
        return None, None
    statistic = areas_statistic(known.labels, known.scores)
    first, second = resampling.estimates(statistic, known.patients, settings)
    return first, second


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
