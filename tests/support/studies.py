"""Studies of any size for tests of an evaluation: risks that rank as told, and covariates."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ecgbatch.terms import Vessel
from training.evaluation.section import Context
from training.records import COVARIATES, Study
from training.settings.evaluation import BootstrapSettings, EvaluationSettings

CUTS = {
    Vessel.RCA: (0.08, 0.35),
    Vessel.LAD: (0.08, 0.35),
    Vessel.LCX: (0.08, 0.35),
    "any_vessel": (0.15, 0.45),
}

QUICK = {
    "decision_points": 30,
    "sweep_default": {"n": 12},
    "sweep": {"LM": {"low": 0.001, "high": 0.10, "n": 12}},
}
"""Fewer thresholds than published."""


def study(n: int = 400, seed: int = 0, separation: float = 1.2, **changed: Any) -> Study:
    """n index ECGs of as many patients; LM is rare and experimental.

    Args:
        changed: fields of the study in place of those made here.
    """
    rng = np.random.default_rng(seed)
    shares = np.array([0.15, 0.02, 0.20, 0.12])
    burden = rng.normal(size=(n, 4)) + 0.5 * rng.normal(size=(n, 1))
    thresholds = np.quantile(burden, 1 - shares, axis=0).diagonal()
    is_positive = burden > thresholds
    grades = np.where(
        is_positive,
        rng.choice([3, 4], size=(n, 4), p=[0.8, 0.2]),
        np.digitize(burden, [0.0, 0.6, 1.2]).clip(0, 2),
    )
    prior = np.log(shares / (1 - shares))
    logits = prior + separation * (is_positive - shares) + rng.normal(size=(n, 4))
    values: dict[str, Any] = {
        "name": "test study",
        "keys": tuple(f"{index:064x}" for index in range(n)),
        "patients": tuple(f"p{index:06d}" for index in range(n)),
        "probabilities": 1 / (1 + np.exp(-logits)),
        "labels": is_positive.astype(np.float32),
        "grades": grades.astype(np.int8),
        "covariates": covariates(n, rng),
        "experimental": (Vessel.LM,),
        "is_synthetic": True,
    }
    return Study(**{**values, **changed})


def covariates(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Every column of COVARIATES; a few cells are missing, the follow-up is empty."""
    frame = pd.DataFrame(
        {
            "sex": rng.choice(["female", "male"], size=n),
            "age_years": rng.normal(62, 11, size=n).round(1),
            "device": rng.choice(["MAC 2000", "MAC VU360"], size=n, p=[0.3, 0.7]),
            "site": rng.choice(["north", "south"], size=n),
            "statement_normal": rng.choice([True, False], size=n),
            "pretest_probability": rng.beta(1.5, 8, size=n),
            "ccta_at": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n), unit="D"),
        }
    )
    frame = frame.reindex(columns=list(COVARIATES)).astype(COVARIATES)
    frame.loc[frame.index[::17], "sex"] = pd.NA
    return frame


def context(of: Study, n_resamples: int = 40, **changed: Any) -> Context:
    """A context with cuts for all but LM.

    Args:
        changed: settings of the evaluation.
    """
    settings = EvaluationSettings.model_validate({**QUICK, **changed})
    return Context(of, CUTS, settings, BootstrapSettings(n_resamples=n_resamples))


def without(of: Study, *columns: str) -> Study:
    """The same with some covariates unknown of every ECG."""
    frame = of.covariates.copy()
    for column in columns:
        frame[column] = pd.Series([None] * len(frame), dtype=COVARIATES[column])
    return replace(of, covariates=frame)


def repeated(of: Study, times: int = 2, spread: float = 0.3, seed: int = 1) -> Study:
    """Each patient of a study `times` over, the logits of each ECG moved by `spread`."""
    rng = np.random.default_rng(seed)
    again = of.at(np.tile(np.arange(len(of)), times))
    logits = np.log(again.probabilities / (1 - again.probabilities))
    moved = 1 / (1 + np.exp(-logits - spread * rng.normal(size=logits.shape)))
    keys = tuple(f"{index:064x}" for index in range(len(again)))
    return replace(again, keys=keys, probabilities=moved)
