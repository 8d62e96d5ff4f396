"""The folds of a cross-validation: by patient, alike in their label patterns, as published."""

import warnings

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.records import Cohort, Rows
from training.settings.fit import FoldSettings
from training.splits.patterns import codes, numbered

NO_FOLD = -1
"""Of an ECG whose patient is in no fold."""


def deal_folds(cohort: Cohort, folds: FoldSettings, among: Rows | None = None) -> Rows:
    """Give each ECG the fold that it is predicted in; all ECGs of a patient have the same one.

    Source: scikit-learn's StratifiedGroupKFold, shuffled, as in the published code; the strata
    are the label patterns of the index ECGs. A missing label is a letter of the pattern of its
    own here, and patterns rarer than `folds.fewest_of_pattern` are merged.

    Args:
        among: rows whose patients are dealt; None: all. Only index ECGs decide.

    Returns:
        (N,) fold from 0, or NO_FOLD for a patient without an index ECG among these rows.

    Raises:
        SetupFault: `settings_invalid`, fewer patients than folds.
    """
    rows = np.flatnonzero(cohort.is_index)
    if among is not None:
        rows = np.intersect1d(rows, among)
    _, patient_of_row = np.unique(np.asarray(cohort.patients), return_inverse=True)
    groups = patient_of_row[rows]
    if len(np.unique(groups)) < folds.n:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "folds.n is more than there are patients")
    strata = numbered(codes(cohort.labels[rows]), folds.fewest_of_pattern)
    if np.bincount(strata - strata.min()).max() < folds.n:
        strata = np.zeros_like(strata)
    fold_of_patient = np.full(int(patient_of_row.max()) + 1, NO_FOLD, dtype=np.int64)
    dealer = StratifiedGroupKFold(folds.n, shuffle=True, random_state=folds.seed)
    with warnings.catch_warnings():
        # Its word on strata smaller than the number of folds; the counts per fold are shown.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for fold, (_, held_out) in enumerate(dealer.split(rows, strata, groups)):
            fold_of_patient[groups[held_out]] = fold
    return fold_of_patient[patient_of_row]
