"""Calibrators: fitted on one part of a cohort, applied exactly as ecgbatch applies them."""

import warnings
from typing import assert_never

import numpy as np
import statsmodels.api as sm
from sklearn.isotonic import IsotonicRegression
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from ecgbatch.bundle.calibration import calibrate
from ecgbatch.bundle.operating_points import (
    Calibrator,
    Isotonic,
    NoCalibrator,
    Platt,
    PriorShift,
)
from training.records import Array


def calibrated(logits: Array, calibrator: Calibrator) -> Array:
    """(N,) logits to (N,) calibrated probabilities, bit for bit those of `calibrate`.

    A cut is one of these probabilities, so the last bit decides on which side an ECG lies.
    """
    match calibrator:
        case NoCalibrator() | Platt() | PriorShift():
            return _each(logits, calibrator)
        case Isotonic():
            raw = _each(logits, NoCalibrator())
            return np.asarray(np.interp(raw, calibrator.x, calibrator.y), dtype=np.float64)
    assert_never(calibrator)


def fit_platt(logits: Array, labels: Array) -> Platt | None:
    """sigmoid(a x logit + b) by maximum likelihood on smoothed targets; None where a <= 0, or
    where one logit for all leaves a open.

    The targets are (n1 + 1) / (n1 + 2) for positives and 1 / (n0 + 2) for negatives, which keeps
    the fit finite where the classes separate. Source: Platt 1999, as a binomial GLM.

    Args:
        logits: (N,); labels: (N,) 1 or 0, both present.
    """
    if np.ptp(logits) == 0.0:
        return None
    low, high = _smoothed(labels)
    targets = np.where(labels == 1, high, low)
    design = np.column_stack([logits, np.ones(len(logits))])
    with warnings.catch_warnings():
        # Smoothed targets are met exactly where the classes separate: identified all the same.
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        a, b = sm.GLM(targets, design, family=sm.families.Binomial()).fit(tol=1e-12).params
    if not (a > 0.0 and np.isfinite([a, b]).all()):
        return None
    return Platt(a=float(a), b=float(b))


def fit_isotonic(logits: Array, labels: Array) -> Isotonic:
    """The monotone step fit of the labels on the raw probability, joined linearly.

    Bounded by Platt's smoothed targets, so that no risk is 0 or 1. Source: Zadrozny and Elkan
    2002; pool adjacent violators of scikit-learn.

    Args:
        logits: (N,); labels: (N,) 1 or 0, both present.
    """
    low, high = _smoothed(labels)
    raw = _each(logits, NoCalibrator())
    fitted = IsotonicRegression(y_min=low, y_max=high, out_of_bounds="clip").fit(raw, labels)
    x, y = fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist()
    if len(x) < 2:
        # One value for all ECGs: a constant, which any two points state.
        x, y = [0.0, 1.0], [y[0], y[0]]
    return Isotonic(x=tuple(x), y=tuple(y))


def prior_shift(labels: Array, positive_weight: float, site_prevalence: float) -> PriorShift | None:
    """From the prevalence that the weights learnt to the one that the site states.

    None where they have learnt from one class alone.

    A weight on the positives multiplies the odds of the prevalence that a net learns. Source:
    Saerens, Latinne and Decaestecker 2002, equation 4.

    Args:
        labels: (N,) of the ECGs that trained; a missing label is NaN.
    """
    n_positives, n_negatives = float((labels == 1).sum()), float((labels == 0).sum())
    if not (n_positives and n_negatives):
        return None
    odds = positive_weight * n_positives / n_negatives
    return PriorShift(training_prevalence=odds / (1.0 + odds), site_prevalence=site_prevalence)


def _smoothed(labels: Array) -> tuple[float, float]:
    """Targets of negatives and positives (Platt 1999, after equation 10)."""
    n_positives, n_negatives = int((labels == 1).sum()), int((labels == 0).sum())
    return 1.0 / (n_negatives + 2.0), (n_positives + 1.0) / (n_positives + 2.0)


def _each(logits: Array, calibrator: Calibrator) -> Array:
    """One by one: NumPy's exp differs from the C library's in the last bit."""
    return np.array([calibrate(logit, calibrator) for logit in logits.tolist()], dtype=np.float64)
