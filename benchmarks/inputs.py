"""Prepared ECGs for the net alone; made without torch, as not every runtime loads it."""

import numpy as np
from numpy.typing import NDArray

from ecgbatch.bundle.golden import golden_inputs, packaged_golden_ecgs
from ecgbatch.preprocessing.spec import preset

Inputs = NDArray[np.float32]
"""(n, 12, 5000), prepared."""


def ecgs(n: int, seed: int = 1) -> Inputs:
    """`n` prepared ECGs (n, 12, 5000) of which no two are alike."""
    return golden_inputs(_mixed(n, seed), preset("anyecg-ccta"))


def _mixed(n: int, seed: int) -> Inputs:
    """The packaged synthetic ECGs mixed in pairs, shifted in time, with noise: mV."""
    golden = packaged_golden_ecgs().astype(np.float64)
    random = np.random.default_rng(seed)
    made = np.empty((n, *golden.shape[1:]), np.float32)
    for row in made:
        first, second = random.choice(len(golden), 2, replace=False)
        share = random.uniform(0, 1)
        mixed = share * golden[first] + (1 - share) * golden[second]
        gains = random.uniform(0.5, 1.5, (golden.shape[1], 1))
        noise = random.normal(0, random.uniform(0, 0.05), mixed.shape)
        row[:] = np.roll(gains * mixed, random.integers(mixed.shape[1]), axis=1) + noise
    return made
