"""The model randomisation test: an explanation must depend on what the net has learned.

Source: Adebayo and others 2018, "Sanity Checks for Saliency Maps", cascading randomisation.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from ecgbatch.net.net1d import Net1D
from training.explain.attribution import Method, grad_cam, integrate
from training.records import Progress

Array = NDArray[np.float64]

N_STEPS = 32
LARGEST_SENSITIVITY = 0.3
"""Rank correlation that may be left once every layer is random."""
_LEAST_INPUT = 1e-3
"""Of the input's SD: nearer to zero, the input factor cannot be taken out."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """Mean Spearman correlation over ECGs, trained net against one randomised down to a layer.

    Attributes:
        layer: the lowest one that is random, `none` before the first.
        magnitude: of |relevance|, as Adebayo and others measure it.
        signed: of the relevance itself.
        sensitivity: of |relevance / input|, the part that the net adds: Integrated Gradients
            are the input times a mean gradient, and the input stays the same. For Grad-CAM,
            which has no such factor, of |relevance|.
    """

    layer: str
    magnitude: float
    signed: float
    sensitivity: float


@dataclass(frozen=True, slots=True)
class SanityCheck:
    """The result for one output.

    Attributes:
        similarities: from the trained net to one without a trained layer.
        input_magnitude: correlation of |relevance| with |input|: what a picture that looks at the
            ECG alone, and at no net, would reach. None for Grad-CAM.
    """

    method: Method
    output: str
    seed: int
    n_ecgs: int
    similarities: tuple[Similarity, ...] = field(repr=False)
    input_magnitude: float | None

    @property
    def has_passed(self) -> bool:
        """Nothing is left but what the input alone explains."""
        last = self.similarities[-1]
        is_below_input = self.input_magnitude is None or last.magnitude < self.input_magnitude
        return is_below_input and last.sensitivity <= LARGEST_SENSITIVITY


def layers(net: Net1D) -> tuple[str, ...]:
    """Names of the parts that are randomised together, from the head down."""
    stages = (f"stage_list.{index}" for index in reversed(range(len(net.stage_list))))
    return ("dense", *stages, "first_bn", "first_conv")


def cascade(net: Net1D, seed: int) -> Iterator[tuple[str, Net1D]]:
    """Nets whose layers are random from the head down to the one named, in eval mode.

    Each layer gets the start that PyTorch gives it, batch norm also its untrained statistics.
    The net given stays as it is; the one yielded changes with the next.
    """
    randomised = deepcopy(net)
    for number, name in enumerate(layers(net)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + number)
            for module in randomised.get_submodule(name).modules():
                _restart(module)
        yield name, randomised.eval()


def _restart(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d | nn.Linear | nn.BatchNorm1d):
        module.reset_parameters()


def check_sanity(
    nets: Sequence[Net1D],
    signals: NDArray[np.float32],
    output: int,
    method: Method,
    *,
    name: str,
    seed: int,
    n_steps: int = N_STEPS,
    show: Progress = lambda what, done, total: None,
) -> SanityCheck:
    """Randomise every member together, layer by layer, and compare the relevances.

    Args:
        signals: (B, 12, 5000), prepared.
        name: of the output.
        n_steps: of Integrated Gradients.
    """
    x = torch.from_numpy(np.array(signals))
    trained = _relevance(nets, x, output, method, n_steps)
    similarities = [_compare("none", trained, trained, signals, method)]
    n_layers = len(layers(nets[0]))
    cascades = [cascade(net, seed + 1000 * number) for number, net in enumerate(nets)]
    for done, step in enumerate(zip(*cascades, strict=True), start=1):
        randomised = _relevance([net for _, net in step], x, output, method, n_steps)
        similarities.append(_compare(step[0][0], trained, randomised, signals, method))
        show(f"randomising, {name}", done, n_layers)
    has_factor = method is Method.INTEGRATED_GRADIENTS
    return SanityCheck(
        method,
        name,
        seed,
        len(signals),
        tuple(similarities),
        _mean_correlation(np.abs(trained), np.abs(signals)) if has_factor else None,
    )


def _relevance(
    nets: Sequence[Net1D], x: Tensor, output: int, method: Method, n_steps: int
) -> Array:
    if method is Method.GRAD_CAM:
        # One curve for all leads: once is enough.
        members = [grad_cam(net, x, output)[0][:, :1] for net in nets]
    else:
        members = [integrate(net, x, output, n_steps) for net in nets]
    return np.asarray(np.mean(members, axis=0))


def _compare(
    layer: str, one: Array, other: Array, signals: NDArray[np.float32], method: Method
) -> Similarity:
    magnitude = _mean_correlation(np.abs(one), np.abs(other))
    signed = _mean_correlation(one, other)
    if method is Method.GRAD_CAM:
        return Similarity(layer, magnitude, signed, magnitude)
    factor = np.maximum(np.abs(signals.astype(np.float64)), _LEAST_INPUT)
    sensitivity = _mean_correlation(np.abs(one) / factor, np.abs(other) / factor)
    return Similarity(layer, magnitude, signed, sensitivity)


def _mean_correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Mean over the ECGs of Spearman's correlation over all samples of all leads."""
    return float(
        np.mean([_spearman(a.ravel(), b.ravel()) for a, b in zip(one, other, strict=True)])
    )


def _spearman(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """0 where one of them is constant: it has no ranks to agree with."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])
