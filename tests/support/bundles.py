"""A small bundle around the reference weights, for tests that need one."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ecgbatch.bundle.golden import packaged_golden_ecgs
from ecgbatch.bundle.manifest import Manifest
from ecgbatch.bundle.measure import measure_golden
from ecgbatch.bundle.operating_points import AnyVessel, Cut, Cuts, Task
from ecgbatch.bundle.save import save_bundle
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.net1d import Net1D
from ecgbatch.preprocessing.spec import preset
from ecgbatch.terms import Numerics, Vessel

VECTORS = Path(__file__).parents[1] / "data" / "vectors"


def small_architecture(*, use_bn: bool = True) -> Architecture:
    """The geometry of net1d_small_{bn,nobn}.npz."""
    return Architecture(
        in_channels=12,
        base_filters=16,
        filter_list=(16, 32, 32, 80),
        m_blocks_list=(2, 2, 2, 3),
        kernel_size=16,
        stride=2,
        groups_width=16,
        ratio=1.0,
        n_classes=4,
        use_bn=use_bn,
        use_dropout=False,
        dropout_p=0.5,
    )


def vectors(*, use_bn: bool = True) -> dict[str, np.ndarray[Any, Any]]:
    name = "net1d_small_bn.npz" if use_bn else "net1d_small_nobn.npz"
    with np.load(VECTORS / name, allow_pickle=False) as opened:
        return {key: opened[key] for key in opened.files}


def small_weights(*, use_bn: bool = True) -> dict[str, Tensor]:
    arrays = vectors(use_bn=use_bn)
    return {
        name.removeprefix("w/"): torch.from_numpy(array)
        for name, array in arrays.items()
        if name.startswith("w/")
    }


def cuts(low: float = 0.2, high: float = 0.6) -> Cuts:
    shared = {"ci": (0.85, 0.97), "n_positives": 120, "data": "a test", "date": "2026-01-31"}
    return Cuts(
        low=Cut(kind="sensitivity", value=low, target=0.95, estimate=0.95, **shared),
        high=Cut(kind="specificity", value=high, target=0.9, estimate=0.9, **shared),
    )


def task(vessel: Vessel, **changes: Any) -> Task:
    document: dict[str, Any] = {
        "vessel": vessel,
        "definition": ">= 70 % diameter stenosis or occlusion",
        "is_experimental": vessel is Vessel.LM,
        "cuts": cuts(),
    }
    return Task(**(document | changes))


def small_manifest(**changes: Any) -> Manifest:
    document: dict[str, Any] = {
        "name": "test demonstration",
        "version": "1",
        "is_clinical": False,
        "tasks": tuple(task(vessel) for vessel in Vessel),
        "any_vessel": AnyVessel(cuts=cuts(0.25, 0.65)),
        "near_cut": 0.0,
        "architecture": small_architecture(),
        "preprocessing": preset("anyecg-ccta"),
        "golden_tolerance": {Numerics.FP32: 1e-4},
        "intended_use": "tests",
        "exclusions": ("patients",),
        "training_data": "none",
        "citation": "none",
    }
    return Manifest(**(document | changes))


def save_small_bundle(folder: Path, **changes: Any) -> str:
    """Write the small bundle with changes to its manifest; returns its digest."""
    manifest = small_manifest(**changes)
    members = [small_weights(use_bn=manifest.architecture.use_bn)]
    signals = packaged_golden_ecgs()[:2]
    golden = measure_golden(manifest.architecture, members, manifest.preprocessing, signals)
    return save_bundle(folder, manifest, members, signals, golden.logits)


def save_quick_bundle(folder: Path) -> str:
    """A net of the same kind that scores an ECG in a millisecond, for tests of thousands."""
    quick = small_architecture(use_bn=False).model_copy(
        update={"filter_list": (16, 32), "m_blocks_list": (1, 1), "stride": 4}
    )
    torch.manual_seed(20261125)
    manifest = small_manifest(architecture=quick)
    members = [Net1D(quick).state_dict()]
    signals = packaged_golden_ecgs()[:2]
    golden = measure_golden(quick, members, manifest.preprocessing, signals)
    return save_bundle(folder, manifest, members, signals, golden.logits)
