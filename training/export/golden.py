"""Golden ECGs: synthetic, and of nobody who is in a cohort."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ecgbatch.bundle.golden import packaged_golden_ecgs
from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.settings.base import Count, Seed, Size, read_toml, validated
from training.settings.cohort import CohortSettings
from training.settings.evaluation import BundleSettings
from training.synthetic.cohort import cohort


class _GoldenKeys(BaseModel):
    """Other keys of `[bundle]` are somebody else's."""

    model_config = ConfigDict(extra="ignore")

    n_golden: Count
    golden_seed: Seed
    golden_noise_gain: Size


class _GoldenFile(BaseModel):
    """Other parts of the file are somebody else's."""

    model_config = ConfigDict(extra="ignore")

    cohort: CohortSettings
    bundle: _GoldenKeys


def golden_ecgs_of_file(path: Path) -> NDArray[np.float32]:
    """(n, 12, 5000) mV, drawn by `[cohort]` and the golden keys of `[bundle]`.

    Raises:
        SetupFault: `settings_invalid`, naming the first key at fault.
    """
    found = validated(_GoldenFile, read_toml(path))
    keys = found.bundle
    return drawn_golden_ecgs(found.cohort, keys.n_golden, keys.golden_seed, keys.golden_noise_gain)


def golden_ecgs(drawn: CohortSettings | None, bundle: BundleSettings) -> NDArray[np.float32]:
    """(n, 12, 5000) mV at 500 Hz, as `bundle.golden` says.

    Args:
        drawn: the synthetic cohort's settings; needed for `cohort`.

    Raises:
        SetupFault: `settings_invalid`, there is no cohort to draw from.
    """
    if bundle.golden == "packaged":
        return packaged_golden_ecgs()
    if drawn is None:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "bundle.golden: there is no [cohort]")
    return drawn_golden_ecgs(drawn, bundle.n_golden, bundle.golden_seed, bundle.golden_noise_gain)


def drawn_golden_ecgs(
    settings: CohortSettings, n: int, seed: int, noise_gain: float
) -> NDArray[np.float32]:
    """(n, 12, 5000) mV of patients who are in no part of the cohort."""
    others = settings.model_copy(
        update={
            "seed": seed,
            "n_patients": n,
            "ecgs_per_patient": 1,
            "most_ecgs_per_patient": None,
            "noise_gain": noise_gain,
        }
    )
    return np.stack([ecg.signal.astype(np.float32) for ecg in cohort(others)])
