"""An external cohort under a frozen bundle: its preparation, weights, calibrators and cuts."""

from pathlib import Path

import numpy as np
import pandas as pd

from ecgbatch.bundle.load import Bundle, load_bundle
from ecgbatch.bundle.manifest import Manifest
from ecgbatch.bundle.operating_points import Cuts, Scope
from ecgbatch.errors import SetupFault
from ecgbatch.records import ModelInput
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.terms import ReasonCode, Vessel
from training.data.millivolts import millivolts_reader
from training.data.prepare import PreparedCohort, prepare
from training.evaluation.of_run import data_name, is_synthetic, study_of
from training.evaluation.section import Context
from training.records import Array, Inputs, Progress
from training.settings.experiment import Experiment

_AT_ONCE = 32


def context_of_bundle(
    experiment: Experiment,
    bundle_folder: Path,
    *,
    manifest: Path,
    root: Path,
    cache: Path,
    progress: Progress,
) -> tuple[Context, Bundle, pd.DataFrame]:
    """Nothing is refitted. The settings say how to read the manifest and what is reported.

    Returns:
        With the bundle, and the rows of the manifest that are left out.

    Raises:
        SetupFault: the bundle or the manifest is unfit, the settings have other tasks.
    """
    if experiment.labels.binary:
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID, "labels.binary: a bundle has the four vessels"
        )
    bundle = load_bundle(bundle_folder)
    prepared = prepare(
        experiment.data,
        experiment.labels,
        bundle.manifest.preprocessing,
        manifest=manifest,
        root=root,
        cache=cache,
        progress=progress,
    )
    probabilities = score(bundle, prepared.inputs, progress)
    return (
        _context(experiment, bundle, prepared, probabilities, root),
        bundle,
        prepared.excluded,
    )


def score(bundle: Bundle, inputs: Inputs, progress: Progress) -> Array:
    """(N, 4) calibrated probabilities, by the code that `ecgbatch run-once` scores with.

    Raises:
        SetupFault: the golden ECGs are not reproduced.
    """
    scorer, rows = Scorer(bundle), []
    for first in range(0, len(inputs), _AT_ONCE):
        some = np.arange(first, min(first + _AT_ONCE, len(inputs)))
        given = [ModelInput(signal, 0) for signal in inputs.take(some)]
        rows += [[risk.probability for risk in risks] for risks in scorer.score(given)]
        progress("scoring", len(rows), len(inputs))
    return np.array(rows, dtype=np.float64).reshape(-1, len(Vessel))


def cut_pairs(manifest: Manifest) -> dict[Scope, tuple[float, float]]:
    """Low and high cut per scope; a scope without cuts is absent."""
    stated: dict[Scope, Cuts | None] = {task.vessel: task.cuts for task in manifest.tasks}
    stated["any_vessel"] = manifest.any_vessel.cuts
    return {
        scope: (cuts.low.value, cuts.high.value)
        for scope, cuts in stated.items()
        if cuts is not None
    }


def _context(
    experiment: Experiment,
    bundle: Bundle,
    prepared: PreparedCohort,
    probabilities: Array,
    root: Path,
) -> Context:
    cohort, private = prepared.cohort, prepared.private
    study = study_of(
        f"{data_name(experiment)}, external",
        cohort,
        probabilities,
        experimental=tuple(task.vessel for task in bundle.manifest.tasks if task.is_experimental),
        is_synthetic=is_synthetic(experiment),
    )
    index = np.flatnonzero(cohort.is_index)
    return Context(
        study=study.at(index),
        cuts=cut_pairs(bundle.manifest),
        settings=experiment.evaluation,
        bootstrap=experiment.bootstrap,
        read_mv=millivolts_reader(
            dict(zip(private["key"], private["path"], strict=True)),
            root,
            experiment.data.arrays,
            bundle.manifest.preprocessing,
        ),
        repeats=None if len(index) == len(cohort) else study,
    )
