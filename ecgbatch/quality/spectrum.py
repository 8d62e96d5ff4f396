"""A window in frequency: shares of power, and band-passed copies at a lower rate."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ecgbatch.records import Millivolts


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Fourier coefficients (n_leads, n_samples // 2 + 1) of a signal without its mean.

    Attributes:
        step_hz: distance of two coefficients; 0.1 Hz for 10 s.
        n_samples: of the signal.
    """

    coefficients: NDArray[np.complex128] = field(repr=False)
    step_hz: float
    n_samples: int

    @classmethod
    def of(cls, signal: Millivolts, sampling_frequency: float) -> Self:
        """Of a signal (n_leads, n_samples) in mV with at least one sample."""
        centred = signal - signal.mean(axis=1, keepdims=True)
        n_samples = signal.shape[1]
        return cls(fft.rfft(centred, axis=1), sampling_frequency / n_samples, n_samples)

    @property
    def highest_hz(self) -> float:
        """Half the sampling frequency."""
        return self.step_hz * self.n_samples / 2

    @cached_property
    def power(self) -> Millivolts:
        """Periodogram under a Hann window, of arbitrary scale, (n_leads, n_samples // 2 + 1).

        The window keeps a line or a drift within three coefficients. In frequency it is the
        convolution with (-1/4, 1/2, -1/4): no second transform.
        """
        found = self.coefficients
        windowed = 0.5 * found
        windowed[:, 1:] -= 0.25 * found[:, :-1]
        windowed[:, :-1] -= 0.25 * found[:, 1:]
        windowed[:, 0] -= 0.25 * found[:, 1].conj()
        power: Millivolts = windowed.real**2 + windowed.imag**2
        return power

    @cached_property
    def total_power(self) -> Millivolts:
        """Sum of `power` over all frequencies, (n_leads,)."""
        total: Millivolts = self.power.sum(axis=1)
        return total

    def between(self, low_hz: float, high_hz: float) -> slice:
        """The coefficients from `low_hz` up to, not including, `high_hz`."""
        return slice(int(np.ceil(low_hz / self.step_hz)), int(np.ceil(high_hz / self.step_hz)))

    def band(
        self, low_hz: float, high_hz: float, at_hz: float, without_hz: tuple[float, ...] = ()
    ) -> tuple[Millivolts, float]:
        """The signal between two frequencies, resampled.

        Args:
            low_hz, high_hz: the band; what lies above half of either sampling frequency is lost.
            at_hz: the sampling frequency wanted.
            without_hz: lines that are cut out, 1 Hz to either side.

        Returns:
            (n_leads, m) in mV and its sampling frequency in Hz, at most one step off `at_hz`.
        """
        n_half = round(at_hz / (2 * self.step_hz))
        found = np.zeros((self.coefficients.shape[0], n_half + 1), dtype=np.complex128)
        kept = self.between(low_hz, min(high_hz, self.highest_hz, n_half * self.step_hz))
        found[:, kept] = self.coefficients[:, kept]
        for line in without_hz:
            found[:, self.between(line - 1.0, line + 1.0)] = 0
        signal: Millivolts = fft.irfft(found, n=2 * n_half, axis=1) * (2 * n_half / self.n_samples)
        return signal, 2 * n_half * self.step_hz
