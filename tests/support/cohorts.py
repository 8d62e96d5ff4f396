"""Small cohorts for the trainer's tests: labels and patients as the test wants them, or drawn."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.records import COVARIATES, ArrayInputs, Cohort
from training.terms import NO_GRADE

VESSELS = ("RCA", "LM", "LAD", "LCX")
_LEADS, _SAMPLES = 12, 5000


def cohort_of(
    patients: list[int],
    labels: NDArray[np.float32],
    is_index: NDArray[np.bool_] | None = None,
    tasks: tuple[str, ...] = VESSELS,
) -> Cohort:
    """One row per patient number given; keys are unique, covariates all missing."""
    n = len(patients)
    return Cohort(
        tasks=tasks,
        keys=tuple(f"{row:064x}" for row in range(n)),
        patients=tuple(f"p{patient:06d}" for patient in patients),
        is_index=np.ones(n, dtype=bool) if is_index is None else is_index,
        labels=labels.astype(np.float32),
        grades=np.full((n, 4), NO_GRADE, dtype=np.int8),
        covariates=pd.DataFrame({name: [None] * n for name in COVARIATES}).astype(COVARIATES),
    )


def drawn_cohort(
    n_patients: int,
    prevalence: tuple[float, ...] = (0.4, 0.1, 0.4, 0.3),
    missing: float = 0.1,
    seed: int = 0,
    tasks: tuple[str, ...] = VESSELS,
) -> Cohort:
    """Patients with one to three ECGs, of which at least one is an index ECG."""
    draws = np.random.default_rng(seed)
    n_ecgs = draws.integers(1, 4, n_patients)
    patients = np.repeat(np.arange(n_patients), n_ecgs)
    is_index = draws.random(len(patients)) < 0.3
    is_index[np.cumsum(n_ecgs) - 1] = True
    disease = draws.random((n_patients, len(tasks))) < prevalence
    labels = disease[patients].astype(np.float32)
    labels[draws.random(labels.shape) < missing] = np.nan
    order = draws.permutation(len(patients))
    return cohort_of(patients[order].tolist(), labels[order], is_index[order], tasks)


def inputs_of(
    cohort: Cohort, effect: float = 1.0, seed: int = 0, n_samples: int = _SAMPLES
) -> ArrayInputs:
    """Noise in 12 leads; a positive task raises a slow wave in a lead of its own. Fewer samples
    make a test quicker; the net takes any number."""
    draws = np.random.default_rng(seed)
    signals = draws.normal(size=(len(cohort), _LEADS, n_samples)).astype(np.float32)
    wave = np.sin(np.arange(n_samples) * 2 * np.pi / 50).astype(np.float32)
    for task in range(len(cohort.tasks)):
        signals[cohort.labels[:, task] == 1, task] += effect * wave
    return ArrayInputs(signals)
