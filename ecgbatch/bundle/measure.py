"""At export: the golden logits, and how far another processor or precision may be from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecgbatch.bundle.golden import Batch, Logits, golden_inputs
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.bf16 import Bf16Mode, rounded
from ecgbatch.net.checkpoint import build_net
from ecgbatch.net.ensemble import mean_logits
from ecgbatch.preprocessing.spec import PreprocessingSpec
from ecgbatch.terms import Numerics

_MARGIN = 10.0
_FLOOR = 1e-4
"""Smallest tolerance given: other processors round differently."""
_BF16_MARGIN = 2.0
"""Other ECGs than the golden ones were seen to differ 1.2 to 1.8 times as much (docs/why/0050)."""
_BF16_STEP = 2.0**-8
"""Of a logit: a runtime that stores the logit itself in bf16 may be off by half of it."""
_WIDEST = 1.0
"""Largest tolerance that a manifest takes."""


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """What a bundle stores of its golden ECGs.

    Attributes:
        logits: (n, n_tasks) in single precision.
        tolerance: on a logit, for each numerics class that the nets can be computed in.
    """

    logits: Logits
    tolerance: dict[Numerics, float]


def measure_golden(
    architecture: Architecture,
    members: Sequence[Mapping[str, Tensor]],
    spec: PreprocessingSpec,
    signals_mv: Batch,
) -> Golden:
    """Score the golden ECGs in single precision and see how far rounding moves them.

    The tolerance of fp32 is ten times the largest difference to double precision, at least 1e-4.
    That of bf16 is twice the largest difference to weights and activations rounded to bf16, at
    least one bf16 step of the largest logit; nets that it carries further than 1 do not get it.

    Args:
        signals_mv: (n, 12, 5000) at 500 Hz.

    Raises:
        SetupFault: tensors do not fit, or an ECG cannot be prepared.
    """
    nets = [build_net(architecture, tensors) for tensors in members]
    coarse_nets = [build_net(architecture, rounded(tensors)) for tensors in members]
    inputs = golden_inputs(signals_mv, spec)
    threads = torch.get_num_threads()
    try:
        # One thread: the order of additions, and so the bundle's digest, is the same each time.
        torch.set_num_threads(1)
        single = mean_logits(nets, inputs)
        with Bf16Mode():
            coarse = mean_logits(coarse_nets, inputs)
        double = mean_logits([net.double() for net in nets], inputs)
    finally:
        torch.set_num_threads(threads)
    tolerance = {Numerics.FP32: max(_FLOOR, _MARGIN * _largest(double - single))}
    bf16 = max(_BF16_MARGIN * _largest(coarse - single), _BF16_STEP * _largest(single), _FLOOR)
    if bf16 <= _WIDEST:  # not so where it is not a number
        tolerance[Numerics.BF16] = float(f"{bf16:.2g}")  # the same digits on other processors
    return Golden(single, tolerance)


def _largest(values: Logits) -> float:
    return float(np.abs(values).max())
