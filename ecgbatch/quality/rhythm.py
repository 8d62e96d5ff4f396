"""Is it a strip of a beating heart, at the rate that it declares? window -> findings."""

import numpy as np

from ecgbatch.quality.found import found
from ecgbatch.quality.of_settings import Quality
from ecgbatch.quality.window import Window
from ecgbatch.records import Finding, Millivolts
from ecgbatch.terms import WINDOW_S, ReasonCode

_LEAST_SWING_MV = 0.02
_LEVEL = 0.1
_EDGE = 64
_USUAL_FREQUENCIES = (100.0, 125.0, 200.0, 240.0, 250.0, 300.0, 400.0, 500.0, 600.0, 1000.0, 2000.0)
_LENGTH_TOLERANCE = 0.02


def single_beat(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """All that moves fits into one beat, the rest stands still: a median beat, filled up.

    The value is the time (s) from the first to the last change in any lead. A beat that is
    repeated over the whole strip moves all the time and is no case of this check.
    """
    check = quality.single_beat
    if _least_span(window.signal) / window.sampling_frequency > check.limit:
        return ()
    moving = np.flatnonzero((window.signal[:, 1:] != window.signal[:, :-1]).any(axis=0))
    if moving.size == 0:
        return ()
    span_s = float(moving[-1] - moving[0] + 1) / window.sampling_frequency
    if span_s > check.limit:
        return ()
    return (found("single_beat", ReasonCode.NOT_A_RHYTHM_STRIP, check, value=span_s),)


def _least_span(signal: Millivolts) -> int:
    """From the first to the last change at least so many samples, as far as the ends show."""
    if signal.shape[1] <= 2 * _EDGE:
        return 0
    begins = (signal[:, 0] != signal[:, _EDGE]).any()
    ends = (signal[:, -1] != signal[:, -1 - _EDGE]).any()
    return signal.shape[1] - 2 * _EDGE if begins and ends else 0


def calibration(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """One square wave in every lead: the calibration pulse of the recorder, not a heart.

    The value is the share of samples that lie on the wave's two levels, within a tenth of its
    swing; the leads may differ by as much.
    """
    check = quality.calibration
    swings, swing = window.swings, float(window.swings[0])
    if swings.size < 2 or swing <= _LEAST_SWING_MV:
        return ()
    # Of two leads that go up and down by that much more and less, one is half of it off the other.
    if swings.max() - swings.min() > 2.01 * _LEVEL * swing:
        return ()
    position = (window.signal[0] - window.lowest[0]) / swing
    share = float(np.mean((position < _LEVEL) | (position > 1 - _LEVEL)))
    if share < check.limit or np.ptp(window.centred, axis=0).max() > _LEVEL * swing:
        return ()
    return (found("calibration", ReasonCode.NOT_A_RHYTHM_STRIP, check, value=share),)


def heart_rate(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Beats per minute that no heart at rest has: no rhythm, noise, or another sampling frequency.

    Source of the detector: `beats.find_beats`.
    """
    check = quality.heart_rate
    rate = window.beats.rate_per_minute
    if check.low <= rate <= check.high:
        return ()
    bound = check.low if rate < check.low else check.high
    reason = ReasonCode.HEART_RATE_IMPLAUSIBLE
    return (found("heart_rate", reason, check, value=rate, limit=bound),)


def sampling_frequency(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Length and heart rate both speak for another sampling frequency than the declared one.

    The record is not 10 s long but would be, within 2 %, at another usual frequency, its heart
    rate lies outside the band of the settings and at that frequency it would lie within. The
    value is that frequency, the limit the declared one (Hz). Nothing is corrected.
    """
    check = quality.sampling_frequency
    declared = window.sampling_frequency
    if _is_close(window.duration_s, WINDOW_S):
        return ()
    rate = window.beats.rate_per_minute
    if check.low <= rate <= check.high:
        return ()
    likely = [
        frequency
        for frequency in _USUAL_FREQUENCIES
        if _is_close(window.duration_s * declared, WINDOW_S * frequency)
        and check.low <= rate * frequency / declared <= check.high
    ]
    reason = ReasonCode.SAMPLING_FREQUENCY_SUSPECTED
    return tuple(
        found("sampling_frequency", reason, check, value=frequency, limit=declared)
        for frequency in likely[:1]
    )


def _is_close(one: float, other: float) -> bool:
    return abs(one - other) <= _LENGTH_TOLERANCE * other
