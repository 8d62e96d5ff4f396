"""Checks of the leads against each other: window -> findings."""

from itertools import pairwise

import numpy as np

from ecgbatch.quality.found import found
from ecgbatch.quality.window import Window
from ecgbatch.records import Finding, Millivolts
from ecgbatch.settings import Quality
from ecgbatch.terms import DERIVABLE_LEADS, LEADS, ReasonCode

_CHEST_LEADS = LEADS[6:]


def lead_missing(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Each standard lead that is neither stored nor derivable."""
    return tuple(
        found("lead_missing", ReasonCode.LEAD_MISSING, quality.lead_missing, lead=name)
        for name in LEADS
        if name not in window.lead_names
    )


def limb_leads(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Residual of Einthoven's and Goldberger's equations (mV, 99th percentile).

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
    residuals = {name: _difference(window.lead(name), expected[name]) for name in stored}
    return tuple(
        found("limb_leads", ReasonCode.LIMB_LEADS_INCONSISTENT, check, lead=name, value=value)
        for name, value in residuals.items()
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
    """Neighbouring chest leads that hardly differ (mV, 99th percentile); named is the second."""
    check = quality.leads_nearly_equal
    differences = {
        second: _difference(window.lead(second), window.lead(first))
        for first, second in pairwise(_CHEST_LEADS)
        if {first, second} <= set(window.lead_names)
    }
    return tuple(
        found("leads_nearly_equal", ReasonCode.LEADS_NEARLY_EQUAL, check, lead=name, value=value)
        for name, value in differences.items()
        if value < check.limit
    )


def _difference(one: Millivolts, other: Millivolts) -> float:
    """99th percentile of |one - other|; a constant offset between them says nothing."""
    difference = one - other
    return float(np.percentile(np.abs(difference - np.median(difference)), 99))
