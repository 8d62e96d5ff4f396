"""Cumulative incidence with or without a competing event: Aalen-Johansen and Kaplan-Meier."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from training.records import Array, Estimate

_COVERAGE = 0.95


class Ending(IntEnum):
    """How a patient's time under observation ended."""

    CENSORED = 0
    EVENT = 1
    DEATH = 2


Endings = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Cumulative incidence of the event in one group.

    Attributes:
        days: distinct days with an event or a death, rising; the curve is 0 before the first.
        incidence, low, high: at and after each of `days`; 95 %, pointwise.
        observed: (N,) sorted, last day under observation of each patient.
        event_days: sorted days of the events.
    """

    days: Array = field(repr=False)
    incidence: Array = field(repr=False)
    low: Array = field(repr=False)
    high: Array = field(repr=False)
    observed: Array = field(repr=False)
    event_days: Array = field(repr=False)

    def at(self, day: float) -> Estimate | None:
        """The incidence up to and on a day; None where nobody was observed that long."""
        if not self.observed.size or day > self.observed[-1]:
            return None
        place = int(np.searchsorted(self.days, day, side="right")) - 1
        if place < 0:
            return Estimate(0.0, 0.0, _upper_of_none(self.n_at_risk(day)))
        return Estimate(
            float(self.incidence[place]), float(self.low[place]), float(self.high[place])
        )

    def n_at_risk(self, day: float) -> int:
        """Patients still under observation and without an event on that day."""
        return int(self.observed.size - np.searchsorted(self.observed, day, side="left"))

    def n_events(self, day: float) -> int:
        """Events up to and on that day."""
        return int(np.searchsorted(self.event_days, day, side="right"))


def cumulative_incidence(days: Array, endings: Endings, *, death_competes: bool) -> Curve:
    """Estimate the cumulative incidence of the event.

    Tied days are exact: everyone whose time ends on a day is at risk on that day, and an event
    and a death of one day share the same number at risk. Nothing is jittered.

    Without competing deaths the Aalen-Johansen estimate is one minus Kaplan-Meier and its
    variance Greenwood's; the interval is then log(-log) of the survival, else of the incidence.
    While there is no event yet, the upper limit is the exact binomial one of those at risk.

    Args:
        days: (N,) last day under observation, from the start that all have in common.
        endings: (N,) codes of Ending. Deaths are censored where `death_competes` is false.

    Source: Aalen OO, Johansen S. Scand J Stat 1978;5:141-150; variance: Marubini E, Valsecchi MG,
    Analysing Survival Data from Clinical Trials and Observational Studies, 1995, and Collett D,
    Modelling Survival Data in Medical Research, 3rd edition, page 411.
    """
    counted = endings if death_competes else np.where(endings == Ending.DEATH, 0, endings)
    observed = np.sort(days)
    event_days = np.sort(days[counted == Ending.EVENT])
    distinct = np.unique(days[counted != Ending.CENSORED])
    n = (observed.size - np.searchsorted(observed, distinct, side="left")).astype(np.float64)
    d_event = _number_on(event_days, distinct)
    d_all = d_event + _number_on(np.sort(days[counted == Ending.DEATH]), distinct)
    survival = np.cumprod(1.0 - d_all / n, dtype=np.float64)
    before: Array = np.concatenate([np.ones(1), survival[:-1]])[: distinct.size]
    # The sum may pass 1 by rounding; without deaths the product says the same and does not.
    incidence = 1.0 - survival
    if (d_all > d_event).any():
        incidence = np.cumsum(before * d_event / n)
    sd = np.sqrt(_variance(incidence, before, n, d_event, d_all))
    low, high = _limits(incidence, sd, n, of_survival=not death_competes)
    return Curve(distinct, incidence, low, high, observed, event_days)


def _number_on(sorted_days: Array, distinct: Array) -> Array:
    right = np.searchsorted(sorted_days, distinct, side="right")
    left = np.searchsorted(sorted_days, distinct, side="left")
    return (right - left).astype(np.float64)


def _variance(F: Array, before: Array, n: Array, d_event: Array, d_all: Array) -> Array:
    """sum (F - F_i)^2 d_i/(n_i (n_i - d_i)) + sum S^2 e_i (n_i - e_i)/n_i^3
    - 2 sum (F - F_i) S e_i/n_i^2, all by running sums."""
    left = n - d_all
    # Where nobody is left the curve ends: the factor (F - F_i) is 0 from there on.
    first = np.divide(d_all, n * left, out=np.zeros_like(n), where=left > 0)
    third = before * d_event / n**2
    squares = np.cumsum(first) * F**2 - 2.0 * F * np.cumsum(first * F) + np.cumsum(first * F**2)
    own = np.cumsum(before**2 * d_event * (n - d_event) / n**3)
    crossed = F * np.cumsum(third) - np.cumsum(third * F)
    return np.maximum(squares + own - 2.0 * crossed, 0.0)


def _limits(F: Array, sd: Array, n: Array, *, of_survival: bool) -> tuple[Array, Array]:
    value = 1.0 - F if of_survival else F
    inside = (F > 0.0) & (F < 1.0)
    low, high = F.copy(), F.copy()
    v, z = value[inside], norm.ppf((1.0 + _COVERAGE) / 2.0)
    half = z * sd[inside] / (v * np.abs(np.log(v)))
    centre = np.log(-np.log(v))
    first, second = np.exp(-np.exp(centre + half)), np.exp(-np.exp(centre - half))
    low[inside], high[inside] = (1.0 - second, 1.0 - first) if of_survival else (first, second)
    high[F <= 0.0] = [_upper_of_none(int(at_risk)) for at_risk in n[F <= 0.0]]
    if inside.any():
        low[F >= 1.0] = low[inside][-1]
    return low, high


def _upper_of_none(n: int) -> float:
    """Exact upper limit of a share of which none was seen among n (Clopper and Pearson)."""
    return 1.0 if n < 1 else float(1.0 - ((1.0 - _COVERAGE) / 2.0) ** (1.0 / n))
