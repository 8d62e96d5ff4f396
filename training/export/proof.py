"""Proof that ecgbatch scores as training did, before a bundle is put in place."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgbatch.bundle.load import Bundle
from ecgbatch.errors import SetupFault
from ecgbatch.records import ModelInput
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.terms import ReasonCode
from training.records import Array

PROBABILITY_TOLERANCE = 1e-5


def prove(bundle: Bundle, inputs: Sequence[NDArray[np.float32]], probabilities: Array) -> float:
    """Score the same ECGs as ecgbatch does and compare with what training computed.

    Args:
        inputs: N of (12, 5000), prepared; probabilities: (N, 4), calibrated.

    Returns:
        The largest difference of a probability.

    Raises:
        SetupFault: `bundle_golden`: golden logits not reproduced, or a probability is further than
            1e-5 from training's.
    """
    given = [ModelInput(signal=signal.copy(), padded_samples=0) for signal in inputs]
    scored = Scorer(bundle).score(given)
    got = np.array([[risk.probability for risk in risks] for risks in scored])
    difference = float(np.abs(got - probabilities).max(initial=0.0))
    if got.shape != probabilities.shape or not difference <= PROBABILITY_TOLERANCE:
        raise SetupFault(
            ReasonCode.BUNDLE_GOLDEN,
            f"probabilities differ from training's by {difference:.2g}; no bundle was written",
        )
    return difference
