"""The parts of the final fit: disjoint by patient, alike in their label patterns."""

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.records import Cohort, Rows
from training.settings.fit import SelectionSettings, SplitSettings
from training.splits.patterns import by_rarest, of_patients
from training.terms import Part

PartOfRow = NDArray[np.str_]
"""(N,) value of `Part` for each ECG of a cohort."""
_WIDTH = max(len(part) for part in Part)
_CHOICE = 1
"""Keeps the draws of the inner split apart from those of the parts where the seeds are equal."""


def deal_parts(cohort: Cohort, split: SplitSettings, selection: SelectionSettings) -> PartOfRow:
    """Give each ECG its part; all ECGs of a patient have the same one.

    The patients are sorted by the label pattern of their index ECGs, shuffled within a pattern,
    and every 1/share-th of them is taken (systematic sampling): each part has its share of
    patients, and of each pattern and of the rarest task's positives to within one patient. Rare
    patterns need no merging, because they lie beside their like. Cut and test do not depend on
    `selection`.

    Returns:
        (N,) `Part` values. No inner part where `selection.kind` is `last`.

    Raises:
        SetupFault: `settings_invalid`, a part would have no patient with an index ECG.
    """
    patients, patient_of_row = _patients(cohort)
    part = np.full(len(patients), Part.TRAIN.value, dtype=f"<U{_WIDTH}")
    draws = np.random.default_rng(split.seed)
    left = 1.0
    for name, share in ((Part.TEST, split.test_share), (Part.CUT, split.cut_share)):
        if share >= left:
            raise SetupFault(ReasonCode.SETTINGS_INVALID, "cut_share and test_share leave no train")
        training = np.flatnonzero(part == Part.TRAIN)
        part[_take(cohort, patient_of_row, training, share / left, draws)] = name.value
        left -= share
    rows = part[patient_of_row]
    rows[deal_inner(cohort, np.flatnonzero(rows == Part.TRAIN), selection)] = Part.INNER.value
    _refuse_empty(cohort, rows, selection)
    return rows


def deal_inner(
    cohort: Cohort, rows: Rows, selection: SelectionSettings, *, fold: int | None = None
) -> Rows:
    """The rows, of those that would train, that choose the checkpoint instead; by patient.

    Args:
        rows: of the cohort; whole patients.
        fold: which fold is left out, None for the final fit; each has draws of its own.

    Returns:
        Some of `rows`, sorted; none where `selection.kind` is `last`.
    """
    if selection.kind == "last":
        return rows[:0]
    _, patient_of_row = _patients(cohort)
    number = 0 if fold is None else fold + 1
    draws = np.random.default_rng([_CHOICE, selection.seed, number])
    among = np.unique(patient_of_row[rows])
    chosen = _take(cohort, patient_of_row, among, selection.inner_share, draws)
    return np.sort(rows[np.isin(patient_of_row[rows], chosen)])


def _patients(cohort: Cohort) -> tuple[NDArray[np.str_], Rows]:
    patients, patient_of_row = np.unique(np.asarray(cohort.patients), return_inverse=True)
    return patients, patient_of_row.astype(np.int64)


def _take(
    cohort: Cohort, patient_of_row: Rows, among: Rows, share: float, draws: np.random.Generator
) -> Rows:
    """A share of the patients `among`: first of those with an index ECG, then of the others."""
    index_rows = np.flatnonzero(cohort.is_index)
    n_patients = int(patient_of_row.max(initial=-1)) + 1
    pattern = of_patients(cohort.labels[index_rows], patient_of_row[index_rows], n_patients)
    has_index = np.isin(among, patient_of_row[index_rows])
    taken = []
    for group in (among[has_index], among[~has_index]):
        order = group[by_rarest(pattern[group], draws.permutation(len(group)))]
        taken.append(order[_every(len(order), share, draws.random())])
    return np.concatenate(taken)


def _every(n: int, share: float, offset: float) -> NDArray[np.bool_]:
    """Which of n in a row are taken: round(n * share) of them, evenly spaced, start at random.

    Args:
        offset: in [0, 1).
    """
    n_taken = round(n * share)
    marks = np.floor(np.arange(n + 1) * n_taken / max(n, 1) + offset)
    return np.diff(marks) > 0


def _refuse_empty(cohort: Cohort, rows: PartOfRow, selection: SelectionSettings) -> None:
    needed = [part for part in Part if part != Part.INNER or selection.kind == "best"]
    for part in needed:
        if not np.any(cohort.is_index & (rows == part)):
            raise SetupFault(
                ReasonCode.SETTINGS_INVALID, f"too few patients: none for the part {part}"
            )
