"""Checks of each lead's samples: window -> findings. Limits and switches come from the settings."""

import numpy as np

from ecgbatch.quality.found import found
from ecgbatch.quality.window import Window
from ecgbatch.records import Finding, Millivolts
from ecgbatch.settings import Quality
from ecgbatch.terms import ReasonCode

_UNIT_FACTORS = (5.0, 200.0, 1000.0)
_USUAL_PEAK_MV = (0.2, 4.0)
_LEADS_EQUAL_MV = 0.02


def too_short(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """At least 9.8 s: the last 2 % may be filled with edge values, nothing more."""
    check = quality.too_short
    # 4900 of 5000 samples at 500 Hz are 9.8 s exactly; half a sample guards the division.
    if window.duration_s >= check.limit - 0.5 / window.sampling_frequency:
        return ()
    return (found("too_short", ReasonCode.TOO_SHORT, check, value=window.duration_s),)


def long_record(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Longer than a minute: that only the first 10 s count should be known."""
    check = quality.long_record
    if window.duration_s <= check.limit:
        return ()
    return (found("long_record", ReasonCode.LONG_RECORD, check, value=window.duration_s),)


def invalid_samples(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Samples that the file marks as invalid; the value is their number in that lead."""
    counts = np.count_nonzero(~np.isfinite(window.signal), axis=1)
    return tuple(
        found(
            "invalid_samples",
            ReasonCode.INVALID_SAMPLES,
            quality.invalid_samples,
            lead=name,
            value=float(count),
        )
        for name, count in zip(window.lead_names, counts, strict=True)
        if count
    )


def amplitude(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """|mV - the lead's median| beyond the limit."""
    check = quality.amplitude
    peaks = np.abs(_centred(window)).max(axis=1)
    return tuple(
        found("amplitude", ReasonCode.AMPLITUDE_IMPLAUSIBLE, check, lead=name, value=float(peak))
        for name, peak in zip(window.lead_names, peaks, strict=True)
        if peak > check.limit
    )


def unit_suspected(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Names the usual unit error that would explain the amplitudes; the value is its factor."""
    check = quality.unit_suspected
    typical = float(np.median(np.percentile(np.abs(_centred(window)), 99.5, axis=1)))
    if typical <= check.limit:
        return ()
    low, high = _USUAL_PEAK_MV
    factors = [factor for factor in _UNIT_FACTORS if low <= typical / factor <= high]
    return tuple(
        found("unit_suspected", ReasonCode.UNIT_SUSPECTED, check, value=factor)
        for factor in factors[:1]
    )


def flat(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """A lead without signal: its standard deviation (mV) is below the limit."""
    check = quality.flat
    return tuple(
        found("flat", ReasonCode.LEAD_FLAT, check, lead=name, value=float(deviation))
        for name, deviation in zip(window.lead_names, window.signal.std(axis=1), strict=True)
        if deviation < check.limit
    )


def constant_run(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """A lead that stands still for longer than the limit (s): disconnected, railed or filled up."""
    check = quality.constant_run
    runs_s = [_longest_run(lead) / window.sampling_frequency for lead in window.signal]
    return tuple(
        found("constant_run", ReasonCode.LEAD_FLAT, check, lead=name, value=run_s)
        for name, run_s in zip(window.lead_names, runs_s, strict=True)
        if run_s > check.limit
    )


def calibration(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """One square wave in every lead: the calibration pulse of the recorder, not a heart.

    The value is the share of samples that lie on the wave's two levels.
    """
    check = quality.calibration
    spread = np.ptp(_centred(window), axis=0).max()
    swing = float(np.ptp(window.signal[0]))
    if window.signal.shape[0] < 2 or spread > _LEADS_EQUAL_MV or swing <= _LEADS_EQUAL_MV:
        return ()
    position = (window.signal[0] - window.signal[0].min()) / swing
    share = float(np.mean((position < 0.05) | (position > 0.95)))
    if share < check.limit:
        return ()
    return (found("calibration", ReasonCode.NOT_A_RHYTHM_STRIP, check, value=share),)


def _centred(window: Window) -> Millivolts:
    """Each lead without its median, which is the offset of the electrode."""
    centred: Millivolts = window.signal - np.median(window.signal, axis=1, keepdims=True)
    return centred


def _longest_run(lead: Millivolts) -> int:
    """Samples of the longest stretch of equal values."""
    changes = np.flatnonzero(np.diff(lead) != 0)
    edges = np.concatenate(([-1], changes, [lead.size - 1]))
    return int(np.diff(edges).max())
