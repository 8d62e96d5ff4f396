"""One recording's signal into the net's input; the same for training and for scoring."""

from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import Refusal
from ecgbatch.preprocessing import steps
from ecgbatch.preprocessing.of_spec import (
    Bandpass,
    MedianBaseline,
    Notch,
    PreprocessingSpec,
    Step,
    ZScore,
)
from ecgbatch.records import Millivolts, ModelInput
from ecgbatch.terms import LEADS, ReasonCode


def to_input(signal: Millivolts, sampling_frequency: float, spec: PreprocessingSpec) -> ModelInput:
    """Apply the specification's steps in order.

    The window (first 10 s) is taken first, at the recording's own sampling frequency, then
    resampled to 5000 samples at 500 Hz, then filtered and normalised as listed. So only the
    needed part of a longer record is filtered, and what comes later cannot move the input, but
    for 0.4 s of context that the resampling filter sees.

    Args:
        signal: (12, n_samples) in mV, rows in LEADS order; the caller guarantees all twelve.
        sampling_frequency: Hz, finite and above zero.

    Raises:
        Refusal: `too_short`, or `invalid_samples` where a sample of the window is not finite.
    """
    in_double, padded_samples = prepare(signal, sampling_frequency, spec.steps)
    with np.errstate(over="ignore"):
        prepared = in_double.astype(np.float32)
    _refuse_not_finite(prepared)
    return ModelInput(signal=prepared, padded_samples=padded_samples)


def prepare(
    signal: Millivolts, sampling_frequency: float, listed: tuple[Step, ...]
) -> tuple[steps.Array, int]:
    """The listed steps in float64: rows of (12, 5000), and how many samples are repeated values.

    Raises:
        Refusal: as `to_input`.
    """
    if signal.ndim != 2 or signal.shape[0] != len(LEADS):
        raise Refusal(ReasonCode.LEAD_MISSING)
    ratio = steps.resampling_ratio(sampling_frequency)
    prepared, padded_samples = np.asarray(signal, dtype=np.float64), 0
    for step in listed:
        if step.step == "window":
            prepared, padded_samples = steps.cut_window(prepared, ratio, step)
            _refuse_not_finite(prepared)
        elif step.step == "resample":
            prepared = steps.resample(prepared, ratio, step)
        else:
            prepared = _filter(prepared, step)
    return np.ascontiguousarray(prepared), padded_samples


def _filter(signal: steps.Array, step: Notch | Bandpass | MedianBaseline | ZScore) -> steps.Array:
    if step.step == "notch":
        return steps.notch(signal, step)
    if step.step == "bandpass":
        return steps.bandpass(signal, step)
    if step.step == "median_baseline":
        return steps.subtract_median_baseline(signal, step)
    if step.step == "zscore":
        return steps.zscore(signal, step)
    assert_never(step)


def _refuse_not_finite(signal: NDArray[np.floating]) -> None:
    if not np.isfinite(signal).all():
        raise Refusal(ReasonCode.INVALID_SAMPLES)
