"""The ordered list of checks. The first refusing finding is the reason of a rejection."""

from collections.abc import Callable

import numpy as np

from ecgbatch.quality import eligibility, leads, signal
from ecgbatch.quality.window import Window
from ecgbatch.records import Finding, Recording
from ecgbatch.settings import Eligibility, Quality

CHECKS: tuple[Callable[[Window, Quality], tuple[Finding, ...]], ...] = (
    leads.lead_missing,
    signal.too_short,
    signal.invalid_samples,
    signal.amplitude,
    signal.flat,
    signal.constant_run,
    signal.calibration,
    signal.unit_suspected,
    leads.limb_leads,
    leads.leads_nearly_equal,
    signal.long_record,
)


def check(recording: Recording, quality: Quality, gates: Eligibility) -> tuple[Finding, ...]:
    """All findings on the window that is scored: the first 10 s, in mV, before any preprocessing.

    A signal with invalid samples or without samples is not measured any further: the numbers would
    be those of the holes.
    """
    window = Window.of(recording)
    findings: list[Finding] = list(recording.findings)
    # Absurd amplitudes overflow to infinity, which is as far beyond a limit as they are.
    with np.errstate(over="ignore"):
        for one in CHECKS:
            if one not in _NEED_FINITE or _is_measurable(window):
                findings += one(window, quality)
    findings += eligibility.outside_intended_use(recording, gates)
    return tuple(findings)


def refusal(findings: tuple[Finding, ...]) -> Finding | None:
    """The finding that refuses the recording, if any does."""
    return next((finding for finding in findings if finding.refuses), None)


_NEED_FINITE = frozenset(CHECKS[3:-1])


def _is_measurable(window: Window) -> bool:
    return window.signal.size > 0 and bool(np.isfinite(window.signal).all())
