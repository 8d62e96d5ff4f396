"""Calibrators as pure functions of one logit; all rise with it. Does not import torch."""

import math
from typing import assert_never

import numpy as np

from ecgbatch.bundle.operating_points import (
    Calibrator,
    Isotonic,
    NoCalibrator,
    Platt,
    PriorShift,
)


def sigmoid(logit: float) -> float:
    """1 / (1 + exp(-logit)) in float64, without overflow; NaN stays NaN."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    growth = math.exp(logit)
    return growth / (1.0 + growth)


def calibrate(logit: float, calibrator: Calibrator) -> float:
    """The calibrated probability of a logit.

    Source: Platt 1999; Zadrozny and Elkan 2002 (isotonic); Saerens and others 2002 (prior shift).
    """
    match calibrator:
        case NoCalibrator():
            return sigmoid(logit)
        case Platt():
            return sigmoid(calibrator.a * logit + calibrator.b)
        case Isotonic():
            return float(np.interp(sigmoid(logit), calibrator.x, calibrator.y))
        case PriorShift():
            shift = _log_odds(calibrator.site_prevalence) - _log_odds(
                calibrator.training_prevalence
            )
            return sigmoid(logit + shift)
    assert_never(calibrator)


def _log_odds(prevalence: float) -> float:
    return math.log(prevalence) - math.log1p(-prevalence)
