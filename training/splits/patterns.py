"""Label patterns: what the parts and folds of a cohort are stratified by."""

import numpy as np
from numpy.typing import NDArray

from training.records import Labels, Rows

_MISSING = -1
_RARE = -1


def codes(labels: Labels) -> NDArray[np.int8]:
    """(N, T) 1 positive, 0 negative, -1 missing. The published code took missing for negative."""
    return np.where(np.isfinite(labels), labels, _MISSING).astype(np.int8)


def of_patients(labels: Labels, patient_of_row: Rows, n_patients: int) -> NDArray[np.int8]:
    """(P, T): positive if any of the patient's ECGs is, negative if any is known, else missing.

    Args:
        labels: (N, T); patient_of_row: (N,) from 0 to n_patients - 1.
    """
    pattern = np.full((n_patients, labels.shape[1]), _MISSING, dtype=np.int8)
    np.maximum.at(pattern, patient_of_row, codes(labels))
    return pattern


def numbered(patterns: NDArray[np.int8], fewest: int) -> Rows:
    """(N,) a number per pattern; patterns of fewer than `fewest` rows share one number, -1."""
    _, number, n_rows = np.unique(patterns, axis=0, return_inverse=True, return_counts=True)
    number = number.reshape(-1).astype(np.int64)
    return np.where(n_rows[number] < fewest, _RARE, number)


def by_rarest(patterns: NDArray[np.int8], shuffled: Rows) -> Rows:
    """Rows in an order where equal patterns are neighbours, and rare ones neighbours of their
    like: sorted by the task with the fewest positives first.

    Args:
        shuffled: (N,) a random permutation: the order within a pattern.
    """
    tasks = np.argsort((patterns == 1).sum(axis=0), kind="stable")
    keys = [patterns[shuffled, task] for task in tasks[::-1]]
    return shuffled[np.lexsort(keys)] if len(shuffled) else shuffled
