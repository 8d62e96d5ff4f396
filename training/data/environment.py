"""What a run was made with and on: versions, machine, seeds."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ecgbatch.provenance import code_version
from training.settings.experiment import Experiment

_LIBRARIES = (
    "captum",
    "lifelines",
    "lxml",
    "matplotlib",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "scikit-learn",
    "scipy",
    "statsmodels",
    "tensorboard",
    "torch",
)


def environment(experiment: Experiment) -> dict[str, Any]:
    """No name of a machine or user in it."""
    return {
        "ecgbatch": code_version(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "threads": experiment.compute.threads,
        "seeds": {
            "compute": experiment.compute.seed,
            "split": experiment.split.seed,
            "folds": experiment.folds.seed,
            "selection": experiment.selection.seed,
            "bootstrap": experiment.bootstrap.seed,
        },
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
