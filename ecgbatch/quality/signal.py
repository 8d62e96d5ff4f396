"""Checks of each lead's samples: window -> findings. Limits and switches come from the settings."""

import numpy as np

from ecgbatch.quality.found import found
from ecgbatch.quality.of_settings import Quality
from ecgbatch.quality.ranks import median, percentile
from ecgbatch.quality.runs import (
    longest_run,
    rows_that_may_stand,
    rows_that_may_touch,
    samples_at_extremes,
)
from ecgbatch.quality.window import Window
from ecgbatch.records import Finding
from ecgbatch.terms import ReasonCode

_UNIT_FACTORS = (5.0, 200.0, 1000.0)
_USUAL_PEAK_MV = (0.2, 4.0)
_CLIPPED_S = 0.006
# What is known to be on the right side of a limit by more than rounding can make is no finding.
_SURE = 1 - 1e-6


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
    if window.is_measurable:
        return ()
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
    check, reason = quality.amplitude, ReasonCode.AMPLITUDE_IMPLAUSIBLE
    rows = window.rows_beyond(check.limit)
    if rows.size == 0:
        return ()
    return tuple(
        found("amplitude", reason, check, lead=window.lead_names[row], value=float(peak))
        for row, peak in zip(rows, window.peaks(rows), strict=True)
        if peak > check.limit
    )


def unit_suspected(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Names the usual unit error that would explain the amplitudes; the value is its factor."""
    check = quality.unit_suspected
    # A lead's peak is at most its swing.
    if window.swings.max() <= check.limit or median(window.swings) <= check.limit:
        return ()
    typical = float(median(percentile(np.abs(window.centred), 99.5)))
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
    # The two extremes alone make a standard deviation of swing / sqrt(2 n).
    least = window.swings / np.sqrt(2.0 * window.signal.shape[1])
    rows = np.flatnonzero(_SURE * least < check.limit)
    if rows.size == 0:
        return ()
    return tuple(
        found("flat", ReasonCode.LEAD_FLAT, check, lead=window.lead_names[row], value=float(value))
        for row, value in zip(rows, window.signal[rows].std(axis=1), strict=True)
        if value < check.limit
    )


def constant_run(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """A lead that stands still for longer than the limit (s): disconnected, railed or filled up."""
    check = quality.constant_run
    longer_than = int(check.limit * window.sampling_frequency)
    rows = rows_that_may_stand(window.signal, longer_than)
    runs_s = [longest_run(window.signal[row]) / window.sampling_frequency for row in rows]
    return tuple(
        found("constant_run", ReasonCode.LEAD_FLAT, check, lead=window.lead_names[row], value=run_s)
        for row, run_s in zip(rows, runs_s, strict=True)
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
    longer_than = _SURE * check.limit * window.sampling_frequency
    rows = rows_that_may_touch(window.signal, window.lowest, window.highest, shortest, longer_than)
    times_s = [
        samples_at_extremes(window.signal[row], shortest) / window.sampling_frequency
        for row in rows
    ]
    reason = ReasonCode.LEAD_SATURATED
    return tuple(
        found("saturation", reason, check, lead=window.lead_names[row], value=time_s)
        for row, time_s in zip(rows, times_s, strict=True)
        if time_s > check.limit
    )
