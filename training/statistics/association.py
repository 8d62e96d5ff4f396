"""Rank correlation, and how far ECGs of one patient agree, as statistics that take weights."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.records import Array
from training.statistics.bootstrap import Statistic, divided, ratio


def rank_correlation_statistic(first: Array, second: Array) -> Statistic:
    """Spearman's correlation: Pearson's of the ranks, ties sharing their mean rank.

    With weights it is what `scipy.stats.spearmanr` gives on repeated rows. Undefined where one of
    the two is constant.

    Args:
        first, second: (N,).
    """
    ranks = [_MeanRanks.of(values) for values in (first, second)]

    def of(counts: Array) -> Array:
        n = counts.sum(axis=1, keepdims=True)
        centred = []
        for one in ranks:
            rank = one.ranks(counts)
            centred.append(rank - divided((counts * rank).sum(axis=1, keepdims=True), n))
        x, y = centred
        spread = (counts * x * x).sum(axis=1) * (counts * y * y).sum(axis=1)
        found = divided((counts * x * y).sum(axis=1), np.sqrt(spread))
        return np.where(spread > 0, found, np.nan)[:, None]

    return of


class _MeanRanks:
    """Mean ranks of values under any weights, from one sort."""

    def __init__(self, values: Array) -> None:
        unique, self.group = np.unique(values, return_inverse=True)
        self.n_groups = len(unique)
        self.order = np.argsort(self.group, kind="stable")
        self.starts = np.searchsorted(self.group[self.order], np.arange(self.n_groups + 1))

    @classmethod
    def of(cls, values: Array) -> "_MeanRanks":
        return cls(values)

    def ranks(self, counts: Array) -> Array:
        """(B, N), less a half, which no correlation sees."""
        sums = np.zeros((len(counts), counts.shape[1] + 1))
        np.cumsum(counts[:, self.order], axis=1, out=sums[:, 1:])
        edges = sums[:, self.starts]
        found: Array = (0.5 * (edges[:, :-1] + edges[:, 1:]))[:, self.group]
        return found


def groups_of(patients: Sequence[str], occasions: "Sequence[object]") -> NDArray[np.int64]:
    """(N,): a number per patient and occasion that have at least two ECGs; -1 for the others.

    Args:
        occasions: None where it is not known; such an ECG is in no group.
    """
    members: dict[tuple[str, object], list[int]] = {}
    for row, (patient, occasion) in enumerate(zip(patients, occasions, strict=True)):
        if occasion is not None:
            members.setdefault((patient, occasion), []).append(row)
    found = np.full(len(patients), -1, dtype=np.int64)
    for number, rows in enumerate(rows for rows in members.values() if len(rows) > 1):
        found[rows] = number
    return found


def within_statistic(values: Array, groups: NDArray[np.int64]) -> Statistic:
    """Standard deviation within groups, sqrt(sum of squares / sum of (size - 1)).

    The within-subject standard deviation of Bland and Altman (1996).

    Args:
        values: (N,); groups: (N,), each group at least two ECGs of one patient, none -1.
    """
    sizes = np.bincount(groups)
    means = np.bincount(groups, weights=values) / sizes
    variance = ratio((values - means[groups]) ** 2, 1.0 - 1.0 / sizes[groups])

    def of(counts: Array) -> Array:
        found: Array = np.sqrt(variance(counts))
        return found

    return of


def agreement_statistic(classes: NDArray[np.int64], groups: NDArray[np.int64]) -> Statistic:
    """Share of the pairs within groups that are of the same class.

    Args:
        classes, groups: (N,), as in `within_statistic`.
    """
    table = np.zeros((groups.max() + 1, classes.max() + 1))
    np.add.at(table, (groups, classes), 1.0)
    alike = table[groups, classes] - 1.0
    others = table.sum(axis=1)[groups] - 1.0
    return ratio(alike, others)
