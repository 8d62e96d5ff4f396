"""Checks of each lead's samples: window -> findings. Limits and switches come from the settings."""

import numpy as np

from ecgbatch.quality.found import found
from ecgbatch.quality.of_settings import Quality
from ecgbatch.quality.window import Window
from ecgbatch.records import Finding, Millivolts
from ecgbatch.terms import ReasonCode

_UNIT_FACTORS = (5.0, 200.0, 1000.0)
_USUAL_PEAK_MV = (0.2, 4.0)
_CLIPPED_S = 0.006


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
    return tuple(
        found("amplitude", ReasonCode.AMPLITUDE_IMPLAUSIBLE, check, lead=name, value=float(peak))
        for name, peak in zip(window.lead_names, window.peaks, strict=True)
        if peak > check.limit
    )


def unit_suspected(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Names the usual unit error that would explain the amplitudes; the value is its factor."""
    check = quality.unit_suspected
    if float(np.median(window.peaks)) <= check.limit:
        return ()
    typical = float(np.median(np.percentile(np.abs(window.centred), 99.5, axis=1)))
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
    longer_than = int(check.limit * window.sampling_frequency)
    runs_s = [_longest_run(lead, longer_than) / window.sampling_frequency for lead in window.signal]
    return tuple(
        found("constant_run", ReasonCode.LEAD_FLAT, check, lead=name, value=run_s)
        for name, run_s in zip(window.lead_names, runs_s, strict=True)
        if run_s > check.limit
    )


def saturation(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Time (s) that a lead spends at its own highest or lowest value: a clipped amplifier.

    Counted are stretches of at least 3 samples and 6 ms there; a smooth wave touches its extreme
    once and shortly. Signal quality by single conditions whose cause can be named: Di Marco LY et
    al. Physiol Meas 2012;33:1435-1448; this measure and its limit are ours.
    """
    check = quality.saturation
    shortest = max(3, round(_CLIPPED_S * window.sampling_frequency))
    times_s = [
        _samples_at_extremes(lead, shortest) / window.sampling_frequency for lead in window.signal
    ]
    return tuple(
        found("saturation", ReasonCode.LEAD_SATURATED, check, lead=name, value=time_s)
        for name, time_s in zip(window.lead_names, times_s, strict=True)
        if time_s > check.limit
    )


def _samples_at_extremes(lead: Millivolts, shortest: int) -> int:
    """Samples in stretches of at least `shortest` at the lead's maximum or minimum."""
    n_samples = 0
    for extreme in {float(lead.max()), float(lead.min())}:
        at = np.flatnonzero(lead == extreme)
        if at.size >= shortest:
            ends = np.flatnonzero(np.diff(at) > 1)
            lengths = np.diff(np.concatenate(([-1], ends, [at.size - 1])))
            n_samples += int(lengths[lengths >= shortest].sum())
    return n_samples


def _longest_run(lead: Millivolts, longer_than: int) -> int:
    """Samples of the longest stretch of equal values; 0 if none is `longer_than`, quickly."""
    stride = max(longer_than // 3, 1)
    few = lead[::stride]
    if longer_than > 3 and not ((few[2:] == few[1:-1]) & (few[1:-1] == few[:-2])).any():
        return 0
    changes = np.flatnonzero(lead[1:] != lead[:-1])
    edges = np.concatenate(([-1], changes, [lead.size - 1]))
    return int(np.diff(edges).max())
