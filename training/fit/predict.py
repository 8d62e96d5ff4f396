"""Logits of a cohort's ECGs: quick ones to choose by, and those that ecgbatch would give."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ecgbatch.net.architecture import Architecture
from ecgbatch.net.checkpoint import build_net
from ecgbatch.net.ensemble import mean_logits
from training.optimise.distributed import ALONE, Group
from training.records import Array, Cohort, Inputs, Predictions, Rows

_BATCH = 64


def batched_logits(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    inputs: Inputs,
    rows: Rows,
    *,
    device: torch.device,
    group: Group = ALONE,
) -> Array:
    """(N, T) float64, computed in batches by all processes together; fp32, eval mode."""
    net = build_net(architecture, weights).to(device)
    logits = torch.zeros(len(rows), architecture.n_classes, dtype=torch.float64, device=device)
    mine = group.rows(len(rows))
    with torch.inference_mode():
        for first in range(mine.start, mine.stop, _BATCH):
            last = min(first + _BATCH, mine.stop)
            signals = torch.from_numpy(inputs.take(rows[first:last])).to(device)
            logits[first:last] = net(signals).double()
    group.all_reduce(logits)
    return logits.cpu().numpy()


def exact_logits(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    inputs: Inputs,
    rows: Rows,
    progress: Callable[[int, int], None],
) -> Array:
    """(N, T) float64 by the code that `ecgbatch` scores with: on the CPU, one ECG at a time."""
    net = build_net(architecture, weights)
    found = [np.empty((0, architecture.n_classes))]
    for first in range(0, len(rows), _BATCH):
        found.append(mean_logits([net], inputs.take(rows[first : first + _BATCH])))
        progress(min(first + _BATCH, len(rows)), len(rows))
    return np.concatenate(found)


def predictions_of(cohort: Cohort, rows: Rows, logits: Array, origin: str) -> Predictions:
    """Args: logits: (len(rows), T)."""
    keys = tuple(cohort.keys[row] for row in rows)
    return Predictions(cohort.tasks, keys, logits, (origin,) * len(rows))
