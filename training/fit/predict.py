"""Logits of a cohort's ECGs: quick ones to choose by, and those that ecgbatch would give."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ecgbatch.net.architecture import Architecture
from ecgbatch.net.checkpoint import build_net
from ecgbatch.net.ensemble import mean_logits
from training.fit.material import Around
from training.optimise.distributed import ALONE, Group
from training.records import Array, Cohort, Inputs, Predictions, Rows

LOGIT_TOLERANCE = 1e-5
"""How far a GPU's logits may be from those of ecgbatch; probabilities differ by less."""
_BATCH = 64
_N_COMPARED = 16


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
    *,
    around: Around,
    what: str,
) -> Array:
    """(N, T) float64 by the code that `ecgbatch` scores with: on the CPU, one ECG at a time."""
    net = build_net(architecture, weights)
    logits = torch.zeros(len(rows), architecture.n_classes, dtype=torch.float64)
    mine = around.group.rows(len(rows))
    for first in range(mine.start, mine.stop, _BATCH):
        last = min(first + _BATCH, mine.stop)
        found = mean_logits([net], inputs.take(rows[first:last]))
        logits[first:last] = torch.from_numpy(found)
        around.progress(what, last - mine.start, mine.stop - mine.start)
    shared = logits.to(around.device)
    around.group.all_reduce(shared)
    return shared.cpu().numpy()


def scored_logits(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    inputs: Inputs,
    rows: Rows,
    *,
    around: Around,
    what: str,
) -> Array:
    """(N, T) float64 as `ecgbatch` gives them: the same bits on a CPU; from a GPU within
    LOGIT_TOLERANCE on a sample, or else computed on the CPU after all."""
    if around.device.type == "cpu":
        return exact_logits(architecture, weights, inputs, rows, around=around, what=what)
    logits = batched_logits(
        architecture, weights, inputs, rows, device=around.device, group=around.group
    )
    sample = np.unique(np.linspace(0, len(rows) - 1, min(_N_COMPARED, len(rows))).astype(np.int64))
    exact = exact_logits(
        architecture, weights, inputs, rows[sample], around=around, what=f"{what}: comparing"
    )
    difference = float(np.abs(exact - logits[sample]).max(initial=0.0))
    if difference <= LOGIT_TOLERANCE:
        return logits
    around.say(f"{what}: the GPU's logits differ by {difference:.1e}; computed on the CPU instead")
    return exact_logits(architecture, weights, inputs, rows, around=around, what=what)


def predictions_of(cohort: Cohort, rows: Rows, logits: Array, origin: str) -> Predictions:
    """Args: logits: (len(rows), T)."""
    keys = tuple(cohort.keys[row] for row in rows)
    return Predictions(cohort.tasks, keys, logits, (origin,) * len(rows))
