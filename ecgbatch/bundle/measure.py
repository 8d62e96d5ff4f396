"""At export: the golden logits, and how far another processor may be from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecgbatch.bundle.golden import Batch, Logits, golden_inputs
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.checkpoint import build_net
from ecgbatch.net.ensemble import mean_logits
from ecgbatch.preprocessing.spec import PreprocessingSpec

_MARGIN = 10.0
_FLOOR = 1e-4
"""Smallest tolerance given: other processors round differently."""


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """What a bundle stores of its golden ECGs.

    Attributes:
        logits: (n, n_tasks) in single precision.
        tolerance: for `Numerics.FP32`.
    """

    logits: Logits
    tolerance: float


def measure_golden(
    architecture: Architecture,
    members: Sequence[Mapping[str, Tensor]],
    spec: PreprocessingSpec,
    signals_mv: Batch,
) -> Golden:
    """Score the golden ECGs in single precision and see how far rounding moves them.

    The tolerance is ten times the largest difference to double precision, at least 1e-4.

    Args:
        signals_mv: (n, 12, 5000) at 500 Hz.

    Raises:
        SetupFault: tensors do not fit, or an ECG cannot be prepared.
    """
    nets = [build_net(architecture, tensors) for tensors in members]
    inputs = golden_inputs(signals_mv, spec)
    threads = torch.get_num_threads()
    try:
        # One thread: the order of additions, and so the bundle's digest, is the same each time.
        torch.set_num_threads(1)
        single = mean_logits(nets, inputs)
        double = mean_logits([net.double() for net in nets], inputs)
    finally:
        torch.set_num_threads(threads)
    return Golden(single, max(_FLOOR, _MARGIN * float(np.abs(double - single).max())))
