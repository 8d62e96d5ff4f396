"""`fit`: the weights of the train part, and their logits for the parts they have not seen."""

from typing import Any

import numpy as np

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.fit.checkpoint import load_torch
from training.fit.folder import FitFolder
from training.fit.loop import fit
from training.fit.material import Around, Material
from training.fit.plan import plan_final
from training.fit.predict import predictions_of, scored_logits
from training.folder import RunFolder, people, readable, write_whole
from training.model.start import Start
from training.records import Cohort, Predictions, Rows
from training.settings.experiment import Experiment
from training.splits.assignment import Assignment, assign
from training.terms import Part


def fit_final(run: RunFolder, material: Material, around: Around) -> dict[str, Any]:
    """Fit on the train part; then predict every ECG of the cut and the test part, index or not.

    A finished fit whose predictions are there does nothing.

    Returns:
        The content of final/done.json.

    Raises:
        SetupFault: as `assign`, `fit`; `settings_invalid`, the start has learned from a patient
            of the cut or test part.
    """
    assignment = settled(run, material, around)
    unseen = {part: assignment.rows(part) for part in (Part.CUT, Part.TEST)}
    for rows in unseen.values():
        refuse_seen(run, material.start, material.cohort, rows)
    folder = FitFolder(run.final)
    if around.group.is_first and not folder.done.is_file():
        # Of other weights: those of a fit that was removed, or started from something else.
        for part in unseen:
            name = predictions_name(material.experiment, part, "refit")
            run.predictions(name).unlink(missing_ok=True)
    done = fit(plan_final(material.cohort, assignment), material, folder, around)
    for part, rows in unseen.items():
        name = predictions_name(material.experiment, part, "refit")
        if not has_predictions(run, name, material.cohort, rows):
            logits = logits_of(folder, material, rows, around, f"predicting {part}")
            found = predictions_of(material.cohort, rows, logits, "final")
            save_predictions(run, name, found, around)
    around.group.barrier()
    return done


def settled(run: RunFolder, material: Material, around: Around) -> Assignment:
    """Parts and folds of the run: dealt and written the first time, the same ever after.

    Raises:
        SetupFault: `run_folder_unfit`, parts.parquet is of other settings or another cohort.
    """
    dealt = assign(material.cohort, material.experiment)
    if run.parts.is_file():
        with readable("parts.parquet"):
            is_same = dealt.equals(Assignment.load(run.parts))
        if not is_same:
            raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "parts.parquet is of other settings")
    elif around.group.is_first:
        dealt.save(run.parts)
    around.group.barrier()
    if dealt.short:
        fewest = material.experiment.labels.fewest_positives
        around.say(
            f"{', '.join(dealt.short)}: fewer than {fewest} positives in the train or the cut"
            " part; experimental, without cuts."
        )
    return dealt


def refuse_seen(run: RunFolder, start: Start, cohort: Cohort, rows: Rows) -> None:
    """Raises: SetupFault, the start has learned from a patient who is to be predicted."""
    if not start.seen:
        return
    who = people(run) or {}
    seen = {
        cohort.patients[row]
        for row in rows
        if cohort.keys[row] in start.seen or who.get(cohort.keys[row]) in start.seen_people
    }
    if seen:
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID,
            f"the intermediate stage has learned from {len(seen)} patients who are to be"
            " predicted; leave them out of its manifest",
        )


def logits_of(
    folder: FitFolder, material: Material, rows: Rows, around: Around, what: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(N, T) of a finished fit."""
    weights = load_torch(folder.weights)["model"]
    return scored_logits(
        material.experiment.architecture,
        weights,
        material.inputs,
        rows,
        around=around,
        what=what,
    )


def predictions_name(experiment: Experiment, part: Part, what: str) -> str:
    """`cut` and `test` are always of what is exported; the others' names say what they are of.

    Args:
        what: `refit` or `ensemble`.
    """
    exported = "refit" if experiment.bundle is None else experiment.bundle.what
    return part.value if what == exported else f"{what}_{part.value}"


def has_predictions(run: RunFolder, name: str, cohort: Cohort, rows: Rows) -> bool:
    """Whether these ECGs, and no others, have been predicted under this name."""
    path = run.predictions(name)
    if not path.is_file():
        return False
    with readable(f"predictions/{name}.parquet"):
        return Predictions.load(path).keys == tuple(cohort.keys[row] for row in rows)


def save_predictions(run: RunFolder, name: str, found: Predictions, around: Around) -> None:
    """One process writes; whole or not at all."""
    if around.group.is_first:
        write_whole(run.predictions(name), found.save)
