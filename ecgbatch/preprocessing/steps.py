"""The steps as pure functions on arrays: float64 in, float64 out, in any memory order.

The filters stand in (b, a) form and in double precision on purpose: second-order sections or
one merged filter give other roundings and other edges than the published chain. `filters` says
who computes them; what comes out is the same.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import Refusal
from ecgbatch.preprocessing import design
from ecgbatch.preprocessing.filters import filters
from ecgbatch.preprocessing.of_spec import Bandpass, MedianBaseline, Notch, Resample, Window, ZScore
from ecgbatch.records import Millivolts
from ecgbatch.terms import SAMPLING_FREQUENCY, WINDOW_SAMPLES, ReasonCode

Array = NDArray[np.float64]

_LARGEST_FACTOR = 200_000
"""Bound of the up and down factors, so that no header can ask for an endless filter."""


def resampling_ratio(sampling_frequency: float) -> Fraction:
    """Samples at 500 Hz per sample as recorded, exact.

    A frequency is read as a fraction with a denominator of at most 100, which holds every
    declared one to 0.005 Hz; above 2000 Hz the denominator may be smaller.
    """
    for denominator in (100, 10, 1):
        frequency = Fraction(sampling_frequency).limit_denominator(denominator)
        ratio = Fraction(int(SAMPLING_FREQUENCY)) / frequency
        if max(ratio.numerator, ratio.denominator) <= _LARGEST_FACTOR:
            break
    return ratio


def cut_window(signal: Millivolts, ratio: Fraction, step: Window) -> tuple[Array, int]:
    """The samples of the window, at the recording's own sampling frequency.

    Args:
        signal: (n_leads, n_samples) in mV.
        ratio: from `resampling_ratio`.

    Returns:
        (n_leads, n) with just enough samples for 5000 at 500 Hz, plus real context where the
        record has it; and how many of the 5000 stand for repeated values.

    Raises:
        Refusal: more than `max_missing` of the window is missing.
    """
    n_samples = signal.shape[1]
    n_needed = (WINDOW_SAMPLES - 1) * ratio.denominator // ratio.numerator + 1
    n_available = -(-n_samples * ratio.numerator // ratio.denominator)
    padded = max(0, WINDOW_SAMPLES - n_available)
    if padded > step.max_missing * WINDOW_SAMPLES:
        raise Refusal(ReasonCode.TOO_SHORT)
    if padded:
        return np.pad(signal, ((0, 0), (0, n_needed - n_samples)), mode="edge"), padded
    n_context = 0 if ratio == 1 else int(step.context_s * SAMPLING_FREQUENCY / ratio)
    after = signal[:, n_needed : n_needed + n_context]
    # What is not finite after the window is no context, and no fault of the window either.
    invalid = np.flatnonzero(~np.isfinite(after).all(axis=0))
    n_usable = int(invalid[0]) if invalid.size else after.shape[1]
    return np.asarray(signal[:, : n_needed + n_usable], dtype=np.float64), 0


def resample(signal: Array, ratio: Fraction, step: Resample) -> Array:
    """(n_leads, n) at the recording's frequency -> (n_leads, 5000) at 500 Hz.

    Polyphase, zero phase, continued at both ends by odd reflection, so that an offset makes no
    edge transient. At 500 Hz already, the samples are taken as they are.
    """
    if ratio == 1:
        return signal[:, :WINDOW_SAMPLES]
    from scipy.signal import resample_poly  # noqa: PLC0415 - a second, which few recordings need

    # The filter's gain ripples from phase to phase; without the offset there is little to ripple.
    offset = signal.mean(axis=1, keepdims=True)
    resampled: Array = resample_poly(
        signal - offset,
        ratio.numerator,
        ratio.denominator,
        axis=-1,
        window=_antialiasing(ratio, step),
        padtype="antireflect",
    )
    return np.asarray(resampled[:, :WINDOW_SAMPLES] + offset, dtype=np.float64)


def notch(signal: Array, step: Notch) -> Array:
    return filters().zero_phase(design.notch(step.frequency_hz, step.quality), signal)


def bandpass(signal: Array, step: Bandpass) -> Array:
    designed = design.bandpass(step.order, step.low_hz, step.high_hz)
    return filters().zero_phase(designed, signal)


def subtract_median_baseline(signal: Array, step: MedianBaseline) -> Array:
    """Running median over the odd number of samples next above `window_s`, zeros outside.

    The zeros are the published chain's; after the bandpass the signal is centred on zero.
    """
    n_window = int(step.window_s * SAMPLING_FREQUENCY) // 2 * 2 + 1
    return filters().subtract_median(signal, n_window)


def zscore(signal: Array, step: ZScore) -> Array:
    """Population standard deviation; a constant lead becomes zeros."""
    axis = 1 if step.over == "lead" else None
    in_rows = np.ascontiguousarray(signal)  # numpy's sums follow the memory
    mean = in_rows.mean(axis=axis, keepdims=True)
    deviation = in_rows.std(axis=axis, keepdims=True, mean=mean)
    scored = in_rows - mean
    scored /= deviation + step.eps
    return np.asarray(scored, dtype=np.float64)


def _antialiasing(ratio: Fraction, step: Resample) -> Array:
    from scipy.signal import firwin  # noqa: PLC0415 - as above

    factor = max(ratio.numerator, ratio.denominator)
    taps: Array = firwin(
        2 * step.half_length * factor + 1, 1 / factor, window=("kaiser", step.kaiser_beta)
    )
    return taps
