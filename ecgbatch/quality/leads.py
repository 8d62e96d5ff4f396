"""Checks of the leads against each other: window -> findings."""

from itertools import pairwise

import numpy as np

from ecgbatch.quality.window import Window
from ecgbatch.records import Finding, Millivolts
from ecgbatch.settings import Quality
from ecgbatch.terms import DERIVABLE_LEADS, LEADS, ReasonCode

_CHEST_LEADS = LEADS[6:]


def lead_missing(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Each standard lead that is neither stored nor derivable."""
    return tuple(
        Finding(
            "lead_missing",
            ReasonCode.LEAD_MISSING,
            lead=name,
            refuses=quality.lead_missing.refuses,
        )
        for name in LEADS
        if name not in window.lead_names
    )


def limb_leads(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Residual of III = II - I, aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2 (mV).

    Only for leads that the file stores: derived ones satisfy the equations by construction.
    The offset of a lead says nothing about its order, so the median is taken out.
    """
    check = quality.limb_leads
    stored = [
        name
        for name in DERIVABLE_LEADS
        if name in window.lead_names and name not in window.derived_leads
    ]
    if not {"I", "II"} <= set(window.lead_names):
        return ()
    expected = _expected(window.lead("I"), window.lead("II"))
    findings = []
    for name in stored:
        residual = window.lead(name) - expected[name]
        value = float(np.percentile(np.abs(residual - np.median(residual)), 99))
        if value > check.limit:
            findings.append(
                Finding(
                    "limb_leads",
                    ReasonCode.LIMB_LEADS_INCONSISTENT,
                    lead=name,
                    value=value,
                    limit=check.limit,
                    refuses=check.refuses,
                )
            )
    return tuple(findings)


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
    findings = []
    for first, second in pairwise(_CHEST_LEADS):
        if not {first, second} <= set(window.lead_names):
            continue
        difference = window.lead(second) - window.lead(first)
        value = float(np.percentile(np.abs(difference - np.median(difference)), 99))
        if value < check.limit:
            findings.append(
                Finding(
                    "leads_nearly_equal",
                    ReasonCode.LEADS_NEARLY_EQUAL,
                    lead=second,
                    value=value,
                    limit=check.limit,
                    refuses=check.refuses,
                )
            )
    return tuple(findings)
