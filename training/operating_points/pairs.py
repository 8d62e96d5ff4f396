"""A low and a high cut on one scope: set on one part, measured on that and on another."""

from dataclasses import dataclass

import numpy as np

from ecgbatch.bundle.operating_points import Estimate, Scope
from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training import records
from training.operating_points.cuts import below_one, sensitivity_cuts, specificity_cuts
from training.operating_points.points import Reached, SetCut, SetCuts
from training.records import Array, Task
from training.settings.evaluation import BootstrapSettings
from training.statistics import proportions
from training.statistics.bootstrap import Statistic, at_once, estimates, joined, percentiles, ratio
from training.statistics.bootstrap import replicates as replicated


@dataclass(frozen=True, slots=True)
class Aim:
    """What a scope's cuts are set for.

    Attributes:
        base: a stated probability instead of the low cut's sensitivity; the high cut is then the
            first threshold at or above it with its specificity.
    """

    low_sensitivity: float
    high_specificity: float
    base: float | None = None


def set_cuts(
    scope: Scope, cut: Task, test: Task, aim: Aim, bootstrap: BootstrapSettings
) -> SetCuts:
    """The low and the high cut.

    Args:
        cut: with at least one positive and one negative; test: what neither weights nor cuts saw.

    Raises:
        SetupFault: `cuts_inverted`: the low cut does not lie below the high one.
    """
    known = cut.known()
    labels, scores = known.labels, known.scores
    highs = specificity_cuts(labels, scores, aim.high_specificity, aim.base or 0.0)
    high, high_ci = _with_interval(highs, known, bootstrap)
    if aim.base is None:
        lows = sensitivity_cuts(labels, scores, aim.low_sensitivity)
        low, low_ci = _with_interval(lows, known, bootstrap)
    else:
        low, low_ci = aim.base, None
    _refuse_inverted(scope, low, high, aim)
    return SetCuts(
        low=SetCut(
            kind="sensitivity" if aim.base is None else "absolute",
            value=low,
            value_ci=low_ci,
            target=aim.low_sensitivity if aim.base is None else aim.base,
            set_on=_set_on(cut, low, bootstrap),
            held=_held(test, low),
        ),
        high=SetCut(
            kind="specificity",
            value=high,
            value_ci=high_ci,
            target=aim.high_specificity,
            set_on=_set_on(cut, high, bootstrap),
            held=_held(test, high),
        ),
    )


def _refuse_inverted(scope: Scope, low: float, high: float, aim: Aim) -> None:
    if low < high:
        return
    advice = (
        "raise low_sensitivity or high_specificity, or both"
        if aim.base is None
        else "lower the base or raise high_specificity"
    )
    raise SetupFault(ReasonCode.CUTS_INVERTED, f"{scope}: low {low:.4f}, high {high:.4f}; {advice}")


def _with_interval(
    statistic: Statistic, known: Task, bootstrap: BootstrapSettings
) -> tuple[float, tuple[float, float]]:
    """The cut, and the 95 % interval of the cut set anew on resampled patients."""
    value = below_one(float(at_once(statistic, len(known.labels))[0]))
    low, high = percentiles(replicated(statistic, known.patients, bootstrap))
    return value, (
        max(0.0, min(value, float(low[0]))),
        min(1.0, max(value, float(high[0]))),
    )


def _set_on(task: Task, cut: float, bootstrap: BootstrapSettings) -> Reached:
    """Intervals over resampled patients; Wilson's where a share of 0 or 1 leaves no width."""
    known = task.known()
    is_above = (known.scores >= cut).astype(np.float64)
    positive, negative = ((known.labels == value).astype(np.float64) for value in (1, 0))
    both = joined(
        ratio(positive * is_above, positive), ratio(negative * (1.0 - is_above), negative)
    )
    found = estimates(both, known.patients, bootstrap)
    wilson = (proportions.sensitivity(known, cut), proportions.specificity(known, cut))
    sensitivity, specificity = (
        drawn if drawn is not None and 0.0 < drawn.value < 1.0 else closed
        for drawn, closed in zip(found, wilson, strict=True)
    )
    return _reached(task, cut, sensitivity, specificity)


def _held(task: Task, cut: float) -> Reached:
    """As `evaluate` states them, so that no number stands twice with two intervals."""
    return _reached(
        task, cut, proportions.sensitivity(task, cut), proportions.specificity(task, cut)
    )


def _reached(
    task: Task,
    cut: float,
    sensitivity: records.Estimate | None,
    specificity: records.Estimate | None,
) -> Reached:
    is_at_cut: Array = task.scores == cut
    return Reached(
        sensitivity=share(sensitivity),
        specificity=share(specificity),
        n_positives=int((task.labels == 1).sum()),
        n_negatives=int((task.labels == 0).sum()),
        n_at_cut=int(is_at_cut.sum()),
        n_positives_at_cut=int((is_at_cut & (task.labels == 1)).sum()),
    )


def share(found: records.Estimate | None) -> Estimate | None:
    """As a bundle states it."""
    if found is None:
        return None
    return Estimate(value=found.value, ci=(found.low, found.high))
