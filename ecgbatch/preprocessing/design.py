"""Coefficients of the filters, as `scipy.signal` designs them, without its second of import.

`butter` and `iirnotch` in scipy's order of operations and with numpy's functions, so that the
coefficients are scipy's to the bit (tested). They are designed once per process.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecgbatch.preprocessing.steady_state import steady_state
from ecgbatch.terms import SAMPLING_FREQUENCY

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Filter:
    """A recursive filter.

    Attributes:
        b, a: (n,), a[0] = 1.
        steady: (n - 1,), its state at rest on a constant input of 1.
    """

    b: Array
    a: Array
    steady: Array

    @property
    def n_edge(self) -> int:
        """Samples of reflection at each end, as `scipy.signal.filtfilt` has by default."""
        return 3 * self.a.size


@lru_cache(maxsize=32)
def notch(frequency_hz: float, quality: float) -> Filter:
    """`scipy.signal.iirnotch` at 500 Hz."""
    centre = 2 * frequency_hz / SAMPLING_FREQUENCY
    width = centre / quality * math.pi
    cosine = math.cos(centre * math.pi)
    gain = 1.0 / (1.0 + math.tan(width / 2.0))
    return _filter(
        gain * np.array([1.0, -2.0 * cosine, 1.0]),
        np.array([1.0, -2.0 * gain * cosine, 2.0 * gain - 1.0]),
    )


@lru_cache(maxsize=32)
def bandpass(order: int, low_hz: float, high_hz: float) -> Filter:
    """`scipy.signal.butter` at 500 Hz: analogue prototype, band, bilinear transform."""
    band = np.array([low_hz, high_hz]) / (SAMPLING_FREQUENCY / 2)
    warped = 4.0 * np.tan(np.pi * band / 2.0)
    width = float(warped[1] - warped[0])
    centre = float(np.sqrt(warped[0] * warped[1]))
    places = np.arange(-order + 1, order, 2, dtype=np.float64)
    prototype = -np.exp(1j * np.pi * places / (2 * order))
    half = prototype * width / 2
    apart = np.sqrt(half**2 - centre**2)
    poles = np.concatenate((half + apart, half - apart))
    zeros = np.zeros(order, dtype=np.complex128)
    gain = width**order * np.real(np.prod(4.0 - zeros) / np.prod(4.0 - poles))
    zeros = np.concatenate(((4.0 + zeros) / (4.0 - zeros), -np.ones(order)))
    return _filter(gain * np.poly(zeros), np.poly((4.0 + poles) / (4.0 - poles)))


def _filter(b: NDArray[np.floating], a: NDArray[np.floating]) -> Filter:
    numerator, denominator = b.astype(np.float64), a.astype(np.float64)
    designed = Filter(numerator, denominator, steady_state(numerator, denominator))
    for values in (designed.b, designed.a, designed.steady):
        values.setflags(write=False)
    return designed
