"""`cross-validate`: a fit per fold, and for every index ECG the logits of the fit without it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.fit.final import (
    logits_of,
    predictions_name,
    refuse_seen,
    save_predictions,
    settled,
)
from training.fit.folder import FitFolder
from training.fit.loop import fit
from training.fit.material import Around, Material
from training.fit.plan import plan_fold
from training.fit.predict import predictions_of
from training.fit.selection import auc_or_none
from training.folder import RunFolder, readable, write_json, write_whole
from training.records import Array, Predictions, Rows
from training.splits.assignment import Assignment
from training.terms import Part


@dataclass(frozen=True, slots=True)
class TaskAuc:
    """One task out of fold, index ECGs alone.

    Attributes:
        pooled: over all folds' logits together, which also holds their calibration against each
            other to account. folds: within each; None where a class is absent.
    """

    task: str
    is_experimental: bool
    n_positives: int
    n_negatives: int
    pooled: float | None
    folds: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What is known after some folds.

    Attributes:
        missing: folds that are not fitted yet; out-of-fold predictions are written when none is.
        macro: mean of the pooled AUCs of the tasks that are not experimental.
    """

    n_folds: int
    missing: tuple[int, ...]
    tasks: tuple[TaskAuc, ...] = ()
    macro: float | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def cross_validate(
    run: RunFolder, material: Material, around: Around, folds: Sequence[int] | None = None
) -> CrossValidation:
    """Fit the folds, each with an inner split of its own, and predict what each has not seen.

    Args:
        folds: some of them, for example one per machine; None: all.

    Raises:
        SetupFault: as `fit_final`; `settings_invalid`, there is no such fold.
    """
    n_folds = material.experiment.folds.n
    if folds is not None and not set(folds) <= set(range(n_folds)):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"folds are numbered 0 to {n_folds - 1}")
    assignment = settled(run, material, around)
    for fold in range(n_folds) if folds is None else sorted(set(folds)):
        _fit_fold(run, material, assignment, fold, around)
    around.group.barrier()
    missing = tuple(fold for fold in range(n_folds) if not _is_done(run, fold))
    if missing:
        return CrossValidation(n_folds, missing)
    found = _join(run, material, assignment, around)
    if around.group.is_first:
        write_json(run.fold(0).parent / "summary.json", found.as_json())
    return found


def _fit_fold(
    run: RunFolder, material: Material, assignment: Assignment, fold: int, around: Around
) -> None:
    folder, cohort = FitFolder(run.fold(fold)), material.cohort
    rows = _unseen(material, assignment, fold)
    refuse_seen(run, material.start, cohort, rows)
    if around.group.is_first and not folder.done.is_file():
        # Of the weights of a fit that was removed.
        folder.predictions.unlink(missing_ok=True)
    fit(plan_fold(cohort, assignment, material.experiment, fold), material, folder, around)
    if not _is_done(run, fold):
        logits = logits_of(folder, material, rows, around, f"predicting fold {fold}")
        found = predictions_of(cohort, rows, logits, f"fold {fold}")
        if around.group.is_first:
            write_whole(folder.predictions, found.save)


def _unseen(material: Material, assignment: Assignment, fold: int) -> Rows:
    """The fold's own ECGs, and where no fold model has seen them those of cut and test part."""
    rows = np.flatnonzero(assignment.folds == fold)
    if material.experiment.folds.over == "development":
        rows = np.concatenate([rows, *(assignment.rows(part) for part in (Part.CUT, Part.TEST))])
    return rows


def _is_done(run: RunFolder, fold: int) -> bool:
    folder = FitFolder(run.fold(fold))
    return folder.done.is_file() and folder.predictions.is_file()


def _join(
    run: RunFolder, material: Material, assignment: Assignment, around: Around
) -> CrossValidation:
    """Write the out-of-fold predictions, and the ensemble's where there is one."""
    cohort, n_folds = material.cohort, material.experiment.folds.n
    row_of_key = {key: row for row, key in enumerate(cohort.keys)}
    logits = np.full((n_folds, len(cohort), len(cohort.tasks)), np.nan)
    for fold in range(n_folds):
        with readable(f"folds/{fold}/predictions.parquet"):
            found = Predictions.load(FitFolder(run.fold(fold)).predictions)
        logits[fold, [row_of_key[key] for key in found.keys]] = found.logits
    own = np.flatnonzero(assignment.folds >= 0)
    held_out = logits[assignment.folds[own], own]
    out_of_fold = Predictions(
        cohort.tasks,
        tuple(cohort.keys[row] for row in own),
        held_out,
        tuple(f"fold {assignment.folds[row]}" for row in own),
    )
    save_predictions(run, "out_of_fold", out_of_fold, around)
    if material.experiment.folds.over == "development":
        for part in (Part.CUT, Part.TEST):
            rows = assignment.rows(part)
            mean = predictions_of(cohort, rows, logits[:, rows].mean(axis=0), "ensemble")
            save_predictions(
                run, predictions_name(material.experiment, part, "ensemble"), mean, around
            )
    return _summary(material, assignment, own, held_out)


def _summary(
    material: Material, assignment: Assignment, rows: Rows, logits: Array
) -> CrossValidation:
    n_folds, cohort = material.experiment.folds.n, material.cohort
    is_index = cohort.is_index[rows]
    labels, logits = cohort.labels[rows[is_index]], logits[is_index]
    folds = assignment.folds[rows[is_index]]
    tasks = tuple(
        TaskAuc(
            task=task,
            is_experimental=task in assignment.experimental,
            n_positives=int((labels[:, index] == 1).sum()),
            n_negatives=int((labels[:, index] == 0).sum()),
            pooled=auc_or_none(labels[:, index], logits[:, index]),
            folds=tuple(
                auc_or_none(labels[folds == fold, index], logits[folds == fold, index])
                for fold in range(n_folds)
            ),
        )
        for index, task in enumerate(cohort.tasks)
    )
    counting = [task.pooled for task in tasks if not task.is_experimental]
    known = [auc for auc in counting if auc is not None]
    return CrossValidation(n_folds, (), tasks, float(np.mean(known)) if known else None)
