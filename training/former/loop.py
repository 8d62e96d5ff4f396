"""The fit: AdamW with warm-up and cosine, task gradients reconciled by PCGrad.

Two fits with equal settings on one machine give equal bits: seeds, deterministic algorithms
and a fixed number of threads.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgbatch.net.net1d import Net1D
from training.former.settings import FitSettings
from training.optimise.losses import UncertaintyWeights, masked_bce
from training.optimise.pcgrad import project

Progress = Callable[["Step"], None]


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimisation step reports: mean loss per task, weight per task."""

    index: int
    n_steps: int
    losses: tuple[float, ...]
    weights: tuple[float, ...]


@contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Deterministic algorithms, a fixed seed and number of threads; as before afterwards."""
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    had_threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was_deterministic)
            torch.set_num_threads(had_threads)


def fit(
    net: Net1D,
    inputs: NDArray[np.float32],
    labels: NDArray[np.float32],
    settings: FitSettings,
    on_step: Progress,
) -> None:
    """Train the net in place, for a fixed number of epochs, without looking at other data.

    Args:
        inputs: (N, 12, 5000) as `ecgbatch.preprocessing` gives them.
        labels: (N, T) with 1, 0 or NaN (missing).
        settings: call inside `reproducible(settings.seed, settings.threads)` for equal bits.
        on_step: told of every step.
    """
    tasks = UncertaintyWeights(labels.shape[1], settings.log_variance_limit)
    optimiser = torch.optim.AdamW(
        [
            {"params": list(net.parameters()), "weight_decay": settings.weight_decay},
            {"params": list(tasks.parameters()), "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
    )
    n_steps = settings.epochs * math.ceil(len(inputs) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: learning_rate_factor(step, n_steps, settings)
    )
    generator = torch.Generator().manual_seed(settings.seed)
    net.train()
    for index, rows in enumerate(batches(len(inputs), settings, generator)):
        optimiser.zero_grad()
        losses = backward(
            net,
            tasks,
            torch.from_numpy(inputs[rows]),
            torch.from_numpy(labels[rows]),
            generator if settings.projection == "pcgrad" else None,
        )
        nn.utils.clip_grad_norm_(net.parameters(), settings.gradient_limit)
        optimiser.step()
        schedule.step()
        tasks.hold()
        on_step(Step(index, n_steps, _numbers(losses), _numbers(tasks.weights())))
    net.eval()


def batches(
    n_inputs: int, settings: FitSettings, generator: torch.Generator
) -> Iterator[NDArray[np.int64]]:
    """Row numbers of each batch, every epoch in a new random order."""
    for _ in range(settings.epochs):
        order = torch.randperm(n_inputs, generator=generator).numpy()
        for first in range(0, n_inputs, settings.batch_size):
            yield order[first : first + settings.batch_size]


def learning_rate_factor(step: int, n_steps: int, settings: FitSettings) -> float:
    """Linear warm-up, then cosine down to `final_learning_rate_share`."""
    n_warm = max(1, round(settings.warm_up_share * n_steps))
    if step < n_warm:
        return (step + 1) / n_warm
    done = (step - n_warm) / max(1, n_steps - n_warm)
    low = settings.final_learning_rate_share
    return low + (1.0 - low) * (1.0 + math.cos(math.pi * done)) / 2.0


def backward(
    net: Net1D,
    tasks: UncertaintyWeights,
    inputs: Tensor,
    labels: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """Set the gradients of net and task weights for one batch.

    The backbone's gradient is the mean of the tasks' gradients, after PCGrad where `generator`
    is given. A row of the head belongs to one task and is never projected.

    Args:
        inputs: (B, 12, 5000); labels: (B, T).

    Returns:
        (T,) loss per task, detached.
    """
    losses, is_present = masked_bce(net(inputs), labels)
    weighted = losses * tasks.weights()
    torch.autograd.backward(tasks.objective(losses, is_present))
    if generator is None:
        torch.autograd.backward(weighted.mean())
        return losses.detach()
    head = list(net.dense.parameters())
    shared = [
        parameter for name, parameter in net.named_parameters() if not name.startswith("dense.")
    ]
    per_task = task_gradients(weighted, shared)
    _spread(project(per_task, generator).mean(dim=0), shared)
    _spread(task_gradients(weighted.mean().unsqueeze(0), head)[0], head)
    return losses.detach()


def task_gradients(losses: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    """One flat gradient per loss: (T, P). A parameter outside the graph has gradient zero."""
    rows = []
    for loss in losses:
        found = torch.autograd.grad(
            loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        rows.append(torch.cat([gradient.reshape(-1) for gradient in found]))
    return torch.stack(rows)


def predict(net: Net1D, inputs: NDArray[np.float32], batch_size: int) -> NDArray[np.float64]:
    """Logits (N, T) in evaluation mode."""
    net.eval()
    with torch.inference_mode():
        parts = [
            net(torch.from_numpy(inputs[first : first + batch_size])).double().numpy()
            for first in range(0, len(inputs), batch_size)
        ]
    return np.concatenate(parts)


def _spread(flat: Tensor, parameters: list[nn.Parameter]) -> None:
    """Cut a flat gradient into the parameters' `.grad`."""
    sizes = [parameter.numel() for parameter in parameters]
    for parameter, piece in zip(parameters, torch.split(flat, sizes), strict=True):
        parameter.grad = piece.view_as(parameter).clone()


def _numbers(values: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
