"""Where to cut: the arithmetic of targets and ties, on ECGs as they are and on resamples."""

import math

import numpy as np
from numpy.typing import NDArray

from training.records import Array
from training.statistics.bootstrap import Statistic, at_once

_ROUNDING = 1e-9
"""0.95 x 20 is 19 ECGs, whatever the product's last bits say."""


def sensitivity_cut(labels: Array, scores: Array, target: float) -> float:
    """The largest cut with at least the target share of positives at or above it.

    Args:
        labels: (N,) 1 or 0, with at least one positive; scores: (N,). Ties stay together.
    """
    return float(at_once(sensitivity_cuts(labels, scores, target), len(labels))[0])


def specificity_cut(labels: Array, scores: Array, target: float, base: float = 0.0) -> float:
    """The smallest observed score at or above `base` with the target share of negatives below it.

    Where no score is that large, the base or the next number above the largest negative.

    Args:
        labels: (N,) 1 or 0, with at least one negative; scores: (N,). Ties stay together.
    """
    return float(at_once(specificity_cuts(labels, scores, target, base), len(labels))[0])


def sensitivity_cuts(labels: Array, scores: Array, target: float) -> Statistic:
    """`sensitivity_cut` for ECGs that count several times, or never; NaN without a positive."""
    is_positive = labels == 1
    order = np.flatnonzero(is_positive)[np.argsort(-scores[is_positive], kind="stable")]
    falling = scores[order]

    def of(counts: Array) -> Array:
        return _reaching(counts[:, order], falling, target)[:, np.newaxis]

    return of


def specificity_cuts(labels: Array, scores: Array, target: float, base: float = 0.0) -> Statistic:
    """`specificity_cut` for ECGs that count several times, or never; NaN without a negative."""
    is_negative = labels == 0
    order = np.flatnonzero(is_negative)[np.argsort(scores[is_negative], kind="stable")]
    rising = scores[order]
    by_score = np.argsort(scores, kind="stable")
    observed = scores[by_score]

    def of(counts: Array) -> Array:
        last_below = _reaching(counts[:, order], rising, target)
        cuts = _next_observed(counts[:, by_score] > 0, observed, last_below, base)
        return cuts[:, np.newaxis]

    return of


def below_one(cut: float) -> float:
    """A cut lies within (0, 1); nothing lies between this one and 1."""
    return min(cut, math.nextafter(1.0, 0.0))


def _reaching(counts: Array, ordered: Array, target: float) -> Array:
    """(B,): the first of the ordered scores by which the target share of the ECGs is reached.

    Args:
        counts: (B, P) how often each ECG counts. ordered: (P,) their scores.
    """
    if not len(ordered):
        return np.full(len(counts), np.nan)
    reached = np.cumsum(counts, axis=1)
    needed = np.maximum(1.0, np.ceil(target * reached[:, -1] - _ROUNDING))
    found = ordered[np.argmax(reached >= needed[:, np.newaxis], axis=1)]
    return np.where(reached[:, -1] > 0, found, np.nan)


def _next_observed(
    is_drawn: NDArray[np.bool_], observed: Array, last_below: Array, base: float
) -> Array:
    """(B,): per resample the smallest drawn score above `last_below` and not below `base`.

    Args:
        is_drawn: (B, N); observed: (N,) rising; last_below: (B,).
    """
    start = np.maximum(
        np.searchsorted(observed, last_below, side="right"), np.searchsorted(observed, base)
    )
    fits = is_drawn & (np.arange(len(observed)) >= start[:, np.newaxis])
    beyond = np.maximum(np.nextafter(last_below, np.inf), base)
    found = np.where(fits.any(axis=1), observed[np.argmax(fits, axis=1)], beyond)
    return np.where(np.isnan(last_below), np.nan, found)
