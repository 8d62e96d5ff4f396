"""Stretches of equal values: which leads may hold long ones, cheaply, and how long they are."""

import numpy as np
from numpy.typing import NDArray

from ecgbatch.records import Millivolts

Rows = NDArray[np.int64]


def rows_that_may_stand(signal: Millivolts, longer_than: int) -> Rows:
    """Leads of (n_leads, n_samples) that may stand still for more than so many samples.

    Such a stretch holds five samples in a row of every fifth part of it.
    """
    if longer_than < 5:
        return np.arange(signal.shape[0])
    few = signal[:, :: longer_than // 5]
    two = few[:, 1:] == few[:, :-1]
    three = two[:, 1:] & two[:, :-1]
    five = three[:, 2:] & three[:, :-2]
    return np.flatnonzero(five.any(axis=1))


def longest_run(lead: Millivolts) -> int:
    """Samples of the longest stretch of equal values."""
    changes = np.flatnonzero(lead[1:] != lead[:-1])
    edges = np.concatenate(([-1], changes, [lead.size - 1]))
    return int(np.diff(edges).max())


def rows_that_may_touch(
    signal: Millivolts, lowest: Millivolts, highest: Millivolts, shortest: int, longer_than: float
) -> Rows:
    """Leads that may be at an extreme for more than so many samples, in stretches of `shortest`.

    Of such a stretch every `shortest`-th sample of the lead is at least one, and with one of them
    it is at most 2 * `shortest` - 1 samples long, with more at most so many times as long.
    """
    few = signal[:, ::shortest].copy()
    touches = np.flatnonzero((few == highest[:, None]) | (few == lowest[:, None]))
    counts = np.bincount(touches // few.shape[1], minlength=signal.shape[0])
    return np.flatnonzero((2 * shortest - 1) * counts > longer_than)


def samples_at_extremes(lead: Millivolts, shortest: int) -> int:
    """Samples in stretches of at least `shortest` at the lead's maximum or minimum."""
    n_samples = 0
    for extreme in {float(lead.max()), float(lead.min())}:
        at = np.flatnonzero(lead == extreme)
        if at.size >= shortest:
            ends = np.flatnonzero(np.diff(at) > 1)
            lengths = np.diff(np.concatenate(([-1], ends, [at.size - 1])))
            n_samples += int(lengths[lengths >= shortest].sum())
    return n_samples
