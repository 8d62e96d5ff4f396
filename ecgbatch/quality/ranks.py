"""Medians and percentiles of finite numbers: numpy's, to the bit, in a fraction of their time."""

import numpy as np

from ecgbatch.records import Millivolts

_SHORT = 64


def median(values: Millivolts) -> Millivolts:
    """The median along the last axis, which is not empty, of numbers none of which is NaN."""
    half = values.shape[-1] // 2
    if values.shape[-1] <= _SHORT:
        ranked = np.sort(values, axis=-1)
        lower, upper = ranked[..., half - 1], ranked[..., half]
    else:
        # One partition; what it leaves below holds the other of the two in the middle.
        ranked = np.partition(values, half, axis=-1)
        lower, upper = ranked[..., :half].max(axis=-1), ranked[..., half]
    middle: Millivolts = upper if values.shape[-1] % 2 else (lower + upper) / 2
    return middle


def percentile(values: Millivolts, percent: float) -> Millivolts:
    """A percentile below 100 along the last axis, linear between two ranks; as `median`."""
    place = percent / 100 * (values.shape[-1] - 1)
    below = int(place)
    if below == place:
        exact: Millivolts = np.partition(values, below, axis=-1)[..., below]
        return exact
    parted = np.partition(values, below, axis=-1)
    lower, upper = parted[..., below], parted[..., below + 1 :].min(axis=-1)
    step, share = upper - lower, place - below
    # From the nearer of the two, as numpy does it.
    between: Millivolts = lower + step * share if share < 0.5 else upper - step * (1 - share)
    return between
