"""Cuts, calibrators and what is known of each stratum, as they stand in a manifest."""

import re
from datetime import date
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ANY_VESSEL, ReasonCode, Stratum, Vessel


class Frozen(BaseModel):
    """Base of every part of a manifest: immutable, exact types, no unknown key, finite."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, defer_build=True
    )


Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Text = Annotated[str, Field(min_length=1, max_length=4000)]
Interval = Annotated[tuple[Share, Share], Field(strict=False)]
Scope = Vessel | Literal["any_vessel"]
"""A task or any vessel."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Cut(Frozen):
    """One operating point on the calibrated probability.

    Attributes:
        kind: what was aimed at; `absolute`: a stated probability, the cut itself.
        value: the cut itself.
        target, estimate, ci: aimed at, reached on `data`, and its 95 % interval. Of an absolute
            cut the target is its value and the estimate the sensitivity reached.
        n_positives: positives in `data`.
        date: ISO, of the estimate.
    """

    kind: Literal["sensitivity", "specificity", "absolute"]
    value: OpenShare
    target: Share
    estimate: Share
    ci: Interval
    n_positives: Annotated[int, Field(ge=1)]
    data: Text
    date: str

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if not self.ci[0] <= self.estimate <= self.ci[1]:
            raise ValueError("the estimate lies outside its ci")
        if self.kind == "absolute" and self.target != self.value:
            raise ValueError("the target of an absolute cut is its value")
        if not _is_date(self.date):
            raise ValueError("date is a day, YYYY-MM-DD")
        return self


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


class Cuts(Frozen):
    """Below `low`: low. At or above `high`: high. Else intermediate."""

    low: Cut
    high: Cut

    @model_validator(mode="after")
    def _kinds(self) -> Self:
        if self.low.kind == "specificity" or self.high.kind != "specificity":
            raise ValueError("low is targeted at sensitivity or absolute, high at specificity")
        return self

    def stratum(self, probability: float) -> Stratum:
        if probability < self.low.value:
            return Stratum.LOW
        return Stratum.HIGH if probability >= self.high.value else Stratum.INTERMEDIATE

    def bounds(self, stratum: Stratum) -> tuple[float, float]:
        """From (inclusive) and to (exclusive; 1 for high) of a stratum."""
        edges = (0.0, self.low.value, self.high.value, 1.0)
        place = list(Stratum).index(stratum)
        return edges[place], edges[place + 1]


def refuse_inverted(cuts: Cuts | None, name: str) -> None:
    """Raises: SetupFault `cuts_inverted`, naming the task."""
    if cuts is not None and cuts.low.value >= cuts.high.value:
        raise SetupFault(ReasonCode.CUTS_INVERTED, name)


class NoCalibrator(Frozen):
    """The probability is the sigmoid of the logit."""

    kind: Literal["none"] = "none"


class Platt(Frozen):
    """sigmoid(a x logit + b)."""

    kind: Literal["platt"] = "platt"
    a: Annotated[float, Field(gt=0)]
    b: float


class Isotonic(Frozen):
    """Linear between the points (x, y) on the raw probability, constant outside them."""

    kind: Literal["isotonic"] = "isotonic"
    x: Annotated[tuple[Share, ...], Field(strict=False, min_length=2)]
    y: Annotated[tuple[Share, ...], Field(strict=False, min_length=2)]

    @model_validator(mode="after")
    def _monotone(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError("x and y differ in length")
        if any(later <= earlier for earlier, later in pairwise(self.x)):
            raise ValueError("x must rise")
        if any(later < earlier for earlier, later in pairwise(self.y)):
            raise ValueError("y must not fall")
        return self


class PriorShift(Frozen):
    """Odds times the ratio of the site's to the training prevalence's odds."""

    kind: Literal["prior_shift"] = "prior_shift"
    training_prevalence: OpenShare
    site_prevalence: OpenShare


Calibrator = Annotated[NoCalibrator | Platt | Isotonic | PriorShift, Field(discriminator="kind")]


class Estimate(Frozen):
    """A share with its 95 % interval."""

    value: Share
    ci: Interval

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if not self.ci[0] <= self.value <= self.ci[1]:
            raise ValueError("the value lies outside its ci")
        return self


class StratumEntry(Frozen):
    """What is known of one stratum of one task or of any vessel; None where it is not known.

    Attributes:
        share: of all ECGs.
        npv: one minus the observed incidence; stated for low.
    """

    task: Scope
    stratum: Stratum
    share: Share | None = None
    npv: Estimate | None = None
    observed_incidence: Estimate | None = None
    is_synthetic: bool


class Task(Frozen):
    """One vessel: what positive means, how its probability is made, where it is cut."""

    vessel: Vessel
    definition: Text
    is_experimental: bool
    calibrator: Calibrator = NoCalibrator()
    cuts: Cuts | None = None
    cuts_absent_reason: Text | None = None

    @model_validator(mode="after")
    def _cuts_or_reason(self) -> Self:
        if (self.cuts is None) == (self.cuts_absent_reason is None):
            raise ValueError("state either cuts or cuts_absent_reason")
        refuse_inverted(self.cuts, self.vessel)
        return self


class AnyVessel(Frozen):
    """Maximum over the tasks that are not experimental, with cuts of its own."""

    rule: Literal["maximum"] = "maximum"
    cuts: Cuts | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        refuse_inverted(self.cuts, ANY_VESSEL)
        return self


def refuse_unusable(tasks: tuple[Task, ...], strata: tuple[StratumEntry, ...]) -> None:
    """The rules that hold over all tasks.

    Raises:
        ValueError: not the four vessels in order, all experimental, or a stratum stated twice.
    """
    if tuple(task.vessel for task in tasks) != tuple(Vessel):
        raise ValueError(f"tasks are {', '.join(Vessel)}, in this order")
    if all(task.is_experimental for task in tasks):
        raise ValueError("at least one task is not experimental")
    keys = [(entry.task, entry.stratum) for entry in strata]
    if len(set(keys)) != len(keys):
        raise ValueError("a stratum is stated twice")
