"""Bundles to measure with: the full ECGFounder geometry, a small net, and one for the null scorer.

Untrained weights give all ECGs nearly one probability and hide what rounding does, so the batch
norm takes its statistics from ECGs, and the head is scaled so that the logits spread. The cuts are
quantiles of the probabilities, so that all strata occur. None of it means anything for patients.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.files import hearts_mv
from benchmarks.full_net import set_head
from benchmarks.null_runtime import LOGITS
from ecgbatch.bundle.digest import SUMS
from ecgbatch.bundle.golden import golden_inputs
from ecgbatch.bundle.measure import measure_golden
from ecgbatch.bundle.operating_points import AnyVessel
from ecgbatch.bundle.save import save_bundle
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.net1d import Net1D
from ecgbatch.preprocessing.spec import preset
from ecgbatch.terms import Vessel
from tests.support.bundles import cuts, small_architecture, small_manifest, task

Kind = Literal["full", "small", "null"]
Preset = Literal["ecgfounder", "anyecg-ccta"]
PRESETS: tuple[Preset, ...] = ("ecgfounder", "anyecg-ccta")

SEED = 20261127
_MADE = 2
"""Raised when bundles are made in another way, so that older ones are not taken."""
N_GOLDEN = 4
_CHUNK = 8
_LOGIT_MEANS, _LOGIT_SPREADS = (-1.0,) * 4, (2.0, -2.0, 2.0, -2.0)
_QUANTILES = (0.3, 0.8)
_PLACE = Path(__file__).parents[1] / "build" / "benchmarks"


def bundle_folder(kind: Kind, name: Preset, home: Path = _PLACE) -> Path:
    """The bundle of this kind with this preset, made if it is not there yet."""
    folder = home / f"{kind}-{name}-{_MADE}"
    if not (folder / SUMS).is_file():
        _make(folder, kind, name)
    return folder


def full_architecture() -> Architecture:
    """30.67 million parameters, 2.34 GFLOP for an ECG."""
    return Architecture.ecgfounder(use_bn=True, use_dropout=False)


def quick_architecture() -> Architecture:
    """A net of the same kind that scores an ECG in about a millisecond."""
    quick = {"filter_list": (16, 32), "m_blocks_list": (1, 1), "stride": 4}
    return small_architecture().model_copy(update=quick)


def _make(folder: Path, kind: Kind, name: Preset) -> None:
    architecture = full_architecture() if kind == "full" else quick_architecture()
    spec = preset(name)
    signals = np.stack(tuple(hearts_mv())).astype(np.float32)
    net, logits = calibrated(architecture, golden_inputs(signals, spec))
    members = [net.state_dict()]
    golden = measure_golden(architecture, members, spec, signals[:N_GOLDEN])
    manifest = small_manifest(
        name=f"benchmark, {kind} net, no patients, demonstration",
        tasks=tuple(
            task(vessel, cuts=cuts(*_cuts(logits[:, place]))) for place, vessel in enumerate(Vessel)
        ),
        any_vessel=AnyVessel(cuts=cuts(*_cuts(logits.max(axis=1)))),
        architecture=architecture,
        preprocessing=spec,
        golden_tolerance=golden.tolerance,
    )
    expected = np.tile(LOGITS, (N_GOLDEN, 1)) if kind == "null" else golden.logits
    save_bundle(folder, manifest, members, signals[:N_GOLDEN], expected)


def calibrated(
    architecture: Architecture, inputs: NDArray[np.float32]
) -> tuple[Net1D, NDArray[np.float64]]:
    """A net in eval mode, and its logits (n, n_tasks) for the inputs (n, 12, 5000).

    Each logit has mean -1 and standard deviation 2 over these inputs, along the one direction in
    which their features differ most: more directions would blow up the rounding of the net.
    """
    torch.manual_seed(SEED)
    net = Net1D(architecture)
    for norm in (part for part in net.modules() if isinstance(part, nn.BatchNorm1d)):
        norm.momentum = None  # the plain mean over the batches
    given = torch.from_numpy(inputs)
    batches = [given[first : first + _CHUNK] for first in range(0, len(given), _CHUNK)]
    with torch.no_grad():
        _features(net.train(), batches)
        features = _features(net.eval(), batches)
        set_head(net.dense, features, _LOGIT_MEANS, _LOGIT_SPREADS)
        logits: NDArray[np.float64] = net.dense(features).double().numpy()
    return net, logits


def _features(net: Net1D, batches: Sequence[Tensor]) -> Tensor:
    return torch.cat([net.features(batch) for batch in batches])


def _cuts(logits: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(1.0 / (1.0 + np.exp(-logits)), _QUANTILES)
    return float(low), float(high)
