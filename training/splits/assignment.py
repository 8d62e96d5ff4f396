"""What every ECG of a run is used for, in one file: part, fold, and the experimental tasks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.folder import write_whole
from training.records import Cohort, Rows
from training.settings.experiment import Experiment
from training.splits.counts import short_of_positives
from training.splits.folds import deal_folds
from training.splits.parts import PartOfRow, deal_parts
from training.terms import Part


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """Part and fold of each ECG, in the cohort's order.

    Attributes:
        parts: (N,) `Part` values. folds: (N,) from 0, NO_FOLD for what is in no fold.
        experimental: tasks left out of any vessel and of the choice of a checkpoint: those of the
            settings and those with too few positives.
        short: of these, the ones that have too few positives in the train or the cut part.
    """

    keys: tuple[str, ...] = field(repr=False)
    parts: PartOfRow = field(repr=False)
    folds: Rows = field(repr=False)
    experimental: tuple[str, ...]
    short: tuple[str, ...]

    def rows(self, *parts: Part) -> Rows:
        """Row numbers of the ECGs of these parts, index or not."""
        return np.flatnonzero(np.isin(self.parts, [part.value for part in parts]))

    def save(self, path: Path) -> None:
        """Parquet: key, part, fold; the tasks in its attributes. Whole or not at all."""
        frame = pd.DataFrame({"key": self.keys, "part": self.parts, "fold": self.folds})
        frame.attrs = {"experimental": list(self.experimental), "short": list(self.short)}
        write_whole(path, lambda aside: frame.to_parquet(aside, index=False))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises: OSError, the file is not there."""
        frame = pd.read_parquet(path)
        return cls(
            keys=tuple(frame["key"]),
            parts=frame["part"].to_numpy(dtype=np.str_),
            folds=frame["fold"].to_numpy(dtype=np.int64),
            experimental=tuple(frame.attrs["experimental"]),
            short=tuple(frame.attrs["short"]),
        )


def assign(cohort: Cohort, experiment: Experiment) -> Assignment:
    """Deal parts and folds; the same cohort and settings give the same ones.

    Raises:
        SetupFault: `settings_invalid`: too few patients for the parts or folds, or every task has
            too few positives or is experimental by the settings.
    """
    parts = deal_parts(cohort, experiment.split, experiment.selection)
    among = None
    if experiment.folds.over == "development":
        among = np.flatnonzero(np.isin(parts, [Part.TRAIN.value, Part.INNER.value]))
    folds = deal_folds(cohort, experiment.folds, among)
    short = short_of_positives(cohort, parts, experiment.labels.fewest_positives)
    experimental = tuple(
        task for task in cohort.tasks if task in short or task in cohort.experimental
    )
    if len(experimental) == len(cohort.tasks):
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID,
            f"no vessel is left: fewer than {experiment.labels.fewest_positives} positives"
            " in the train or the cut part",
        )
    return Assignment(cohort.keys, parts, folds, experimental, short)
