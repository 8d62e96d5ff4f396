"""Checks of the leads against each other: window -> findings."""

import numpy as np

from ecgbatch.quality.found import found
from ecgbatch.quality.of_settings import Quality
from ecgbatch.quality.window import Window
from ecgbatch.records import Finding, Millivolts
from ecgbatch.terms import DERIVABLE_LEADS, LEADS, ReasonCode


def lead_missing(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Each standard lead that is neither stored nor derivable."""
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
    if not {"I", "II"} <= set(window.lead_names):
        return ()
    expected = _expected(window.lead("I"), window.lead("II"))
    stored = [
        name
        for name in DERIVABLE_LEADS
        if name in window.lead_names and name not in window.derived_leads
    ]
    residuals = {name: window.lead(name) - expected[name] for name in stored}
    values = {
        name: _spread(residual)
        for name, residual in residuals.items()
        if np.ptp(residual) > check.limit  # else no percentile can be
    }
    return tuple(
        found("limb_leads", ReasonCode.LIMB_LEADS_INCONSISTENT, check, lead=name, value=value)
        for name, value in values.items()
        if value > check.limit
    )


def _expected(lead_i: Millivolts, lead_ii: Millivolts) -> dict[str, Millivolts]:
    return {
        "III": lead_ii - lead_i,
        "aVR": -(lead_i + lead_ii) / 2,
        "aVL": lead_i - lead_ii / 2,
        "aVF": lead_ii - lead_i / 2,
    }


def leads_nearly_equal(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Two leads that hardly differ (mV, 99th percentile); named is the second, with its nearest.

    Any pair counts, limb leads too. A lead without signal is the business of `flat`.
    """
    check = quality.leads_nearly_equal
    nearest: dict[str, float] = {}
    for first, second in _similar(window, check.limit, quality.flat.limit):
        difference = _spread(window.signal[second] - window.signal[first])
        name = window.lead_names[second]
        nearest[name] = min(difference, nearest.get(name, difference))
    return tuple(
        found("leads_nearly_equal", ReasonCode.LEADS_NEARLY_EQUAL, check, lead=name, value=value)
        for name, value in nearest.items()
        if value < check.limit
    )


def _similar(window: Window, limit: float, flat: float) -> list[tuple[int, int]]:
    """Pairs worth a percentile: the standard deviation of their difference is within 3 limits.

    A pair beyond that comes below the limit only if a hundredth of its samples differ by more
    than 28 limits on average.
    """
    signal = window.signal - window.signal.mean(axis=1, keepdims=True)
    covariance = signal @ signal.T / max(signal.shape[1], 1)
    variance = np.diag(covariance)
    squares = variance[:, None] + variance[None, :] - 2 * covariance
    moves = variance >= flat**2
    similar = (squares < (3 * limit) ** 2) & moves[:, None] & moves[None, :]
    first, second = np.nonzero(np.triu(similar, k=1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _spread(difference: Millivolts) -> float:
    """99th percentile of its distance from its median: a constant offset says nothing."""
    return float(np.percentile(np.abs(difference - np.median(difference)), 99))
