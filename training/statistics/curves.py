"""ROC and precision-recall curves on a grid, for the bands of their resamples."""

from collections.abc import Callable

import numpy as np

from training.records import Array
from training.statistics.bootstrap import Statistic

GRID: Array = np.linspace(0.0, 1.0, 101)
"""False positive rates, and recalls, that the bands are drawn at."""


def roc_statistic(labels: Array, scores: Array) -> Statistic:
    """Sensitivity at each false positive rate of the grid, (B, 101), between thresholds linear.

    Args:
        labels: (N,) 1 or 0; scores: (N,).
    """

    def of_one(hits: Array, alarms: Array) -> Array:
        found: Array = np.interp(GRID, alarms / alarms[-1], hits / hits[-1])
        return found

    return _by_threshold(labels, scores, of_one)


def pr_statistic(labels: Array, scores: Array) -> Statistic:
    """Precision at the highest threshold that reaches each recall of the grid, (B, 101).

    Not interpolated: between two thresholds there is no classifier (Davis and Goadrich 2006).
    """

    def of_one(hits: Array, alarms: Array) -> Array:
        # Less a little, so that a recall of exactly 0.3 in floats is one.
        place = np.searchsorted(hits / hits[-1], GRID - 1e-12, side="left")
        place = np.maximum(place, np.searchsorted(hits + alarms, 0.0, side="right"))
        found: Array = hits[place] / (hits[place] + alarms[place])
        return found

    return _by_threshold(labels, scores, of_one)


def _by_threshold(
    labels: Array, scores: Array, of_one: Callable[[Array, Array], Array]
) -> Statistic:
    """Hands on how many positives and negatives lie at or above each distinct score, falling."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    is_positive = labels[order] == 1

    def of(counts: Array) -> Array:
        mine = counts[:, order]
        hits = np.cumsum(np.where(is_positive, mine, 0.0), axis=1)[:, last]
        alarms = np.cumsum(np.where(is_positive, 0.0, mine), axis=1)[:, last]
        found = np.full((len(counts), len(GRID)), np.nan)
        for row in np.flatnonzero((hits[:, -1] > 0) & (alarms[:, -1] > 0)):
            found[row] = of_one(np.append(0.0, hits[row]), np.append(0.0, alarms[row]))
        return found

    return of
