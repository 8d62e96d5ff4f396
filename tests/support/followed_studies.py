"""A drawn study with known calibration, follow-up and subgroups; no real patient is in it."""

import numpy as np
import pandas as pd

from ecgbatch.terms import Vessel
from training.records import COVARIATES, Study
from training.terms import NO_GRADE

_OFFSETS = np.array([-1.2, -3.0, -0.6, -1.0])


def drawn_study(n: int = 300, seed: int = 0, name: str = "drawn", **changed: bool) -> Study:
    """Risks that are calibrated by construction, and events that depend on them.

    Args:
        changed: `is_synthetic`, `has_deaths`, `has_follow_up`.
    """
    rng = np.random.default_rng(seed)
    shared = rng.normal(0.0, 1.0, (n, 1))
    logits = _OFFSETS + shared + rng.normal(0.0, 0.6, (n, 4))
    probabilities = 1.0 / (1.0 + np.exp(-logits))
    labels = (rng.random((n, 4)) < probabilities).astype(np.float32)
    grades = np.where(labels == 1, 3, rng.integers(0, 3, (n, 4))).astype(np.int8)
    missing = rng.random((n, 4)) < 0.02
    labels[missing], grades[missing] = np.nan, NO_GRADE
    return Study(
        name=name,
        keys=tuple(f"{place:064x}" for place in range(n)),
        patients=tuple(f"p{place:06d}" for place in range(n)),
        probabilities=probabilities,
        labels=labels,
        grades=grades,
        covariates=_covariates(rng, shared[:, 0], **changed),
        experimental=(Vessel.LM,),
        is_synthetic=changed.get("is_synthetic", True),
    )


def _covariates(rng: np.random.Generator, risk: np.ndarray, **changed: bool) -> pd.DataFrame:
    n = len(risk)
    start = pd.Timestamp("2022-01-03 09:00") + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    event = rng.exponential(1500.0 * np.exp(-0.9 * risk))
    death = rng.exponential(4000.0 * np.exp(-0.3 * risk))
    followed = rng.uniform(200.0, 900.0, n)
    has = changed.get("has_follow_up", True)
    frame = pd.DataFrame({column: pd.Series([None] * n) for column in COVARIATES}).assign(
        sex=np.where(rng.random(n) < 0.45, "female", "male"),
        age_years=rng.normal(62.0, 11.0, n).clip(30.0, 90.0),
        device=np.where(rng.random(n) < 0.5, "cart A", "cart B"),
        site="north",
        statement_normal=rng.random(n) < 0.3,
        pretest_probability=(0.1 + 0.05 * risk + rng.normal(0, 0.03, n)).clip(0.01, 0.9),
        ecg_at=start,
        ccta_at=start + pd.Timedelta(days=5),
        gap_days=5.0,
        event_at=_dated(start, event, (event < np.minimum(followed, death)) & has),
        death_at=_dated(start, death, (death < followed) & changed.get("has_deaths", True)),
        followed_until=_dated(start, np.minimum(followed, death), np.full(n, has)),
    )
    return frame.astype(COVARIATES)


def _dated(start: pd.DatetimeIndex, days: np.ndarray, known: np.ndarray) -> pd.Series:
    dates = pd.Series(start + pd.to_timedelta(np.where(known, np.floor(days), 0.0), unit="D"))
    return dates.where(known)
