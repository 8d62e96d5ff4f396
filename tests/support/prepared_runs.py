"""A site's table and ECG files of a small drawn cohort, as `fit --config --manifest --root` takes
them."""

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecgbatch.terms import Vessel
from tests.support.cohorts import drawn_cohort, inputs_of
from tests.support.experiments import experiment

_CCTA = date(2025, 3, 1)


@dataclass(frozen=True, slots=True)
class Site:
    """Paths for the command line."""

    config: Path
    manifest: Path
    root: Path

    @property
    def options(self) -> list[str]:
        return [
            "--config",
            str(self.config),
            "--manifest",
            str(self.manifest),
            "--root",
            str(self.root),
        ]


def make_site(folder: Path, n_patients: int, *, seed: int = 0, **changed: dict[str, Any]) -> Site:
    """Arrays in mV, one file per ECG; the last ECG before the CCTA is the index ECG."""
    arrays = {"sampling_frequency": 500, "unit": "mV"}
    given = experiment(**{**changed, "data": {"arrays": arrays, **changed.get("data", {})}})
    cohort = drawn_cohort(n_patients, prevalence=(0.5, 0.4, 0.5, 0.4), missing=0.0, seed=seed)
    signals = inputs_of(cohort, effect=0.5, seed=seed).signals * np.float32(0.2)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for row, patient in enumerate(cohort.patients):
        np.save(folder / f"{row}.npy", signals[row])
        days = 1 if cohort.is_index[row] else 5 + row % 20
        grades = ["severe" if label == 1 else "none" for label in cohort.labels[row]]
        rows.append(
            {
                "patient_id": patient,
                "ecg_path": f"{row}.npy",
                "ecg_at": str(_CCTA - timedelta(days=days)),
                "ccta_at": str(_CCTA),
                **{str(vessel): grade for vessel, grade in zip(Vessel, grades, strict=True)},
            }
        )
    manifest = folder / "manifest.csv"
    pd.DataFrame(rows).to_csv(manifest, index=False)
    columns = {name: name for name in ("ecg_path", "ecg_at", "ccta_at")} | {
        "patient": "patient_id",
        "vessels": {str(vessel): str(vessel) for vessel in Vessel},
    }
    settings = given.model_dump(mode="json", exclude_none=True)
    if given.labels.binary:
        del columns["vessels"]
    settings["data"]["columns"] = columns
    config = folder / "experiment.toml"
    config.write_text(_toml(settings), encoding="utf-8")
    return Site(config, manifest, folder)


def _toml(settings: dict[str, Any]) -> str:
    """Every value inline; JSON's strings, numbers and lists are TOML's too."""
    return "".join(f"{key} = {_inline(value)}\n" for key, value in settings.items())


def _inline(value: object) -> str:
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(key)} = {_inline(item)}" for key, item in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, list):
        return f"[{', '.join(_inline(item) for item in value)}]"
    return json.dumps(value)
