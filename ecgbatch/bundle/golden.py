"""Golden ECGs: known inputs whose logits every runtime must reproduce before it may score."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ecgbatch.bundle.manifest import Manifest
from ecgbatch.errors import EcgbatchError, SetupFault
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.preprocessing.spec import PreprocessingSpec
from ecgbatch.terms import LEADS, SAMPLING_FREQUENCY, WINDOW_SAMPLES, Numerics, ReasonCode

Batch = NDArray[np.float32]
"""(n, 12, 5000): model inputs, or golden ECGs in mV at 500 Hz."""
Logits = NDArray[np.float64]
"""(n, n_tasks)."""

SIGNALS = "signal_mv"
LOGITS = "logits"


def check_golden(
    manifest: Manifest,
    signals_mv: Batch,
    expected: Logits,
    logits_of: Callable[[Batch], Logits],
    numerics: Numerics,
) -> float:
    """Score the golden ECGs through the bundle's own preparation and compare.

    Returns:
        The largest difference on a logit.

    Raises:
        SetupFault: `bundle_precision`, the class has no tolerance; `bundle_golden`, a logit is
            outside it, not finite, or of another shape.
    """
    tolerance = tolerance_of(manifest, numerics)
    got = logits_of(golden_inputs(signals_mv, manifest.preprocessing))
    if got.shape != expected.shape:
        raise SetupFault(ReasonCode.BUNDLE_GOLDEN, "other number of logits")
    difference = float(np.abs(got - expected).max())
    if not difference <= tolerance:
        raise SetupFault(
            ReasonCode.BUNDLE_GOLDEN, f"differs by {difference:.2g}, allowed {tolerance:.2g}"
        )
    return difference


def tolerance_of(manifest: Manifest, numerics: Numerics) -> float:
    """How far a golden logit may be from what it must be, in this class.

    Raises:
        SetupFault: `bundle_precision`, the bundle does not admit the class.
    """
    tolerance = manifest.golden_tolerance.get(numerics)
    if tolerance is None:
        raise SetupFault(ReasonCode.BUNDLE_PRECISION, numerics)
    return tolerance


def golden_inputs(signals_mv: Batch, spec: PreprocessingSpec) -> Batch:
    """Golden ECGs (n, 12, 5000) in mV -> model inputs (n, 12, 5000).

    Raises:
        SetupFault: one of them cannot be prepared.
    """
    try:
        return np.stack(
            [
                to_input(signal.astype(np.float64), SAMPLING_FREQUENCY, spec).signal
                for signal in signals_mv
            ]
        )
    except EcgbatchError:
        raise SetupFault(ReasonCode.BUNDLE_GOLDEN, "a golden ECG cannot be prepared") from None


def parse_golden(content: bytes, n_tasks: int) -> tuple[Batch, Logits]:
    """golden.npz -> (n, 12, 5000) float32 mV and (n, n_tasks) float64.

    Raises:
        SetupFault: other arrays, shapes or types, none at all, or a value that is not finite.
    """
    arrays = _arrays(content)
    if arrays.keys() != {SIGNALS, LOGITS}:
        raise SetupFault(ReasonCode.BUNDLE_INVALID, f"golden.npz holds {SIGNALS} and {LOGITS}")
    signals, logits = arrays[SIGNALS], arrays[LOGITS]
    _refuse_unfit(signals)
    if logits.shape != (len(signals), n_tasks) or logits.dtype != np.float64:
        raise SetupFault(ReasonCode.BUNDLE_INVALID, f"golden.npz: {LOGITS}")
    if not np.isfinite(logits).all():
        raise SetupFault(ReasonCode.BUNDLE_INVALID, f"golden.npz: {LOGITS} not finite")
    return signals, logits


def packaged_golden_ecgs() -> Batch:
    """The synthetic ECGs that ship with the package: (n, 12, 5000) float32 mV at 500 Hz."""
    arrays = _arrays((Path(__file__).parent / "golden_ecgs.npz").read_bytes())
    signals = arrays[SIGNALS]
    _refuse_unfit(signals)
    return signals


def _refuse_unfit(signals: NDArray[Any]) -> None:
    is_shaped = signals.ndim == 3 and signals.shape[1:] == (len(LEADS), WINDOW_SAMPLES)
    if not is_shaped or not len(signals) or signals.dtype != np.float32:
        raise SetupFault(ReasonCode.BUNDLE_INVALID, f"golden.npz: {SIGNALS}")
    if not np.isfinite(signals.astype(np.float32)).all():
        raise SetupFault(ReasonCode.BUNDLE_INVALID, f"golden.npz: {SIGNALS} not finite")


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    try:
        with np.load(BytesIO(content), allow_pickle=False) as opened:
            return {name: opened[name] for name in opened.files}
    except (BadZipFile, ValueError, OSError, KeyError, EOFError, AttributeError, TypeError):
        raise SetupFault(ReasonCode.BUNDLE_INVALID, "golden.npz cannot be read") from None
