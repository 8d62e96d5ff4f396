"""One TOML file per experiment: an unknown, missing or unfit key is an error that names it."""

from pathlib import Path
from typing import Self

from pydantic import model_validator

from ecgbatch.net.architecture import Architecture
from ecgbatch.terms import Vessel
from training.settings.base import Name, Settings, read_toml, validated
from training.settings.cohort import CohortSettings
from training.settings.data import DataSettings, LabelSettings
from training.settings.evaluation import (
    BootstrapSettings,
    BundleSettings,
    EvaluationSettings,
    OperatingPointSettings,
)
from training.settings.fit import (
    AugmentationSettings,
    ComputeSettings,
    FoldSettings,
    LossSettings,
    OptimiserSettings,
    SelectionSettings,
    SplitSettings,
    StartSettings,
)


class Experiment(Settings):
    """Every number of an experiment; nothing that differs from machine to machine.

    Attributes:
        cohort: of `synthesise`; None where the ECGs come from elsewhere.
        bundle: None for an intermediate stage, which exports no bundle.
    """

    name: Name
    cohort: CohortSettings | None = None
    data: DataSettings
    labels: LabelSettings = LabelSettings()
    architecture: Architecture
    start: StartSettings = StartSettings()
    loss: LossSettings = LossSettings()
    optimiser: OptimiserSettings
    augmentation: AugmentationSettings = AugmentationSettings()
    split: SplitSettings = SplitSettings()
    folds: FoldSettings = FoldSettings()
    selection: SelectionSettings = SelectionSettings()
    compute: ComputeSettings = ComputeSettings()
    bootstrap: BootstrapSettings = BootstrapSettings()
    operating_points: OperatingPointSettings = OperatingPointSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    bundle: BundleSettings | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the net's outputs: the four vessels, or those of an intermediate stage."""
        if self.labels.binary:
            return tuple(task.name for task in self.labels.binary)
        return tuple(vessel.value for vessel in Vessel)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.labels.binary and not self.data.columns.vessels:
            raise ValueError("data.columns.vessels is needed")
        if self.architecture.n_classes != len(self.tasks):
            raise ValueError("architecture.n_classes is the number of tasks")
        if unknown := set(self.loss.positive_weight) - set(self.tasks):
            raise ValueError(f"loss.positive_weight names no task of ours: {min(unknown)}")
        ensemble = self.bundle is not None and self.bundle.what == "ensemble"
        if ensemble and self.folds.over != "development":
            raise ValueError('bundle.what = "ensemble" needs folds.over = "development"')
        return self


def load_experiment(path: Path) -> Experiment:
    """Read and check a settings file.

    Raises:
        SetupFault: `settings_invalid`, naming the first key at fault.
    """
    return validated(Experiment, read_toml(path))
