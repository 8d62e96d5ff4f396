"""From a run folder's predictions to its operating_points.json."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode, Vessel
from training.data.run import stored_experiment
from training.folder import RunFolder, write_whole
from training.operating_points.points import OperatingPoints
from training.operating_points.setting import Learnt, Scored, set_points
from training.records import Cohort, Predictions, Progress
from training.settings.evaluation import BundleSettings
from training.settings.experiment import Experiment
from training.terms import Part

FIT = "ecgbatch-train fit"
CROSS_VALIDATE = "ecgbatch-train cross-validate"
_UNREADABLE = (OSError, ValueError, KeyError)
"""Not there, not Parquet, or without its columns."""


def points_of_run(folder: RunFolder, progress: Progress) -> OperatingPoints:
    """Set calibrators and cuts on the cut part, see how they hold on the test part, write both.

    Raises:
        SetupFault: a step before is missing (`run_folder_unfit`); no bundle is to be exported
            (`settings_invalid`); cuts inverted, or no vessel left.
    """
    experiment = stored_experiment(folder)
    bundle = _bundle_settings(experiment)
    progress("operating points", 0, 3)
    cohort = load_cohort(folder)
    experimental, learnt = _learnt(folder, cohort, experiment)
    cut, test = (scored(folder, name, cohort) for name in ("cut", "test"))
    progress("operating points", 1, 3)
    found = set_points(
        cut,
        test,
        learnt,
        experimental=experimental,
        settings=experiment.operating_points,
        bootstrap=experiment.bootstrap,
    )
    progress("operating points", 2, 3)
    points = OperatingPoints(
        data=f"{bundle.data_name}: cut part, unseen by the weights",
        date=bundle.date.isoformat(),
        vessels=found.vessels,
        any_vessel=found.any_vessel,
        warnings=found.warnings,
        n_cut=len(cut.labels),
        n_test=len(test.labels),
        n_resamples=experiment.bootstrap.n_resamples,
        made_from=fingerprints(folder, bundle),
    )
    text = points.to_json()
    write_whole(folder.operating_points, lambda aside: aside.write_text(text, encoding="utf-8"))
    progress("operating points", 3, 3)
    return points


def load_cohort(folder: RunFolder) -> Cohort:
    """Raises: SetupFault `run_folder_unfit`."""
    try:
        return Cohort.load(folder.cohort)
    except _UNREADABLE:
        raise SetupFault(
            ReasonCode.RUN_FOLDER_UNFIT, "no cohort; run `ecgbatch-train check-data` first"
        ) from None


def load_predictions(folder: RunFolder, name: str) -> Predictions:
    """One row per ECG; of an ensemble whose members stand apart, the mean of their logits.

    Raises:
        SetupFault: `run_folder_unfit`.
    """
    try:
        found = Predictions.load(folder.predictions(name))
    except _UNREADABLE:
        fact = (
            f"no predictions out of fold; run `{CROSS_VALIDATE}` first"
            if name == "out_of_fold"
            else f"no predictions of the {name} part; run `{FIT}` first (`{CROSS_VALIDATE}` for an"
            " ensemble)"
        )
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, fact) from None
    if not np.isfinite(found.logits).all():
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, f"a logit of the {name} part is not finite")
    if len(set(found.keys)) == len(found.keys):
        return found
    frame = pd.DataFrame(found.logits, index=pd.Index(found.keys))
    mean = frame.groupby(level=0, sort=False).mean()
    keys = tuple(str(key) for key in mean.index)
    return Predictions(found.tasks, keys, mean.to_numpy(), ("ensemble",) * len(keys))


def scored(folder: RunFolder, name: str, cohort: Cohort) -> Scored:
    """The index ECGs of one part, in the order of the predictions.

    Raises:
        SetupFault: `run_folder_unfit`.
    """
    predictions = load_predictions(folder, name)
    if predictions.tasks != tuple(vessel.value for vessel in Vessel):
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "the predictions are not of the four vessels")
    rows, kept = index_rows(cohort, predictions.keys)
    return Scored(
        logits=predictions.logits[kept],
        labels=cohort.labels[rows].astype(np.float64),
        patients=[cohort.patients[row] for row in rows],
    )


def index_rows(cohort: Cohort, keys: Sequence[str]) -> tuple[list[int], list[int]]:
    """Rows of the cohort's index ECGs among the keys, and their places there.

    Raises:
        SetupFault: `run_folder_unfit`, a key is not the cohort's.
    """
    row_of = {key: row for row, key in enumerate(cohort.keys)}
    if any(key not in row_of for key in keys):
        raise SetupFault(
            ReasonCode.RUN_FOLDER_UNFIT, f"predictions of another cohort; run `{FIT}` again"
        )
    kept = [place for place, key in enumerate(keys) if cohort.is_index[row_of[key]]]
    return [row_of[keys[place]] for place in kept], kept


def member_paths(folder: RunFolder, bundle: BundleSettings, n_folds: int) -> tuple[Path, ...]:
    """The weights that are exported: of the final fit, or of every fold."""
    if bundle.what == "refit":
        return (folder.final / "weights.pt",)
    return tuple(folder.fold(number) / "weights.pt" for number in range(n_folds))


def fingerprints(folder: RunFolder, bundle: BundleSettings) -> dict[str, str]:
    """SHA-256 of the files that operating points belong to: predictions and weights.

    Raises:
        SetupFault: `run_folder_unfit`, one is missing.
    """
    paths = [
        folder.predictions("cut"),
        folder.predictions("test"),
        *member_paths(folder, bundle, stored_experiment(folder).folds.n),
    ]
    try:
        return {
            path.relative_to(folder.path).as_posix(): sha256(path.read_bytes()).hexdigest()
            for path in paths
        }
    except OSError:
        command = FIT if bundle.what == "refit" else CROSS_VALIDATE
        raise SetupFault(
            ReasonCode.RUN_FOLDER_UNFIT, f"weights are missing; run `{command}` first"
        ) from None


def _bundle_settings(experiment: Experiment) -> BundleSettings:
    if experiment.bundle is None:
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID, "[bundle] is missing: this experiment exports none"
        )
    return experiment.bundle


def _learnt(
    folder: RunFolder, cohort: Cohort, experiment: Experiment
) -> tuple[tuple[str, ...], Learnt]:
    """Experimental vessels so far, and the labels of the index ECGs that trained."""
    try:
        frame = pd.read_parquet(folder.parts)
    except _UNREADABLE:
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, f"no parts; run `{FIT}` first") from None
    experimental = {*cohort.experimental, *frame.attrs.get("experimental", ())}
    # Fold models learn from the inner part too: each has an inner split of its own.
    is_ensemble = experiment.bundle is not None and experiment.bundle.what == "ensemble"
    parts = (Part.TRAIN, Part.INNER) if is_ensemble else (Part.TRAIN,)
    trained = frame.loc[frame["part"].isin([part.value for part in parts]), "key"]
    rows, _ = index_rows(cohort, [str(key) for key in trained])
    labels = cohort.labels[rows].astype(np.float64)
    return tuple(sorted(experimental)), Learnt(labels, experiment.loss.positive_weight)
