"""A finished run as one value: everything that a bundle and its card are made from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from ecgbatch.errors import SetupFault
from ecgbatch.net.checkpoint import read_checkpoint
from ecgbatch.terms import ReasonCode
from training.data.run import stored_experiment
from training.folder import RunFolder, readable
from training.operating_points.points import COMMAND, OperatingPoints, load_points
from training.operating_points.run import (
    fingerprints,
    load_cohort,
    load_predictions,
    member_paths,
)
from training.records import Cohort, Measure, Predictions, load_measures
from training.settings.evaluation import BundleSettings
from training.settings.experiment import Experiment
from training.terms import Quantity

EVALUATE = "ecgbatch-train evaluate"
TEST, OUT_OF_FOLD = "test", "out_of_fold"
_SAME = 1e-9
_UNREADABLE = (OSError, ValueError, KeyError)


@dataclass(frozen=True, slots=True, eq=False)
class FinishedRun:
    """A run whose every step is done, of one piece.

    Attributes:
        members: state dicts, in the order of their folds. member_digests: SHA-256 of their files.
        measures: of the test part.
        test: predictions of the test part, by the members together.
        data_report: counts of ECGs, patients, exclusions; empty where there is no such file.
        fits: what each member's fit says of itself (done.json); empty where it says nothing.
        parts: key, part, fold of every ECG.
        out_of_fold: measures of the fold models, for the card; empty where there are none.
    """

    experiment: Experiment
    bundle: BundleSettings
    cohort: Cohort = field(repr=False)
    points: OperatingPoints
    measures: tuple[Measure, ...] = field(repr=False)
    members: tuple[Mapping[str, Tensor], ...] = field(repr=False)
    member_digests: tuple[str, ...]
    test: Predictions = field(repr=False)
    data_report: Mapping[str, Any]
    fits: tuple[Mapping[str, Any], ...]
    parts: pd.DataFrame = field(repr=False)
    out_of_fold: tuple[Measure, ...] = field(default=(), repr=False)

    @property
    def is_drawn(self) -> bool:
        """Whether the settings make a cohort: no patient is in it."""
        return self.experiment.cohort is not None

    @property
    def is_synthetic(self) -> bool:
        """As an evaluation says it: the settings make a cohort, or the bundle is not clinical."""
        return self.is_drawn or not self.bundle.is_clinical


def read_finished(folder: RunFolder) -> FinishedRun:
    """Read a run and refuse what is missing, or not of one piece.

    Raises:
        SetupFault: `run_folder_unfit`, naming the command to run; `settings_invalid`, no bundle is
            to be exported or a synthetic one would be clinical; `checkpoint_invalid`.
    """
    experiment = stored_experiment(folder)
    bundle = experiment.bundle
    if bundle is None:
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID, "[bundle] is missing: this experiment exports none"
        )
    if bundle.is_clinical and experiment.cohort is not None:
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID, "bundle.is_clinical: its ECGs are synthetic ([cohort])"
        )
    points = load_points(folder.operating_points)
    found = fingerprints(folder, bundle)
    if found != points.made_from:
        changed = min(name for name in {*found, *points.made_from} if _differs(name, found, points))
        raise SetupFault(
            ReasonCode.RUN_FOLDER_UNFIT,
            f"{changed} is not what the operating points were set with; run `{COMMAND}` and"
            f" `{EVALUATE}` again",
        )
    measures = _measures(folder)
    _refuse_other_evaluation(points, measures)
    paths = member_paths(folder, bundle, experiment.folds.n)
    with readable("parts.parquet"):
        parts = pd.read_parquet(folder.parts)
    return FinishedRun(
        experiment=experiment,
        bundle=bundle,
        cohort=load_cohort(folder),
        points=points,
        measures=measures,
        members=tuple(read_checkpoint(path.read_bytes()) for path in paths),
        member_digests=tuple(found[path.relative_to(folder.path).as_posix()] for path in paths),
        test=load_predictions(folder, TEST),
        data_report=_object(folder.data_report),
        fits=tuple(_object(path.parent / "done.json") for path in paths),
        parts=parts,
        out_of_fold=_out_of_fold(folder),
    )


def _differs(name: str, found: Mapping[str, str], points: OperatingPoints) -> bool:
    return found.get(name) != points.made_from.get(name)


def _measures(folder: RunFolder) -> tuple[Measure, ...]:
    path = folder.evaluation(TEST) / "measures.parquet"
    try:
        return load_measures(path)
    except _UNREADABLE:
        raise SetupFault(
            ReasonCode.RUN_FOLDER_UNFIT, f"no evaluation of the test part; run `{EVALUATE}` first"
        ) from None


def _out_of_fold(folder: RunFolder) -> tuple[Measure, ...]:
    try:
        return load_measures(folder.evaluation(OUT_OF_FOLD) / "measures.parquet")
    except _UNREADABLE:
        return ()


def _refuse_other_evaluation(points: OperatingPoints, measures: Sequence[Measure]) -> None:
    """An evaluation at these cuts finds the sensitivity that the operating points state."""
    found: dict[tuple[str, str | None], float] = {
        (one.scope, one.cut): one.estimate.value
        for one in measures
        if one.quantity is Quantity.SENSITIVITY and one.group == "overall"
    }
    for scope, cuts in points.scopes():
        for which, cut in () if cuts is None else (("low", cuts.low), ("high", cuts.high)):
            held = cut.held.sensitivity
            seen = found.get((scope, which))
            if held is not None and (seen is None or abs(seen - held.value) > _SAME):
                raise SetupFault(
                    ReasonCode.RUN_FOLDER_UNFIT,
                    f"the evaluation of the test part is of other operating points ({scope});"
                    f" run `{EVALUATE}` again",
                )


def _object(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
