"""operating_points.json as a frozen value: calibrators, cuts, and how both hold."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from ecgbatch.bundle.operating_points import (
    Calibrator,
    Estimate,
    Frozen,
    Interval,
    NoCalibrator,
    OpenShare,
    Scope,
    Share,
    Text,
    refuse_inverted,
)
from ecgbatch.bundle.operating_points import Cut as BundleCut
from ecgbatch.bundle.operating_points import Cuts as BundleCuts
from ecgbatch.bundle.strict_json import parse_strict
from ecgbatch.errors import SetupFault
from ecgbatch.terms import ANY_VESSEL, ReasonCode, Vessel
from training.operating_points.calibrators import calibrated
from training.records import Array

COMMAND = "ecgbatch-train operating-points"
Count = Annotated[int, Field(ge=0)]


class Reached(Frozen):
    """What a cut does on one set of ECGs; None where the class is absent there.

    Attributes:
        n_positives, n_negatives: ECGs with a label.
        n_at_cut: ECGs whose probability is the cut itself, with a label or not; they count as at
            or above it. n_positives_at_cut: the positives among them.
    """

    sensitivity: Estimate | None
    specificity: Estimate | None
    n_positives: Count
    n_negatives: Count
    n_at_cut: Count
    n_positives_at_cut: Count


class SetCut(Frozen):
    """One cut on the calibrated probability.

    Attributes:
        kind: what was aimed at; of an absolute cut the target is the value.
        value_ci: 95 %, of the cut set anew on resampled patients; None for an absolute cut.
        set_on, held: on the cut part, where it was set, and on the test part.
    """

    kind: Literal["sensitivity", "specificity", "absolute"]
    value: OpenShare
    value_ci: Interval | None
    target: Share
    set_on: Reached
    held: Reached

    def reached(self, on: Reached) -> Estimate | None:
        """What it was aimed at: specificity of a specificity cut, else sensitivity."""
        return on.specificity if self.kind == "specificity" else on.sensitivity


class SetCuts(Frozen):
    """Below `low`: low. At or above `high`: high. Else intermediate."""

    low: SetCut
    high: SetCut


class VesselPoints(Frozen):
    """One vessel.

    Attributes:
        is_experimental: by the settings, for want of positives, or as its risk does not rise.
        n_positives, n_negatives: on the cut part.
    """

    vessel: Vessel
    is_experimental: bool
    calibrator: Calibrator = NoCalibrator()
    n_positives: Count
    n_negatives: Count
    cuts: SetCuts | None = None
    cuts_absent_reason: Text | None = None

    @model_validator(mode="after")
    def _cuts_or_reason(self) -> Self:
        if (self.cuts is None) == (self.cuts_absent_reason is None):
            raise ValueError("state either cuts or cuts_absent_reason")
        if self.cuts is None and not self.is_experimental:
            raise ValueError("a vessel without cuts is experimental")
        return self


class OperatingPoints(Frozen):
    """Calibrators and cuts of a run.

    Attributes:
        vessels: the four, in order.
        any_vessel: cuts on the maximum over the vessels that are not experimental.
        warnings: sentences, for log and card.
        n_cut, n_test: index ECGs of the cut and of the test part.
        n_resamples: of patients, behind the intervals of the cut part.
        made_from: SHA-256 of the run's files that these points belong to, by name.
    """

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    schema_version: Literal[1] = Field(default=1, alias="schema")
    data: Text
    date: str
    vessels: Annotated[tuple[VesselPoints, ...], Field(strict=False)]
    any_vessel: SetCuts
    warnings: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    n_cut: Count
    n_test: Count
    n_resamples: Count
    made_from: dict[str, str]

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if tuple(one.vessel for one in self.vessels) != tuple(Vessel):
            raise ValueError("the four vessels, in order")
        if all(one.is_experimental for one in self.vessels):
            raise ValueError("at least one vessel is not experimental")
        return self

    @property
    def experimental(self) -> tuple[Vessel, ...]:
        return tuple(one.vessel for one in self.vessels if one.is_experimental)

    def scopes(self) -> Iterator[tuple[Scope, SetCuts | None]]:
        """The four vessels in order, then any vessel."""
        for one in self.vessels:
            yield one.vessel, one.cuts
        yield "any_vessel", self.any_vessel

    def cut_pairs(self) -> Mapping[Scope, tuple[float, float]]:
        """Low and high cut per scope, as an evaluation takes them; a scope without is absent."""
        return {
            scope: (cuts.low.value, cuts.high.value)
            for scope, cuts in self.scopes()
            if cuts is not None
        }

    def probabilities(self, logits: Array) -> Array:
        """(N, 4) logits to (N, 4) calibrated probabilities, exactly as ecgbatch makes them."""
        columns = [
            calibrated(logits[:, index], one.calibrator) for index, one in enumerate(self.vessels)
        ]
        return np.column_stack(columns)

    def bundle_cuts(self, cuts: SetCuts | None) -> BundleCuts | None:
        """As they stand in a bundle."""
        if cuts is None:
            return None
        return BundleCuts(low=self._bundle_cut(cuts.low), high=self._bundle_cut(cuts.high))

    def _bundle_cut(self, cut: SetCut) -> BundleCut:
        reached = cut.reached(cut.set_on)
        if reached is None:
            raise SetupFault(ReasonCode.CUTS_MISSING, "one class is absent")
        return BundleCut(
            kind=cut.kind,
            value=cut.value,
            target=cut.target,
            estimate=reached.value,
            ci=reached.ci,
            n_positives=cut.set_on.n_positives,
            data=self.data,
            date=self.date,
        )

    def to_json(self) -> str:
        document = self.model_dump(mode="json")
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def load_points(path: Path) -> OperatingPoints:
    """Read operating_points.json.

    Raises:
        SetupFault: `run_folder_unfit`, it is not there or not whole; `cuts_inverted`.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise SetupFault(
            ReasonCode.RUN_FOLDER_UNFIT, f"no {path.name}; run `{COMMAND}` first"
        ) from None
    try:
        points = parse_strict(content, OperatingPoints, path.name)
        for scope, cuts in points.scopes():
            refuse_inverted(points.bundle_cuts(cuts), scope)
    except SetupFault as fault:
        if fault.reason is ReasonCode.CUTS_INVERTED:
            raise
        detail = f"{fault.detail}; run `{COMMAND}` again"
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, detail) from None
    return points


def scope_name(scope: Scope) -> str:
    """As it is shown."""
    return "any vessel" if scope == ANY_VESSEL else str(scope)
