"""Classes per part and fold, and the tasks that have too few positives."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.records import Cohort, Rows
from training.splits.folds import NO_FOLD
from training.splits.parts import PartOfRow
from training.terms import Part

DECISIVE = (Part.TRAIN, Part.CUT)
"""Parts where a task needs positives: to learn, and to set cuts."""


@dataclass(frozen=True, slots=True)
class ClassCount:
    """Index ECGs of one task in one group.

    Attributes:
        group: `all`, `part train`, `fold 0`.
    """

    group: str
    task: str
    n_patients: int
    n_ecgs: int
    n_positives: int
    n_negatives: int
    n_missing: int


def counts(cohort: Cohort, parts: PartOfRow, folds: Rows) -> tuple[ClassCount, ...]:
    """Classes of every task: in all index ECGs, in each part, in each fold."""
    return tuple(
        _count(cohort, group, index, is_in & cohort.is_index)
        for group, is_in in _groups(parts, folds)
        for index in range(len(cohort.tasks))
    )


def counts_table(found: tuple[ClassCount, ...]) -> pd.DataFrame:
    """One row per group and task."""
    return pd.DataFrame([asdict(count) for count in found])


def short_of_positives(cohort: Cohort, parts: PartOfRow, fewest: int) -> tuple[str, ...]:
    """Tasks with fewer than `fewest` positive index ECGs in the train or in the cut part."""
    is_positive = (cohort.labels == 1) & cohort.is_index[:, np.newaxis]
    per_part = np.array([is_positive[parts == part].sum(axis=0) for part in DECISIVE])
    return tuple(cohort.tasks[task] for task in np.flatnonzero(per_part.min(axis=0) < fewest))


def _groups(parts: PartOfRow, folds: Rows) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "all", np.ones(len(parts), dtype=bool)
    for part in Part:
        yield f"part {part}", parts == part
    for fold in range(int(folds.max(initial=NO_FOLD)) + 1):
        yield f"fold {fold}", folds == fold


def _count(cohort: Cohort, group: str, task: int, is_in: NDArray[np.bool_]) -> ClassCount:
    rows = np.flatnonzero(is_in)
    labels = cohort.labels[rows, task]
    return ClassCount(
        group=group,
        task=cohort.tasks[task],
        n_patients=len({cohort.patients[row] for row in rows}),
        n_ecgs=len(rows),
        n_positives=int((labels == 1).sum()),
        n_negatives=int((labels == 0).sum()),
        n_missing=int(np.isnan(labels).sum()),
    )
