"""Operating points: the two cuts of a task, set on data that the weights have not seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode, Stratum
from training.former.evaluation import (
    Bootstrap,
    Estimate,
    Scores,
    estimate,
    incidence,
    sensitivity,
    specificity,
)

Array = NDArray[np.float64]

FEWEST_POSITIVES = 30
"""Fewer: no cuts."""
FEW_POSITIVES = 100
"""Fewer: cuts, with a warning."""


class CutKind(StrEnum):
    """What a cut is set for."""

    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One cut on the probability.

    Attributes:
        estimate: the sensitivity or specificity reached where the cut was set, at least
            `target`; the interval is over resampled patients at the cut as it stands.
    """

    kind: CutKind
    value: float
    target: float
    estimate: Estimate
    n_positives: int


@dataclass(frozen=True, slots=True)
class Cuts:
    """Low: below `low`. High: at or above `high`."""

    low: OperatingPoint
    high: OperatingPoint


@dataclass(frozen=True, slots=True)
class NoCuts:
    """A task with too few positives to be given cuts."""

    n_positives: int
    reason: str


@dataclass(frozen=True, slots=True)
class StratumFacts:
    """What was seen in one stratum of a set of ECGs.

    Attributes:
        share: of all ECGs of the set.
        incidence: share of positives; None where nobody with a label is in the stratum.
    """

    stratum: Stratum
    share: float
    incidence: Estimate | None

    @property
    def npv(self) -> Estimate | None:
        """1 - incidence: share of negatives, stated for every stratum, meant for low."""
        if self.incidence is None:
            return None
        seen = self.incidence
        return Estimate(1.0 - seen.value, 1.0 - seen.high, 1.0 - seen.low)


def set_cuts(
    task: Scores, low_sensitivity: float, high_specificity: float, bootstrap: Bootstrap
) -> Cuts | NoCuts:
    """The low cut at a target sensitivity and the high cut at a target specificity.

    Raises:
        SetupFault: `cuts_inverted`: the low cut does not lie below the high cut.
    """
    known = task.known()
    n_positives = int((known.labels == 1).sum())
    if n_positives < FEWEST_POSITIVES:
        return NoCuts(n_positives, f"{n_positives} positives; {FEWEST_POSITIVES} are needed")
    low = sensitivity_cut(known.labels, known.scores, low_sensitivity)
    high = specificity_cut(known.labels, known.scores, high_specificity)
    if low >= high:
        raise SetupFault(ReasonCode.CUTS_INVERTED, f"low {low:.4f}, high {high:.4f}")
    return Cuts(
        OperatingPoint(
            CutKind.SENSITIVITY,
            low,
            low_sensitivity,
            _reached(known, low, CutKind.SENSITIVITY, bootstrap),
            n_positives,
        ),
        OperatingPoint(
            CutKind.SPECIFICITY,
            high,
            high_specificity,
            _reached(known, high, CutKind.SPECIFICITY, bootstrap),
            n_positives,
        ),
    )


def sensitivity_cut(labels: Array, scores: Array, target: float) -> float:
    """The largest cut with at least the target share of positives at or above it.

    Args:
        labels: (N,) 1 or 0, with at least one positive; scores: (N,). Ties stay together.
    """
    positives = np.sort(scores[labels == 1])
    return float(positives[len(positives) - _at_least(target, len(positives))])


def specificity_cut(labels: Array, scores: Array, target: float) -> float:
    """The smallest observed score with at least the target share of negatives below it.

    Where no score is that large, the next number above the largest negative.

    Args:
        labels: (N,) 1 or 0, with at least one negative; scores: (N,). Ties stay together.
    """
    negatives = np.sort(scores[labels == 0])
    last_below = negatives[_at_least(target, len(negatives)) - 1]
    larger = scores[scores > last_below]
    return float(larger.min()) if len(larger) else float(np.nextafter(last_below, np.inf))


def hold(task: Scores, point: OperatingPoint, bootstrap: Bootstrap) -> Estimate | None:
    """What a cut reaches on other data: sensitivity or specificity after its kind."""
    statistic = sensitivity if point.kind is CutKind.SENSITIVITY else specificity
    return estimate(_at_or_above(task, point.value), statistic, bootstrap)


def stratum_facts(
    task: Scores, low: float, high: float, bootstrap: Bootstrap
) -> tuple[StratumFacts, ...]:
    """Share and observed incidence of low, intermediate and high."""
    rank = (task.scores >= low).astype(int) + (task.scores >= high).astype(int)
    return tuple(
        _facts(task, stratum, rank == index, bootstrap) for index, stratum in enumerate(Stratum)
    )


def maximum(probabilities: Array, is_experimental: Sequence[bool]) -> Array:
    """Any vessel: (N, T) -> (N,), the maximum over the tasks that are not experimental."""
    counted = ~np.asarray(is_experimental, dtype=bool)
    largest: Array = probabilities[:, counted].max(axis=1)
    return largest


def _at_least(target: float, n: int) -> int:
    """The smallest number out of n that is at least the target share, at least 1."""
    return max(1, int(np.ceil(target * n - 1e-9)))


def _reached(known: Scores, cut: float, kind: CutKind, bootstrap: Bootstrap) -> Estimate:
    statistic = sensitivity if kind is CutKind.SENSITIVITY else specificity
    reached = estimate(_at_or_above(known, cut), statistic, bootstrap)
    if reached is None:
        raise SetupFault(ReasonCode.CUTS_MISSING, "one class is absent")
    return reached


def _at_or_above(task: Scores, cut: float) -> Scores:
    return Scores(task.labels, (task.scores >= cut).astype(np.float64), task.patients)


def _facts(
    task: Scores, stratum: Stratum, belongs: NDArray[np.bool_], bootstrap: Bootstrap
) -> StratumFacts:
    member = Scores(task.labels, belongs.astype(np.float64), task.patients)
    return StratumFacts(
        stratum=stratum,
        share=float(belongs.mean()),
        incidence=estimate(member, incidence, bootstrap),
    )
