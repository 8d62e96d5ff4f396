"""A golden ECG down the live path, before any patient's: what comes out is known beforehand.

The golden ECGs prove the net when its weights are loaded. The canary proves what lies between a
file and a row: reader process, gates, preparation, net, calibration, strata.
"""

import json
from dataclasses import dataclass, field, replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from ecgbatch.bundle.calibration import calibrate, sigmoid
from ecgbatch.bundle.golden import Batch, Logits, golden_inputs
from ecgbatch.bundle.load import Bundle
from ecgbatch.bundle.manifest import Manifest
from ecgbatch.examination import Terms
from ecgbatch.pipeline import Instruments, assess
from ecgbatch.quality.checks import check, refusal
from ecgbatch.readers.numpy_array import SIDECAR_SUFFIX
from ecgbatch.records import (
    Assessment,
    Examined,
    Member,
    ModelInput,
    Outcome,
    Recording,
    RecordingBytes,
    Rejected,
    RetryLater,
    Risk,
    Scored,
)
from ecgbatch.strata import stratify
from ecgbatch.terms import LEADS, SAMPLING_FREQUENCY, Canary

_NAME = "canary.npy"
_ROUNDING = 1e-9


@dataclass(slots=True)
class _Seen:
    """What passed by on the way."""

    recording: Recording | None = None
    prepared: ModelInput | None = None
    risks: tuple[Risk, ...] = field(default=())


def send(instruments: Instruments, bundle: Bundle, number: int) -> Canary:
    """Send one golden ECG of `bundle` the way of every ECG and compare; nothing is written.

    Args:
        instruments: those that the run's ECGs are assessed with.
        number: of the run; the golden ECGs take turns by it.

    Raises:
        SetupFault: no reader process can be started any more.
    """
    place = _turn(instruments, bundle.golden_signals_mv, number)
    if place is None:
        return Canary.NOT_SENT
    signal, logits = bundle.golden_signals_mv[place], bundle.golden_logits[place]
    seen = _Seen()
    outcome = assess(as_bytes(signal), _watched(instruments, seen))
    if isinstance(outcome, RetryLater):
        return Canary.NOT_SENT
    return _compared(seen, outcome, signal, logits, instruments)


def as_bytes(signal_mv: NDArray[np.float32]) -> RecordingBytes:
    """(12, 5000) in mV as a file that a reader reads without rounding: `.npy` and its sidecar."""
    array = BytesIO()
    np.save(array, signal_mv, allow_pickle=False)
    sidecar = {"sampling_frequency": SAMPLING_FREQUENCY, "unit": "mV", "leads": LEADS}
    return RecordingBytes(
        (
            Member(_NAME, array.getvalue()),
            Member(_NAME + SIDECAR_SUFFIX, json.dumps(sidecar).encode()),
        )
    )


def _turn(instruments: Instruments, signals_mv: Batch, number: int) -> int | None:
    """The first golden ECG from its turn on that the settings' gates let through."""
    places = ((number + step) % len(signals_mv) for step in range(len(signals_mv)))
    return next((one for one in places if _passes(instruments, signals_mv[one])), None)


def _passes(instruments: Instruments, signal: NDArray[np.float32]) -> bool:
    recording = Recording(
        signal=signal.astype(np.float64),
        lead_names=LEADS,
        sampling_frequency=SAMPLING_FREQUENCY,
        signal_digest="",
        format="",
        reader="",
        reader_version="",
    )
    return refusal(check(recording, instruments.quality, instruments.eligibility)) is None


def _watched(instruments: Instruments, seen: _Seen) -> Instruments:
    """The same instruments; what they answer is also kept in `seen`."""

    def decode(source: RecordingBytes) -> Recording:
        seen.recording = instruments.decode(source)
        return seen.recording

    def score(prepared: ModelInput) -> tuple[Risk, ...]:
        seen.prepared = prepared
        seen.risks = instruments.score(prepared)
        return seen.risks

    watched = replace(instruments, decode=decode, score=score)
    if (inner := instruments.examine) is None:
        return watched

    def examine(source: RecordingBytes, terms: Terms) -> Examined:
        # The samples do not come with it, so the reader is asked for them first.
        decode(source)
        return inner(source, terms)

    return replace(watched, examine=examine)


def _compared(
    seen: _Seen,
    outcome: Outcome,
    signal: NDArray[np.float32],
    logits: Logits,
    instruments: Instruments,
) -> Canary:
    manifest = instruments.manifest
    if seen.recording is None or not _is_read(seen.recording, signal):
        return Canary.SIGNAL
    if seen.prepared is None:
        is_gated = isinstance(outcome, Rejected) and refusal(outcome.findings) is not None
        return Canary.GATES if is_gated else Canary.PREPROCESSING
    expected = golden_inputs(signal[np.newaxis], manifest.preprocessing)[0]
    if seen.prepared.padded_samples or not np.array_equal(seen.prepared.signal, expected):
        return Canary.PREPROCESSING
    tolerance = manifest.golden_tolerance[instruments.numerics]
    got = np.array([risk.logit for risk in seen.risks])
    if got.shape != logits.shape or not np.abs(got - logits).max() <= tolerance:
        return Canary.NET
    if not isinstance(outcome, Scored):
        return Canary.STRATA
    around = [_assessed(logits + shift, instruments) for shift in (-tolerance, 0.0, tolerance)]
    return Canary.PASSED if _lies_among(outcome.assessment, around) else Canary.STRATA


def _is_read(recording: Recording, signal: NDArray[np.float32]) -> bool:
    """To the last bit: the way there and back rounds nothing."""
    return (
        recording.lead_names == LEADS
        and recording.sampling_frequency == SAMPLING_FREQUENCY
        and np.array_equal(recording.signal, signal.astype(np.float64))
    )


def _assessed(logits: Logits, instruments: Instruments) -> Assessment:
    manifest: Manifest = instruments.manifest
    risks = tuple(
        Risk(task.vessel, logit, sigmoid(logit), calibrate(logit, task.calibrator))
        for task, logit in zip(manifest.tasks, map(float, logits), strict=True)
    )
    return stratify(risks, manifest, instruments.numerics)


def _lies_among(got: Assessment, around: list[Assessment]) -> bool:
    """Whether every probability and stratum is one that the tolerance on the logits allows."""
    if got.any_vessel_stratum not in {one.any_vessel_stratum for one in around}:
        return False
    for place, task in enumerate(got.tasks):
        allowed = [one.tasks[place] for one in around]
        probabilities = [one.risk.probability for one in allowed]
        is_near = min(probabilities) - _ROUNDING <= task.risk.probability
        is_near = is_near and task.risk.probability <= max(probabilities) + _ROUNDING
        if not is_near or task.stratum not in {one.stratum for one in allowed}:
            return False
    return True
