"""Checks of the leads against each other: window -> findings."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ecgbatch.quality.found import found
from ecgbatch.quality.of_settings import Quality
from ecgbatch.quality.ranks import median, percentile
from ecgbatch.quality.window import Window
from ecgbatch.records import Finding, Millivolts
from ecgbatch.terms import DERIVABLE_LEADS, LEADS, ReasonCode

_PERCENT = 99.0
_EVERY = 5
_MOST_OF_IT_HZ = 40.0
# What is known to be on the right side of a limit by more than rounding can make is no finding.
_SURE = 1 - 1e-6


def lead_missing(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Each standard lead that is neither stored nor derivable."""
    if window.lead_names == LEADS:
        return ()
    return tuple(
        found("lead_missing", ReasonCode.LEAD_MISSING, quality.lead_missing, lead=name)
        for name in LEADS
        if name not in window.lead_names
    )


def limb_leads(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Residual of Einthoven's and Goldberger's equations (mV, 99th percentile).

    The lead names the equation. Einthoven: III = II - I. Goldberger: aVR = -(I + II) / 2,
    aVL = I - II / 2, aVF = II - I / 2 (Kligfield P et al. J Am Coll Cardiol 2007;49:1109-1127).
    Only for leads that the file stores: derived ones satisfy them by construction.
    """
    check = quality.limb_leads
    names = window.lead_names
    stored = [
        name for name in DERIVABLE_LEADS if name in names and name not in window.derived_leads
    ]
    if not (stored and "I" in names and "II" in names):
        return ()
    expected = _expected(window.lead("I"), window.lead("II"))
    residuals = {name: window.lead(name) - expected[name] for name in stored}
    values = {
        name: _spread(residual)
        for name, residual in residuals.items()
        if residual.max() - residual.min() > check.limit  # else no percentile can be
    }
    return tuple(
        found("limb_leads", ReasonCode.LIMB_LEADS_INCONSISTENT, check, lead=name, value=value)
        for name, value in values.items()
        if value > check.limit
    )


def _expected(lead_i: Millivolts, lead_ii: Millivolts) -> dict[str, Millivolts]:
    half_i, half_ii = 0.5 * lead_i, 0.5 * lead_ii
    return {
        "III": lead_ii - lead_i,
        "aVR": -half_i - half_ii,
        "aVL": lead_i - half_ii,
        "aVF": lead_ii - half_i,
    }


def leads_nearly_equal(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Two leads that hardly differ (mV, 99th percentile); named is the second, with its nearest.

    Any pair counts, limb leads too. A lead without signal is the business of `flat`.
    """
    check = quality.leads_nearly_equal
    nearest: dict[str, float] = {}
    for second, difference in _similar(window, check.limit, quality.flat.limit):
        value = _spread(difference)
        name = window.lead_names[second]
        nearest[name] = min(value, nearest.get(name, value))
    return tuple(
        found("leads_nearly_equal", ReasonCode.LEADS_NEARLY_EQUAL, check, lead=name, value=value)
        for name, value in nearest.items()
        if value < check.limit
    )


def _similar(window: Window, limit: float, flat: float) -> Iterator[tuple[int, Millivolts]]:
    """Pairs worth a percentile: the standard deviation of their difference is within 3 limits.

    A pair beyond that comes below the limit only if a hundredth of its samples differ by more
    than 28 limits on average. Yielded are the second lead and the difference, and nothing where
    it is plain that no pair is nearly equal.
    """
    signal = window.signal
    for first, second in _perhaps_equal(window, limit):
        difference = signal[second] - signal[first]
        if difference.var() < (3 * limit) ** 2 and all(
            signal[row].var() >= flat**2 for row in (first, second)
        ):
            yield second, difference


def _perhaps_equal(window: Window, limit: float) -> list[tuple[int, int]]:
    """The pairs that may be similar; only those that may be nearly equal, where they are one.

    With more than one lead to name, the pairs that are but similar say which is named first.
    """
    least = window.spectrum.squared_differences(_MOST_OF_IT_HZ)
    first, second = np.nonzero(_SURE * least < (3 * limit) ** 2)
    first, second = first[first < second], second[first < second]
    if first.size == 0:
        return []
    few = window.signal[:, ::_EVERY]
    perhaps = ~_is_surely_beyond(few[second] - few[first], window.signal.shape[1], limit)
    if len(set(second[perhaps].tolist())) <= 1:
        first, second = first[perhaps], second[perhaps]
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _is_surely_beyond(few: Millivolts, n_samples: int, limit: float) -> NDArray[np.bool_]:
    """Whether the spread of each row of n_samples is above the limit, from few of them.

    With enough on either side of an interval of two limits, enough of them are a limit away from
    the median, wherever it is.
    """
    n_few = few.shape[1]
    n_beyond = n_samples - int(_PERCENT / 100 * (n_samples - 1))
    if 2 * n_beyond > n_few:
        return np.zeros(few.shape[0], dtype=np.bool_)
    ends = (n_beyond - 1, n_few - n_beyond)
    ranked = np.partition(few, ends, axis=1)
    is_beyond: NDArray[np.bool_] = _SURE * (ranked[:, ends[1]] - ranked[:, ends[0]]) >= 2 * limit
    return is_beyond


def _spread(difference: Millivolts) -> float:
    """99th percentile of its distance from its median: a constant offset says nothing."""
    return float(percentile(np.abs(difference - median(difference)), _PERCENT))
