"""A window in frequency: shares of power, and band-passed copies at a lower rate."""

from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ecgbatch.quality.runs import Rows
from ecgbatch.records import Millivolts

Coefficients = NDArray[np.complex128]
_LOW_HZ = 65.0


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Fourier coefficients (n_leads, n_samples // 2 + 1) of a signal without its mean.

    Attributes:
        step_hz: distance of two coefficients; 0.1 Hz for 10 s.
        n_samples: of the signal.
    """

    coefficients: Coefficients = field(repr=False)
    step_hz: float
    n_samples: int

    @classmethod
    def of(cls, signal: Millivolts, sampling_frequency: float) -> Self:
        """Of a signal (n_leads, n_samples) in mV with at least one sample."""
        # Without its first sample a lead that stands still is zero, exactly.
        coefficients = np.fft.rfft(signal - signal[:, :1], axis=1)
        coefficients[:, 0] = 0
        return cls(coefficients, sampling_frequency / signal.shape[1], signal.shape[1])

    def of_leads(self, rows: NDArray[np.int64]) -> Self:
        """The spectrum of these leads alone."""
        return type(self)(self.coefficients[rows], self.step_hz, self.n_samples)

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
        power: Millivolts = self._windowed.real**2 + self._windowed.imag**2
        return power

    @cached_property
    def total_power(self) -> Millivolts:
        """Sum of `power` over all frequencies, (n_leads,)."""
        return self.power_between(0.0, self.highest_hz + self.step_hz)

    @cached_property
    def main_power(self) -> Millivolts:
        """Sum of `power` from 0.5 to 40 Hz, where most of a heart's is, (n_leads,)."""
        return self.power_between(0.5, 40.0)

    def power_between(self, low_hz: float, high_hz: float) -> Millivolts:
        """Sum of `power` from `low_hz` up to, not including, `high_hz`, (n_leads,).

        Up to 65 Hz, where nearly all of a heart's power is, it is computed from that part alone.
        """
        windowed = self._low if high_hz <= _LOW_HZ else self._windowed
        return _sum_of_squares(windowed[:, self.between(low_hz, high_hz)])

    @cached_property
    def _windowed(self) -> Coefficients:
        return _under_hann(self.coefficients)

    @cached_property
    def _low(self) -> Coefficients:
        stop = self.between(0.0, _LOW_HZ).stop
        return _under_hann(self.coefficients[:, : stop + 1])[:, :stop]

    def most_in_band(self, low_hz: float, high_hz: float) -> Millivolts:
        """Mean square of each lead between two frequencies, without a window, (n_leads,) in mV^2.

        By Parseval's theorem; a coefficient at half the sampling frequency would count twice.
        """
        part = self.coefficients[:, self.between(low_hz, high_hz)]
        return _sum_of_squares(part) * (2 / self.n_samples**2)

    def squared_differences(self, high_hz: float) -> Millivolts:
        """Mean square of the difference of any two leads below a frequency, (n_leads, n_leads).

        By Parseval's theorem it is at most the variance of that difference.
        """
        stop = min(self.between(0.0, high_hz).stop, (self.n_samples + 1) // 2)
        parts = self.coefficients[:, 1:stop].view(np.float64)
        products = parts @ parts.T * (2 / self.n_samples**2)
        squares = np.diag(products)
        differences: Millivolts = squares[:, None] + squares - 2 * products
        return differences

    def between(self, low_hz: float, high_hz: float) -> slice:
        """The coefficients from `low_hz` up to, not including, `high_hz`."""
        return slice(ceil(low_hz / self.step_hz), ceil(high_hz / self.step_hz))

    def band(
        self, low_hz: float, high_hz: float, at_hz: float, rows: Rows | None = None
    ) -> tuple[Millivolts, float]:
        """The signal between two frequencies, resampled.

        Args:
            low_hz, high_hz: the band; what lies above half of either sampling frequency is lost.
            at_hz: the sampling frequency wanted.
            rows: these leads alone.

        Returns:
            (n_leads, m) in mV and its sampling frequency in Hz, at most one step off `at_hz`.
        """
        n_half = self._n_half(at_hz)
        found = self._cut_out(low_hz, high_hz, n_half, rows)
        return self._back(found, 2 * n_half), 2 * n_half * self.step_hz

    def half_band(
        self, low_hz: float, high_hz: float, at_hz: float, rows: Rows, without_hz: tuple[float, ...]
    ) -> Millivolts:
        """Every other sample of `band`, in half the time: its upper half is folded down.

        Args:
            without_hz: lines that are cut out, 1 Hz to either side.
        """
        n_half = self._n_half(at_hz)
        found = self._cut_out(low_hz, high_hz, n_half, rows)
        for line in without_hz:
            found[:, self.between(line - 1.0, line + 1.0)] = 0
        middle = n_half // 2
        above = found[:, n_half - middle :]
        folded = found[:, : middle + 1]
        folded[:, middle - above.shape[1] + 1 :] += above[:, ::-1].conj()
        return self._back(folded, n_half)

    def _n_half(self, at_hz: float) -> int:
        return round(at_hz / (2 * self.step_hz))

    def _cut_out(
        self, low_hz: float, high_hz: float, n_half: int, rows: Rows | None
    ) -> Coefficients:
        """The coefficients of a band, up to its end."""
        kept = self.between(low_hz, min(high_hz, self.highest_hz, n_half * self.step_hz))
        found = self.coefficients[:, : kept.stop]
        found = found.copy() if rows is None else found[rows]
        found[:, : kept.start] = 0
        return found

    def _back(self, found: Coefficients, n_samples: int) -> Millivolts:
        """From coefficients, those that are missing being zero."""
        signal = np.fft.irfft(found, n=n_samples, axis=1)
        signal *= n_samples / self.n_samples
        return signal


def _under_hann(found: Coefficients) -> Coefficients:
    # Real and imaginary parts side by side: numpy multiplies real numbers faster.
    parts = found.view(np.float64)
    windowed = parts.copy()
    beside = parts[:, :-4] + parts[:, 4:]
    beside *= 0.5
    windowed[:, 2:-2] -= beside
    windowed[:, 0] -= parts[:, 2]
    windowed[:, -2:] -= 0.5 * parts[:, -4:-2]
    return windowed.view(np.complex128)


def _sum_of_squares(found: Coefficients) -> Millivolts:
    parts = found.view(np.float64)
    total: Millivolts = np.einsum("ij,ij->i", parts, parts)
    return total
