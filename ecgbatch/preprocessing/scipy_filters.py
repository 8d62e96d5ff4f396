"""The filters by scipy: the fallback, and what the compiled ones are held to."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import lfilter

from ecgbatch.preprocessing.design import Filter

Array = NDArray[np.float64]


class ScipyFilters:
    """See `filters.Filters`."""

    name: Literal["scipy"] = "scipy"

    def zero_phase(self, designed: Filter, signal: Array) -> Array:
        """`scipy.signal.filtfilt` with its defaults, but for a steady state of our own."""
        b, a, n_edge = designed.b, designed.a, designed.n_edge
        start = designed.steady[np.newaxis]
        before, after = signal[:, n_edge:0:-1], signal[:, -2 : -n_edge - 2 : -1]
        extended = np.concatenate(
            (2 * signal[:, :1] - before, signal, 2 * signal[:, -1:] - after), axis=1
        )
        forwards, _ = lfilter(b, a, extended, zi=start * extended[:, :1])
        backwards, _ = lfilter(b, a, forwards[:, ::-1], zi=start * forwards[:, -1:])
        return np.asarray(backwards[:, ::-1][:, n_edge:-n_edge], dtype=np.float64)

    def subtract_median(self, signal: Array, n_window: int) -> Array:
        """`scipy.signal.medfilt` by a quicker way: one lead at a time, zeros outside."""
        subtracted = np.empty(signal.shape)
        for lead, row in zip(signal, subtracted, strict=True):
            median = median_filter(lead, n_window, mode="constant", cval=0.0)
            median += 0.0  # no negative zero: which of two a median is depends on the way
            np.subtract(lead, median, out=row)
        return subtracted
