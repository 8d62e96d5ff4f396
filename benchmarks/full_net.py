"""A bundle of the full geometry for measuring, calibrated so that probabilities spread.

Untrained weights give every ECG nearly the same logit, and a net that rounds coarsely then looks
better than it is. Training takes too long here. So batch norm sees ECGs, and the head reads the one
direction in which the features of ECGs differ most, as the head of a trained net would; other
directions of an untrained net hold its rounding, blown up.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from benchmarks.inputs import ecgs
from ecgbatch.bundle.golden import packaged_golden_ecgs
from ecgbatch.bundle.load import Bundle, load_bundle
from ecgbatch.bundle.measure import measure_golden
from ecgbatch.bundle.save import save_bundle
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.net1d import Net1D
from ecgbatch.preprocessing.spec import preset
from ecgbatch.terms import Numerics
from tests.support.bundles import small_manifest

FLOPS: Final = 2.34e9
"""Of one ECG: 1.168 GMAC."""

_SEED = 20261127
_N_CALIBRATION, _PART = 64, 16
_LOGIT_MEANS, _LOGIT_SPREADS = (-1.0, -3.0, 0.0, -2.0), (2.5, -2.0, -3.0, 1.5)
_BF16_TOLERANCE = 0.5


def full_bundle(folder: Path) -> Bundle:
    """The bundle of the full geometry, made at the first call: 123 MB on disk."""
    if not (folder / "SHA256SUMS").exists():
        architecture = Architecture.ecgfounder(use_bn=True, use_dropout=False)
        weights = calibrated_weights(architecture)
        golden_ecgs = packaged_golden_ecgs()[:2]
        spec = preset("anyecg-ccta")
        golden = measure_golden(architecture, [weights], spec, golden_ecgs)
        manifest = small_manifest(
            name="full geometry, demonstration",
            architecture=architecture,
            preprocessing=spec,
            golden_tolerance=golden.tolerance | {Numerics.BF16: _BF16_TOLERANCE},
        )
        save_bundle(folder, manifest, [weights], golden_ecgs, golden.logits)
    return load_bundle(folder)


def calibrated_weights(architecture: Architecture) -> dict[str, Tensor]:
    """Random convolutions, batch norm that has seen ECGs, a head that tells ECGs apart."""
    torch.set_num_threads(1)  # the same weights whatever the number of cores
    torch.manual_seed(_SEED)
    net = Net1D(architecture)
    for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm1d)):
        norm.momentum = None  # a plain mean over the parts
    parts = torch.split(torch.from_numpy(ecgs(_N_CALIBRATION, _SEED)), _PART)
    with torch.no_grad():
        net.train()
        for part in parts:
            net.features(part)
        net.eval()
        features = torch.cat([net.features(part) for part in parts])
        set_head(net.dense, features, _LOGIT_MEANS, _LOGIT_SPREADS)
    return net.state_dict()


def set_head(
    head: nn.Linear, features: Tensor, means: Sequence[float], spreads: Sequence[float]
) -> None:
    """Let the head read the direction in which the features (n, n_features) differ most.

    Args:
        means, spreads: of each task's logit over these ECGs; below zero it falls along the
            direction.
    """
    mean = features.mean(0)
    *_, directions = torch.linalg.svd(features - mean, full_matrices=False)
    strongest = directions[0] / ((features - mean) @ directions[0]).std()
    head.weight.copy_(torch.tensor(spreads)[:, None] * strongest)
    head.bias.copy_(torch.tensor(means) - head.weight @ mean)
