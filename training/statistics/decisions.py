"""Net benefit of acting on a threshold, and reclassification between two classifications."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.records import Array
from training.statistics.bootstrap import Statistic, divided

Classes = NDArray[np.int64]
"""(N,): 0 low, 1 intermediate, 2 high."""


def net_benefit_statistic(labels: Array, scores: Array, thresholds: Array) -> Statistic:
    """Net benefit of acting at or above each threshold, then of acting on all, (B, 2 T).

    `TP / n - FP / n x t / (1 - t)` (Vickers and Elkin 2006). Acting on none has 0.

    Args:
        labels: (N,) 1 or 0; scores: (N,) calibrated; thresholds: (T,) rising, each below 1.
    """
    odds = thresholds / (1.0 - thresholds)
    bins = np.searchsorted(thresholds, scores, side="right")
    cells = len(thresholds) + 1
    is_positive = labels == 1

    def of(counts: Array) -> Array:
        n = counts.sum(axis=1, keepdims=True)
        hits = _at_or_above(counts[:, is_positive], bins[is_positive], cells)
        alarms = _at_or_above(counts[:, ~is_positive], bins[~is_positive], cells)
        model = divided(hits[:, 1:] - alarms[:, 1:] * odds, n)
        everyone = divided(hits[:, :1] - alarms[:, :1] * odds, n)
        return np.concatenate([model, everyone], axis=1)

    return of


def _at_or_above(counts: Array, bins: NDArray[np.int64], cells: int) -> Array:
    """(B, M) -> (B, cells): how many lie in each bin or a higher one."""
    order = np.argsort(bins, kind="stable")
    sums = np.zeros((len(counts), counts.shape[1] + 1))
    np.cumsum(counts[:, order], axis=1, out=sums[:, 1:])
    starts = np.searchsorted(bins[order], np.arange(cells), side="left")
    found: Array = sums[:, -1:] - sums[:, starts]
    return found


def net_reclassification_statistic(before: Classes, after: Classes, labels: Array) -> Statistic:
    """Of positives: share moved up less share moved down; of negatives: down less up. (B, 2).

    The two parts of the net reclassification improvement (Pencina 2008), never added: their sum
    weighs a positive and a negative alike whatever the prevalence, and is no proportion.
    """
    move = np.sign(after - before).astype(np.float64)
    positive, negative = (labels == 1).astype(np.float64), (labels == 0).astype(np.float64)
    moved = np.stack([move * positive, -move * negative], axis=1)
    members = np.stack([positive, negative], axis=1)

    def of(counts: Array) -> Array:
        return divided(counts @ moved, counts @ members)

    return of


@dataclass(frozen=True, slots=True)
class Reclassification:
    """How many ECGs of each class before are in each class after: (3, 3) each."""

    positives: NDArray[np.int64] = field(repr=False)
    negatives: NDArray[np.int64] = field(repr=False)


def reclassified(before: Classes, after: Classes, labels: Array) -> Reclassification:
    """Rows: class before; columns: class after."""
    return Reclassification(
        positives=_table(before[labels == 1], after[labels == 1]),
        negatives=_table(before[labels == 0], after[labels == 0]),
    )


def _table(before: Classes, after: Classes) -> NDArray[np.int64]:
    found = np.zeros((3, 3), dtype=np.int64)
    np.add.at(found, (before, after), 1)
    return found


def classes(scores: Array, cuts: tuple[float, float]) -> Classes:
    """Below the low cut 0, at or above the high cut 2, else 1."""
    return (scores >= cuts[0]).astype(np.int64) + (scores >= cuts[1]).astype(np.int64)
