"""A run folder's own predictions as a study: the test part, or every ECG out of fold."""

from functools import partial
from typing import Literal

import numpy as np

from ecgbatch.terms import Vessel
from training.data.run import open_run, read_mv
from training.evaluation.section import Context
from training.folder import RunFolder
from training.operating_points.points import OperatingPoints, load_points
from training.operating_points.run import load_predictions
from training.records import Array, Cohort, Study
from training.settings.experiment import Experiment

On = Literal["test", "out_of_fold"]
NAMES = {"test": "test part", "out_of_fold": "out-of-fold predictions"}


def context_of_run(run: RunFolder, on: On) -> Context:
    """Probabilities under the run's operating points; only index ECGs are measured.

    Raises:
        SetupFault: `run_folder_unfit`: a step before is missing.
    """
    opened = open_run(run)
    points = load_points(run.operating_points)
    predictions = load_predictions(run, on)
    row_of = {key: row for row, key in enumerate(opened.cohort.keys)}
    rows = np.array([row_of[key] for key in predictions.keys], dtype=np.int64)
    cohort = opened.cohort.at(rows)
    study = study_of(
        f"{data_name(opened.experiment)}, {NAMES[on]}",
        cohort,
        points.probabilities(predictions.logits),
        experimental=points.experimental,
        is_synthetic=is_synthetic(opened.experiment),
    )
    return context_of(study, cohort, points, opened.experiment, run)


def context_of(
    study: Study, cohort: Cohort, points: OperatingPoints, experiment: Experiment, run: RunFolder
) -> Context:
    """Index ECGs to measure, all ECGs for repeatability."""
    index = np.flatnonzero(cohort.is_index)
    return Context(
        study=study.at(index),
        cuts=points.cut_pairs(),
        settings=experiment.evaluation,
        bootstrap=experiment.bootstrap,
        read_mv=partial(read_mv, run),
        repeats=None if len(index) == len(cohort) else study,
    )


def study_of(
    name: str,
    cohort: Cohort,
    probabilities: Array,
    *,
    experimental: tuple[str, ...],
    is_synthetic: bool,
) -> Study:
    """A cohort with its probabilities, row by row. (N, 4)."""
    return Study(
        name=name,
        keys=cohort.keys,
        patients=cohort.patients,
        probabilities=probabilities,
        labels=cohort.labels.astype(np.float64),
        grades=cohort.grades,
        covariates=cohort.covariates,
        experimental=tuple(Vessel(one) for one in experimental),
        is_synthetic=is_synthetic,
    )


def data_name(experiment: Experiment) -> str:
    """What the settings call their data."""
    return experiment.name if experiment.bundle is None else experiment.bundle.data_name


def is_synthetic(experiment: Experiment) -> bool:
    """Whether the settings' data is synthetic: they make a cohort, or a bundle not clinical."""
    if experiment.cohort is not None:
        return True
    return experiment.bundle is not None and not experiment.bundle.is_clinical
