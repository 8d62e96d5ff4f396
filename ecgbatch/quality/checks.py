"""The ordered list of checks. The first refusing finding is the reason of a rejection."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ecgbatch.quality import eligibility, leads, noise, rhythm, signal
from ecgbatch.quality.of_settings import Eligibility, Quality
from ecgbatch.quality.window import Window
from ecgbatch.records import Finding, Recording
from ecgbatch.terms import ReasonCode

Check = Callable[[Window, Quality], tuple[Finding, ...]]

_ON_ANY_SIGNAL: tuple[Check, ...] = (
    leads.lead_missing,
    signal.too_short,
    signal.invalid_samples,
    signal.long_record,
)
_ON_NUMBERS: tuple[Check, ...] = (
    rhythm.single_beat,
    rhythm.calibration,
    signal.flat,
    signal.constant_run,
    signal.amplitude,
    signal.unit_suspected,
    leads.limb_leads,
    leads.leads_nearly_equal,
    signal.saturation,
)
_ON_SPECTRUM: tuple[Check, ...] = (
    noise.powerline,
    noise.wander,
    noise.muscle_noise,
    noise.snr,
    rhythm.heart_rate,
    rhythm.sampling_frequency,
)
CHECKS = _ON_ANY_SIGNAL + _ON_NUMBERS + _ON_SPECTRUM

_NO_STRIP = ReasonCode.NOT_A_RHYTHM_STRIP
_LEAST_S = 2.0
_LARGEST_MV = 1e6


def check(recording: Recording, quality: Quality, gates: Eligibility) -> tuple[Finding, ...]:
    """All findings on the window that is scored: the first 10 s, in mV, before any preprocessing.

    What is refused is not measured any further, for the numbers would be those of the fault: a
    signal with invalid samples or without samples, one that is no rhythm strip, a refused lead.
    """
    window = Window.of(recording)
    findings = [_as_set(finding, quality) for finding in recording.findings]
    # Absurd amplitudes overflow to infinity, which is as far beyond a limit as they are.
    with np.errstate(over="ignore", invalid="ignore"):
        for one in _measurable(window):
            if findings and _is_no_strip(findings):
                break
            new = one(window, quality)
            if new:
                refused = {finding.lead for finding in findings if finding.refuses} - {None}
                findings += (finding for finding in new if finding.lead not in refused)
    findings += eligibility.outside_intended_use(recording, gates)
    return tuple(findings)


def _is_no_strip(findings: list[Finding]) -> bool:
    return any(finding.reason is _NO_STRIP and finding.refuses for finding in findings)


def _as_set(finding: Finding, quality: Quality) -> Finding:
    """What the reader noticed refuses where the settings have a table for it that says so."""
    setting = getattr(quality, finding.check, None)
    return finding if setting is None else replace(finding, refuses=setting.refuses)


def _measurable(window: Window) -> Iterator[Check]:
    """The checks that this window allows; the spectrum needs 2 s, and powers that are numbers."""
    yield from _ON_ANY_SIGNAL
    if not window.is_measurable:
        return
    yield from _ON_NUMBERS
    duration_s = window.signal.shape[1] / window.sampling_frequency
    rows = window.rows_beyond(_LARGEST_MV)
    is_absurd = rows.size > 0 and window.peaks(rows).max() > _LARGEST_MV
    if duration_s >= _LEAST_S and not is_absurd:
        yield from _ON_SPECTRUM


def refusal(findings: tuple[Finding, ...]) -> Finding | None:
    """The finding that refuses the recording, if any does."""
    return next((finding for finding in findings if finding.refuses), None)
