"""How well risks rank and how strata hold, with patient-clustered bootstrap intervals."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Statistic = Callable[[Array, Array], float | None]
"""(labels, scores) -> a number, or None where it is undefined."""

_COVERAGE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How often to resample patients, and from which seed."""

    n_resamples: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One task on one set of ECGs.

    Attributes:
        labels: (N,) 1, 0 or NaN (missing: left out of every statistic).
        scores: (N,) probabilities.
        patients: (N,) the patient of each ECG.
    """

    labels: Array
    scores: Array
    patients: Sequence[str]

    def known(self) -> "Scores":
        """Without the ECGs whose label is missing."""
        return self.at(np.flatnonzero(np.isfinite(self.labels)))

    def at(self, rows: Rows) -> "Scores":
        return Scores(self.labels[rows], self.scores[rows], [self.patients[row] for row in rows])


def any_vessel_label(labels: Array) -> Array:
    """(N, T) -> (N,): 1 if any task is positive, 0 only if all are known negative, else NaN."""
    is_positive = (labels == 1).any(axis=1)
    is_negative = (labels == 0).all(axis=1)
    return np.where(is_positive, 1.0, np.where(is_negative, 0.0, np.nan))


def auc(task: Scores, bootstrap: Bootstrap) -> Estimate | None:
    """Area under the ROC curve; None where one class is absent."""
    known = task.known()
    if len(np.unique(known.labels)) < 2:
        return None
    value = float(roc_auc_score(known.labels, known.scores))
    return interval(value, known, _rank_auc, bootstrap)


def sensitivity(labels: Array, at_or_above: Array) -> float | None:
    """Share of the positives that are at or above a cut."""
    return _mean(at_or_above[labels == 1])


def specificity(labels: Array, at_or_above: Array) -> float | None:
    """Share of the negatives that are below a cut."""
    below = _mean(at_or_above[labels == 0])
    return None if below is None else 1.0 - below


def incidence(labels: Array, belongs: Array) -> float | None:
    """Share of positives among the ECGs that belong to a stratum."""
    return _mean(labels[belongs == 1])


def estimate(task: Scores, statistic: Statistic, bootstrap: Bootstrap) -> Estimate | None:
    """A statistic over the ECGs with a label, with its interval."""
    known = task.known()
    value = statistic(known.labels, known.scores)
    return None if value is None else interval(value, known, statistic, bootstrap)


def interval(value: float, task: Scores, statistic: Statistic, bootstrap: Bootstrap) -> Estimate:
    """Percentile interval over resampled patients; resamples without a value are left out."""
    drawn = [
        found
        for rows in resampled(task.patients, bootstrap)
        if (found := statistic(task.labels[rows], task.scores[rows])) is not None
    ]
    if not drawn:
        return Estimate(value, value, value)
    tail = (1.0 - _COVERAGE) / 2.0
    low, high = np.quantile(drawn, (tail, 1.0 - tail))
    return Estimate(value, min(float(low), value), max(float(high), value))


def resampled(patients: Sequence[str], bootstrap: Bootstrap) -> Iterator[Rows]:
    """Rows of each resample: as many patients, with replacement, each with all its ECGs."""
    rng = np.random.default_rng(bootstrap.seed)
    unique, patient_of_row = np.unique(np.asarray(patients), return_inverse=True)
    all_rows = np.arange(len(patient_of_row))
    for _ in range(bootstrap.n_resamples):
        drawn = rng.integers(0, len(unique), size=len(unique))
        times = np.bincount(drawn, minlength=len(unique))
        yield np.repeat(all_rows, times[patient_of_row])


def _rank_auc(labels: Array, scores: Array) -> float | None:
    """The AUC as the Mann-Whitney statistic; ties count half."""
    is_positive = labels == 1
    n_positives = int(is_positive.sum())
    n_pairs = n_positives * (len(labels) - n_positives)
    if n_pairs == 0:
        return None
    rank_sum = float(rankdata(scores)[is_positive].sum())
    return (rank_sum - n_positives * (n_positives + 1) / 2.0) / n_pairs


def _mean(values: Array) -> float | None:
    return float(values.mean()) if len(values) else None
