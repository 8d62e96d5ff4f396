"""The TOML file of an experiment: an unknown, missing or unfit key is an error that names it."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ecgbatch.errors import SetupFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.terms import ReasonCode, Vessel
from training.settings.cohort import CohortSettings

Share = Annotated[float, Field(ge=0.0, le=1.0)]
OpenShare = Annotated[float, Field(gt=0.0, lt=1.0)]
Size = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FitSettings(_Settings):
    """The fit.

    Attributes:
        warm_up_share: of all steps; final_learning_rate_share: of `learning_rate`.
        projection: `pcgrad`, or `none` for the plain mean of the task gradients.
        log_variance_limit: largest |s| of the uncertainty weights.
        gradient_limit: norm above which the gradient is shortened.
        threads: part of the result's bits.
    """

    seed: Annotated[int, Field(ge=0)]
    epochs: Count
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0.0)]
    weight_decay: Size
    warm_up_share: Share
    final_learning_rate_share: Share
    projection: Literal["pcgrad", "none"]
    log_variance_limit: Annotated[float, Field(gt=0.0)]
    gradient_limit: Annotated[float, Field(gt=0.0)]
    threads: Count


class SplitSettings(_Settings):
    """Shares of the patients; the rest trains the weights."""

    seed: Annotated[int, Field(ge=0)]
    cut_share: OpenShare
    test_share: OpenShare


class BootstrapSettings(_Settings):
    """Resampling of patients for every interval."""

    seed: Annotated[int, Field(ge=0)]
    n_resamples: Count


class OperatingPointSettings(_Settings):
    """Targets of the cuts.

    Attributes:
        low_sensitivity: of the low cut, for every task and any vessel.
        high_specificity: of the high cut, per vessel; `any_vessel_high_specificity` beside it.
        experimental: tasks left out of any vessel and of the worklist.
    """

    low_sensitivity: OpenShare
    high_specificity: dict[Vessel, OpenShare]
    any_vessel_high_specificity: OpenShare
    experimental: tuple[Vessel, ...]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if set(self.high_specificity) != set(Vessel):
            raise ValueError("high_specificity must name the four vessels")
        if set(self.experimental) == set(Vessel):
            raise ValueError("at least one vessel must not be experimental")
        return self


class BundleSettings(_Settings):
    """What the exported bundle says of itself.

    Attributes:
        preset: preprocessing. definition: what positive means, per vessel.
        date: of the operating points; stated, so that a rebuild has the same bytes.
        near_cut: half-width of the band around each cut, in probability.
        n_golden, golden_seed, golden_noise_gain: the golden ECGs, from a cohort of their own.
    """

    name: str
    version: str
    preset: str
    date: date
    near_cut: Annotated[float, Field(ge=0.0, le=0.1)]
    definition: dict[Vessel, str]
    intended_use: str
    exclusions: tuple[str, ...]
    training_data: str
    citation: str
    notes: tuple[str, ...]
    n_golden: Count
    golden_seed: Annotated[int, Field(ge=0)]
    golden_noise_gain: Size

    @model_validator(mode="after")
    def _defines_every_vessel(self) -> Self:
        if set(self.definition) != set(Vessel):
            raise ValueError("definition must name the four vessels")
        return self


class DemonstrationSettings(_Settings):
    """Every number of the demonstration bundle: `config/train.demo.toml`."""

    cohort: CohortSettings
    split: SplitSettings
    architecture: Architecture
    fit: FitSettings
    bootstrap: BootstrapSettings
    operating_points: OperatingPointSettings
    bundle: BundleSettings


def load_settings(path: Path) -> DemonstrationSettings:
    """Read and check a settings file.

    Raises:
        SetupFault: `settings_invalid`, naming the first key at fault.
    """
    try:
        with path.open("rb") as opened:
            content = tomllib.load(opened)
    except OSError:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "the file cannot be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "the file is not TOML") from None
    try:
        return DemonstrationSettings.model_validate(content)
    except ValidationError as found:
        key = ".".join(str(part) for part in found.errors()[0]["loc"])
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"key {key}") from None
