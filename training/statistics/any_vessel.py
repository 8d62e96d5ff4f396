"""Any vessel: the maximum over the vessels that are not experimental, and what it stands for."""

from collections.abc import Sequence

import numpy as np

from ecgbatch.bundle.operating_points import Scope
from ecgbatch.terms import ANY_VESSEL, Vessel
from training.records import Array, Study, Task

SCOPES: tuple[Scope, ...] = (*Vessel, "any_vessel")
"""The four vessels and any vessel, as they are shown."""


def any_label(labels: Array) -> Array:
    """(N, T) -> (N,): 1 if any vessel is positive, 0 only if all are known negative, else NaN."""
    is_positive = (labels == 1).any(axis=1)
    is_negative = (labels == 0).all(axis=1)
    return np.where(is_positive, 1.0, np.where(is_negative, 0.0, np.nan))


def maximum(probabilities: Array, experimental: Sequence[str]) -> Array:
    """(N, 4) -> (N,): the maximum over the vessels that are not experimental."""
    largest: Array = probabilities[:, counted(experimental)].max(axis=1)
    return largest


def counted(experimental: Sequence[str]) -> list[int]:
    """Columns of the vessels that any vessel counts."""
    return [column for column, vessel in enumerate(Vessel) if vessel not in experimental]


def task_of(study: Study, scope: Scope) -> Task:
    """One vessel of a study, or any vessel."""
    labels = study.labels.astype(np.float64)
    if scope == ANY_VESSEL:
        return Task(
            any_label(labels[:, counted(study.experimental)]),
            maximum(study.probabilities, study.experimental),
            study.patients,
        )
    column = list(Vessel).index(Vessel(scope))
    return Task(labels[:, column], study.probabilities[:, column], study.patients)
