"""Which ECGs one fit learns from and is chosen by, and what makes it this fit and no other."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from training.model.start import Start
from training.records import Cohort, Rows
from training.settings.experiment import Experiment
from training.splits.assignment import Assignment
from training.splits.parts import deal_inner
from training.terms import Part

_FINAL = 0
_DECISIVE = ("architecture", "start", "loss", "optimiser", "augmentation", "selection")
"""Parts of the settings that a fit's bits depend on, beside its ECGs and labels."""
_NOT_DECISIVE = {"checkpoint_every_steps", "device"}
"""Of `compute`."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One fit of an experiment.

    Attributes:
        name: `final`, `fold 0`. number: 0 for the final fit, then the folds from 1; address of
            its draws.
        train: rows that the weights learn from: index ECGs with at least one label.
        inner: rows that choose the epoch; none where the last one is kept.
        experimental: tasks that do not count for the choice.
    """

    name: str
    number: int
    train: Rows = field(repr=False)
    inner: Rows = field(repr=False)
    experimental: tuple[str, ...]


def plan_final(cohort: Cohort, assignment: Assignment) -> Plan:
    """The fit on the train part."""
    return Plan(
        "final",
        _FINAL,
        _usable(cohort, assignment.rows(Part.TRAIN)),
        _usable(cohort, assignment.rows(Part.INNER)),
        assignment.experimental,
    )


def plan_fold(cohort: Cohort, assignment: Assignment, experiment: Experiment, fold: int) -> Plan:
    """The fit on all folds but one, with an inner split of its own."""
    training = np.flatnonzero((assignment.folds != fold) & (assignment.folds >= 0))
    inner = deal_inner(cohort, training, experiment.selection, fold=fold)
    return Plan(
        f"fold {fold}",
        fold + 1,
        _usable(cohort, np.setdiff1d(training, inner)),
        _usable(cohort, inner),
        assignment.experimental,
    )


def identity(plan: Plan, experiment: Experiment, cohort: Cohort, start: Start) -> str:
    """SHA-256 of all that the weights depend on, but for the machine and the libraries."""
    settings = experiment.model_dump(mode="json")
    compute = {key: value for key, value in settings["compute"].items() if key not in _NOT_DECISIVE}
    stated = {
        "fit": plan.number,
        "tasks": cohort.tasks,
        "experimental": plan.experimental,
        "preset": settings["data"]["preset"],
        "start_digest": start.digest,
        "compute": compute,
        **{part: settings[part] for part in _DECISIVE},
    }
    digest = sha256(json.dumps(stated, sort_keys=True).encode("utf-8"))
    for rows in (plan.train, plan.inner):
        digest.update(_digest_of(cohort, rows))
    return digest.hexdigest()


def keys_at(cohort: Cohort, rows: Rows) -> Sequence[str]:
    return [cohort.keys[row] for row in rows]


def _usable(cohort: Cohort, rows: Rows) -> Rows:
    has_label = np.isfinite(cohort.labels[rows]).any(axis=1)
    return rows[cohort.is_index[rows] & has_label]


def _digest_of(cohort: Cohort, rows: Rows) -> bytes:
    digest = sha256("\n".join(keys_at(cohort, rows)).encode("ascii"))
    digest.update(np.ascontiguousarray(cohort.labels[rows], dtype="<f4").tobytes())
    return digest.digest()
