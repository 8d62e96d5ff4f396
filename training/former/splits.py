"""Disjoint parts of a cohort, by patient: no patient's ECG is ever in two parts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row numbers: `train` for the weights, `cut` for the operating points, `test` for neither."""

    train: Rows = field(repr=False)
    cut: Rows = field(repr=False)
    test: Rows = field(repr=False)


def split_patients(
    patients: Sequence[str], cut_share: float, test_share: float, seed: int
) -> Split:
    """Deal the patients at random; all ECGs of a patient go to one part.

    Args:
        patients: the patient of each row.
        cut_share, test_share: of the patients; the rest trains.

    Raises:
        ValueError: a part would be empty.
    """
    unique, patient_of_row = np.unique(np.asarray(patients), return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(unique))
    n_cut, n_test = round(cut_share * len(unique)), round(test_share * len(unique))
    if min(n_cut, n_test, len(unique) - n_cut - n_test) < 1:
        raise ValueError("each of train, cut and test needs a patient")
    part_of_patient = np.zeros(len(unique), dtype=np.int64)
    part_of_patient[order[:n_cut]] = 1
    part_of_patient[order[n_cut : n_cut + n_test]] = 2
    part_of_row = part_of_patient[patient_of_row]
    train, cut, test = (np.flatnonzero(part_of_row == part) for part in range(3))
    return Split(train=train, cut=cut, test=test)
