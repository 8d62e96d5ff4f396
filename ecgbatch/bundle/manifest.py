"""bundle.json as a frozen value. Importing this module does not import torch."""

import json
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from ecgbatch.bundle.operating_points import (
    AnyVessel,
    Frozen,
    Scope,
    StratumEntry,
    Task,
    Text,
    refuse_unusable,
)
from ecgbatch.bundle.strict_json import parse_strict
from ecgbatch.errors import SetupFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.preprocessing.spec import PreprocessingSpec
from ecgbatch.terms import LEADS, Numerics, ReasonCode, Vessel

_DEMONSTRATION = "demonstration"


class Metric(Frozen):
    """One measured number; `group` is `overall` or names a subgroup."""

    task: Scope
    group: Annotated[str, Field(min_length=1, max_length=100)] = "overall"
    name: Annotated[str, Field(min_length=1, max_length=100)]
    value: float
    ci: Annotated[tuple[float, float], Field(strict=False)] | None = None
    n: Annotated[int, Field(ge=1)]
    n_positives: Annotated[int, Field(ge=0)]
    data: Text
    is_synthetic: bool


class Manifest(Frozen):
    """Everything about a bundle but its weights and golden ECGs.

    Attributes:
        tasks: always the four vessels, in order.
        near_cut: half-width of the band around each cut, in probability.
        golden_tolerance: largest difference allowed on a golden logit, per numerics class,
            measured at export; a class without one is not admitted.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: Annotated[str, Field(min_length=1, max_length=120)]
    version: Annotated[str, Field(min_length=1, max_length=40)]
    is_clinical: bool
    tasks: Annotated[tuple[Task, ...], Field(strict=False)]
    any_vessel: AnyVessel
    strata: Annotated[tuple[StratumEntry, ...], Field(strict=False)] = ()
    near_cut: Annotated[float, Field(ge=0, le=0.1)]
    architecture: Architecture
    preprocessing: PreprocessingSpec
    golden_tolerance: dict[Numerics, Annotated[float, Field(gt=0, le=1)]]
    intended_use: Text
    exclusions: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
    training_data: Text
    metrics: Annotated[tuple[Metric, ...], Field(strict=False)] = ()
    citation: Text
    notes: Annotated[tuple[Text, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _usable(self) -> Self:
        refuse_unusable(self.tasks, self.strata)
        if not self.is_clinical and _DEMONSTRATION not in self.name.lower():
            raise ValueError("the name of a bundle that is not clinical contains demonstration")
        if self.architecture.n_classes != len(Vessel):
            raise ValueError("the head has one row per vessel")
        if self.architecture.in_channels != len(LEADS):
            raise ValueError("the net takes the twelve leads")
        return self

    @property
    def preprocessing_digest(self) -> str:
        return self.preprocessing.digest

    def refuse_missing_cuts(self) -> None:
        """Whether every ECG can be given its strata.

        Raises:
            SetupFault: `cuts_missing`, naming the task.
        """
        for task in self.tasks:
            if task.cuts is None and not task.is_experimental:
                raise SetupFault(ReasonCode.CUTS_MISSING, task.vessel)
        if self.any_vessel.cuts is None:
            raise SetupFault(ReasonCode.CUTS_MISSING, "any_vessel")

    def to_json(self) -> bytes:
        """UTF-8, one indented document, the same bytes for the same value."""
        document = self.model_dump(mode="json")
        return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def parse_manifest(content: bytes) -> Manifest:
    """bundle.json, strictly.

    Raises:
        SetupFault: `bundle_invalid` or `cuts_inverted`, naming the key or task.
    """
    manifest = parse_strict(content, Manifest, "bundle.json")
    if "schema_version" not in manifest.model_fields_set:
        raise SetupFault(ReasonCode.BUNDLE_INVALID, "bundle.json: schema: missing key")
    return manifest
