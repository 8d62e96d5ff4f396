"""Checks of each lead's samples: window -> findings. Limits and switches come from the settings."""

import numpy as np

from ecgbatch.quality.window import Window
from ecgbatch.records import Finding
from ecgbatch.settings import Quality
from ecgbatch.terms import ReasonCode

_UNIT_FACTORS = (5.0, 200.0, 1000.0)
_USUAL_PEAK_MV = (0.2, 4.0)
_LEADS_EQUAL_MV = 0.02


def too_short(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """At least 9.8 s: the last 2 % may be filled with edge values, nothing more."""
    limit = quality.too_short.limit
    # 4900 of 5000 samples at 500 Hz are 9.8 s exactly; half a sample guards the division.
    if window.duration_s >= limit - 0.5 / window.sampling_frequency:
        return ()
    return (
        Finding(
            "too_short", ReasonCode.TOO_SHORT, value=window.duration_s, limit=limit, refuses=True
        ),
    )


def long_record(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Longer than a minute: that only the first 10 s count should be known."""
    check = quality.long_record
    if window.duration_s <= check.limit:
        return ()
    return (
        Finding(
            "long_record",
            ReasonCode.LONG_RECORD,
            value=window.duration_s,
            limit=check.limit,
            refuses=check.refuses,
        ),
    )


def invalid_samples(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Samples that the file marks as invalid; the value is their number in that lead."""
    counts = np.count_nonzero(~np.isfinite(window.signal), axis=1)
    return tuple(
        Finding(
            "invalid_samples",
            ReasonCode.INVALID_SAMPLES,
            lead=name,
            value=float(count),
            limit=0.0,
            refuses=quality.invalid_samples.refuses,
        )
        for name, count in zip(window.lead_names, counts, strict=True)
        if count
    )


def amplitude(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """|mV - the lead's median| beyond the limit."""
    centred = window.signal - np.median(window.signal, axis=1, keepdims=True)
    peaks = np.abs(centred).max(axis=1)
    check = quality.amplitude
    return tuple(
        Finding(
            "amplitude",
            ReasonCode.AMPLITUDE_IMPLAUSIBLE,
            lead=name,
            value=float(peak),
            limit=check.limit,
            refuses=check.refuses,
        )
        for name, peak in zip(window.lead_names, peaks, strict=True)
        if peak > check.limit
    )


def unit_suspected(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Names the usual unit error that would explain the amplitudes; the value is its factor."""
    check = quality.unit_suspected
    centred = np.abs(window.signal - np.median(window.signal, axis=1, keepdims=True))
    typical = float(np.median(np.percentile(centred, 99.5, axis=1)))
    if typical <= check.limit:
        return ()
    low, high = _USUAL_PEAK_MV
    return tuple(
        Finding(
            "unit_suspected",
            ReasonCode.UNIT_SUSPECTED,
            value=factor,
            limit=check.limit,
            refuses=check.refuses,
        )
        for factor in [f for f in _UNIT_FACTORS if low <= typical / f <= high][:1]
    )


def flat(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """A lead without signal: its standard deviation (mV) is below the limit."""
    check = quality.flat
    return tuple(
        Finding(
            "flat",
            ReasonCode.LEAD_FLAT,
            lead=name,
            value=float(deviation),
            limit=check.limit,
            refuses=check.refuses,
        )
        for name, deviation in zip(window.lead_names, window.signal.std(axis=1), strict=True)
        if deviation < check.limit
    )


def constant_run(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """A lead that stands still for longer than the limit (s): disconnected, railed or filled up."""
    check = quality.constant_run
    findings = []
    for name, lead in zip(window.lead_names, window.signal, strict=True):
        run_s = _longest_run(lead) / window.sampling_frequency
        if run_s > check.limit:
            findings.append(
                Finding(
                    "constant_run",
                    ReasonCode.LEAD_FLAT,
                    lead=name,
                    value=run_s,
                    limit=check.limit,
                    refuses=check.refuses,
                )
            )
    return tuple(findings)


def _longest_run(lead: np.ndarray) -> int:
    """Samples of the longest stretch of equal values."""
    changes = np.flatnonzero(np.diff(lead) != 0)
    edges = np.concatenate(([-1], changes, [lead.size - 1]))
    return int(np.diff(edges).max())


def calibration(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """One square wave in every lead: the calibration pulse of the recorder, not a heart.

    The value is the share of samples that lie on the wave's two levels.
    """
    check = quality.calibration
    if window.signal.shape[0] < 2:
        return ()
    spread = np.ptp(window.signal - np.median(window.signal, axis=1, keepdims=True), axis=0).max()
    swing = float(np.ptp(window.signal[0]))
    if spread > _LEADS_EQUAL_MV or swing <= _LEADS_EQUAL_MV:
        return ()
    position = (window.signal[0] - window.signal[0].min()) / swing
    share = float(np.mean((position < 0.05) | (position > 0.95)))
    if share < check.limit:
        return ()
    return (
        Finding(
            "calibration",
            ReasonCode.NOT_A_RHYTHM_STRIP,
            value=share,
            limit=check.limit,
            refuses=check.refuses,
        ),
    )
