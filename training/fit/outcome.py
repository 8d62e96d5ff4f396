"""What done.json says beside the choice: counts, seeds, machine, memory."""

import resource
import sys
from typing import Any

import torch

from training.fit.material import Around, Material
from training.fit.plan import Plan
from training.records import Cohort, Rows

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def outcome(plan: Plan, material: Material, around: Around) -> dict[str, Any]:
    """Counts of ECGs and patients, every seed, the device and its peak memory in bytes."""
    experiment = material.experiment
    return {
        "n_train": _sizes(material.cohort, plan.train),
        "n_inner": _sizes(material.cohort, plan.inner),
        "seeds": {
            "fit": experiment.compute.seed,
            "fit_number": plan.number,
            "split": experiment.split.seed,
            "folds": experiment.folds.seed,
            "selection": experiment.selection.seed,
        },
        "start": material.start.as_json(),
        "device": _device_name(around.device),
        "processes": around.group.size,
        "threads": experiment.compute.threads,
        "precision": experiment.compute.precision,
        "peak_memory_bytes": _peak_memory(around.device),
        "torch": torch.__version__,
    }


def _sizes(cohort: Cohort, rows: Rows) -> dict[str, int]:
    return {"ecgs": len(rows), "patients": len({cohort.patients[row] for row in rows})}


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _peak_memory(device: torch.device) -> int:
    """Of the GPU, or resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT
