"""Which epoch's weights are kept: macro AUC on the inner split, never on what is reported."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.metrics import roc_auc_score

from training.records import Array, Labels


@dataclass(frozen=True, slots=True)
class InnerScore:
    """One epoch on the inner split.

    Attributes:
        aucs: per task; None where a class is absent.
        macro: mean over the tasks that count; None where none does.
    """

    aucs: tuple[float | None, ...]
    macro: float | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The best epoch so far; of equal ones the earlier.

    Attributes:
        epoch: from 0; None before the first. macro: its score.
    """

    epoch: int | None = None
    macro: float | None = None

    def after(self, epoch: int, score: InnerScore, *, keeps_last: bool) -> Self:
        """What is kept after one more epoch."""
        if keeps_last or self.macro is None or (score.macro or 0.0) > self.macro:
            return type(self)(epoch, score.macro)
        return self


def counted_tasks(
    tasks: tuple[str, ...], labels: Labels, experimental: tuple[str, ...], fewest: int
) -> tuple[str, ...]:
    """Tasks that the choice rests on: not experimental, enough positives, and a negative.

    Args:
        labels: (N, T) of the inner split.
    """
    n_positives, n_negatives = (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)
    return tuple(
        task
        for index, task in enumerate(tasks)
        if task not in experimental and n_positives[index] >= fewest and n_negatives[index] > 0
    )


def score_inner(
    tasks: tuple[str, ...], labels: Labels, logits: Array, counted: tuple[str, ...]
) -> InnerScore:
    """AUC per task over the ECGs that have its label.

    Args:
        labels, logits: (N, T).
    """
    aucs = tuple(
        auc_or_none(labels[:, index], logits[:, index]) for index in range(labels.shape[1])
    )
    counting = [auc for task, auc in zip(tasks, aucs, strict=True) if task in counted]
    known = [auc for auc in counting if auc is not None]
    return InnerScore(aucs, float(np.mean(known)) if known else None)


def auc_or_none(labels: Labels, scores: Array) -> float | None:
    """Area under the ROC curve; None where a class is absent. Labels may be NaN."""
    is_known = np.isfinite(labels)
    if len(np.unique(labels[is_known])) < 2:
        return None
    return float(roc_auc_score(labels[is_known], scores[is_known]))
