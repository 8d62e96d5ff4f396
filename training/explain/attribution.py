"""Relevance of each sample of a model input for one output of the nets of a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgbatch.net.net1d import Net1D

Array = NDArray[np.float64]

FIRST_STEPS = 64
_MOST_STEPS = 1024
_PASSES_AT_ONCE = 16
"""Points of the path in one forward and backward pass: bounds the memory."""


class Method(StrEnum):
    INTEGRATED_GRADIENTS = "integrated-gradients"
    GRAD_CAM = "grad-cam"


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """What moved one output of one input.

    Attributes:
        relevance: (12, 5000), of the model's own samples. Integrated Gradients: in logits, its
            sum is `logit - baseline_logit`. Grad-CAM: no unit, one curve for all leads.
        logit: of the input, before any calibrator; mean of the members.
        baseline_logit: of the baseline, an input of zeros: each lead at its own mean.
        n_steps: points of the path; 0 for Grad-CAM.
        completeness_delta: sum of the relevance minus `logit - baseline_logit`; None for
            Grad-CAM, which does not claim to add up.
        is_complete: the delta is within `completeness_limit`; None for Grad-CAM.
        resolution: samples that one value of the map stands for.
    """

    method: Method
    relevance: Array = field(repr=False)
    logit: float
    baseline_logit: float
    n_steps: int
    completeness_delta: float | None
    is_complete: bool | None
    resolution: int


def completeness_limit(change: float) -> float:
    """How far the relevances may be from adding up: 0.005 logits, or 1 % of the change."""
    return max(0.005, 0.01 * abs(change))


def attribute(
    nets: Sequence[Net1D], signal: NDArray[np.float32], output: int, method: Method
) -> Attribution:
    """Attribute one output of an ensemble (mean of its members' logits) to the input's samples.

    Args:
        nets: in eval mode.
        signal: (12, 5000), prepared.
        output: row of the head.

    Source: Sundararajan and others 2017 (Integrated Gradients), Selvaraju and others 2017
    (Grad-CAM), both as captum computes them.
    """
    x = torch.from_numpy(np.array(signal[np.newaxis]))
    with torch.no_grad():
        logit = _mean_output(nets, x, output)
        baseline_logit = _mean_output(nets, torch.zeros_like(x), output)
    if method is Method.GRAD_CAM:
        return _grad_cam(nets, x, output, logit, baseline_logit)
    return _integrated(nets, x, output, logit, baseline_logit)


def _mean_output(nets: Sequence[Net1D], x: Tensor, output: int) -> float:
    return float(np.mean([float(net(x)[0, output]) for net in nets]))


def _integrated(
    nets: Sequence[Net1D], x: Tensor, output: int, logit: float, baseline_logit: float
) -> Attribution:
    """More steps until the relevances add up, within a bound that is reported if it is met."""
    n_steps, change = FIRST_STEPS, logit - baseline_logit
    while True:
        relevance = np.mean([integrate(net, x, output, n_steps)[0] for net in nets], axis=0)
        delta = float(relevance.sum()) - change
        is_complete = abs(delta) <= completeness_limit(change)
        if is_complete or n_steps >= _MOST_STEPS:
            break
        n_steps *= 2
    return Attribution(
        Method.INTEGRATED_GRADIENTS,
        relevance,
        logit,
        baseline_logit,
        n_steps,
        completeness_delta=delta,
        is_complete=is_complete,
        resolution=1,
    )


def integrate(net: nn.Module, x: Tensor, output: int, n_steps: int) -> Array:
    """(B, 12, n) -> Integrated Gradients (B, 12, n), baseline zeros, Gauss-Legendre points."""
    relevance = IntegratedGradients(net).attribute(
        x,
        baselines=torch.zeros_like(x),
        target=output,
        n_steps=n_steps,
        method="gausslegendre",
        internal_batch_size=_PASSES_AT_ONCE,
    )
    return np.asarray(relevance.detach().double().numpy())


def grad_cam(net: Net1D, x: Tensor, output: int) -> tuple[Array, int]:
    """(B, 12, n) -> (B, 12, n) and the samples per value of the map.

    On the last stage, without the final ReLU, so that what lowers the output is seen too; the map
    is drawn out linearly to the input's length and repeated for every lead.
    """
    coarse = LayerGradCam(net, net.stage_list[-1]).attribute(x, target=output)
    fine = LayerAttribution.interpolate(coarse, (x.shape[-1],), "linear")
    map_ = fine.detach().double().numpy()
    return np.repeat(map_, x.shape[1], axis=1), -(-x.shape[-1] // coarse.shape[-1])


def _grad_cam(
    nets: Sequence[Net1D], x: Tensor, output: int, logit: float, baseline_logit: float
) -> Attribution:
    maps = [grad_cam(net, x, output) for net in nets]
    return Attribution(
        Method.GRAD_CAM,
        np.mean([relevance[0] for relevance, _ in maps], axis=0),
        logit,
        baseline_logit,
        n_steps=0,
        completeness_delta=None,
        is_complete=None,
        resolution=maps[0][1],
    )
