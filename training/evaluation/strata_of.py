"""The stratum of each ECG of a study under given cuts."""

import numpy as np
from numpy.typing import NDArray

from ecgbatch.terms import Stratum
from training.records import Array

STRATA = tuple(Stratum)
Strata = NDArray[np.int8]
"""(N,): place of the stratum in STRATA."""


def strata_of(scores: Array, cuts: tuple[float, float]) -> Strata:
    """(N,) probabilities into strata: at or above the high cut high, below the low cut low."""
    low, high = cuts
    return np.where(scores >= high, 2, np.where(scores < low, 0, 1)).astype(np.int8)
