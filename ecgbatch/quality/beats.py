"""Where the heart beats: one detector for all leads, and the beats cut out and aligned."""

from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ecgbatch.quality.peaks import Positions, find_peaks
from ecgbatch.quality.ranks import median
from ecgbatch.quality.spectrum import Spectrum
from ecgbatch.records import Millivolts

Grid = NDArray[np.int64]
"""Positions of each beat's samples, (n_beats, n)."""

_QRS_HZ = (5.0, 15.0)
_RATE_HZ = 100.0
_INTEGRATION_S = 0.15
_REFRACTORY_S = 0.2
_T_WAVE_S = 0.36
_LEAST_OF_HIGHEST = 0.03
_BEFORE_S, _AFTER_S = 0.1, 0.3
_ALIGNMENT_S = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class Beats:
    """Positions of the QRS complexes in samples of `sampling_frequency` (about 100 Hz)."""

    positions: Positions = field(repr=False)
    sampling_frequency: float

    @property
    def rate_per_minute(self) -> float:
        """From the median RR interval; with less than three beats from their number in 10 s."""
        if self.positions.size < 3:
            return 6.0 * self.positions.size
        return 60.0 * self.sampling_frequency / float(median(np.diff(self.positions)))


def find_beats(spectrum: Spectrum) -> Beats:
    """QRS complexes by the steps of Pan and Tompkins, on the median of the leads.

    Band 5 to 15 Hz, derivative, median of the leads' magnitudes, square, integration over 150 ms,
    peaks at least 200 ms apart, running signal and noise levels with the threshold at a quarter
    between them (and never below 3 % of the highest peak), and no T wave within 360 ms that is
    less than half as high. Without the search back.

    Source: Pan J, Tompkins WJ. A real-time QRS detection algorithm. IEEE Trans Biomed Eng
    1985;32:230-236, for one lead; the median is ours, so that a few bad leads do not count.
    """
    passed, rate = spectrum.band(*_QRS_HZ, at_hz=_RATE_HZ)
    energy = np.square(_typical_slope(passed))
    width = max(round(_INTEGRATION_S * rate), 1)
    integrated = np.convolve(energy, np.full(width, 1 / width), mode="same")
    peaks = find_peaks(integrated, max(round(_REFRACTORY_S * rate), 1))
    return Beats(_above_threshold(integrated, peaks, rate), rate)


def _typical_slope(signal: Millivolts) -> Millivolts:
    """Median over the leads of |np.gradient(signal, axis=1)|, of an even number the upper one."""
    n_leads, n_samples = signal.shape
    # A row per sample; twice the slope, halved in the end.
    slopes = np.empty((n_samples, n_leads))
    np.subtract(signal[:, 2:], signal[:, :-2], out=slopes[1:-1].T)
    slopes[0] = 2.0 * (signal[:, 1] - signal[:, 0])
    slopes[-1] = 2.0 * (signal[:, -1] - signal[:, -2])
    np.abs(slopes, out=slopes)
    slopes.partition(n_leads // 2, axis=1)
    typical: Millivolts = slopes[:, n_leads // 2] / 2.0
    return typical


def _above_threshold(integrated: Millivolts, peaks: Positions, rate: float) -> Positions:
    signal_level, noise_level = _initial_levels(integrated, rate)
    least = _LEAST_OF_HIGHEST * float(integrated.max())
    kept: list[int] = []
    last_height = 0.0
    for peak, height in zip(peaks.tolist(), integrated[peaks].tolist(), strict=True):
        if height <= max(noise_level + 0.25 * (signal_level - noise_level), least):
            noise_level += 0.125 * (height - noise_level)
        elif not kept or peak - kept[-1] >= _T_WAVE_S * rate or height >= 0.5 * last_height:
            # Else it is a T wave.
            signal_level += 0.125 * (height - signal_level)
            kept.append(peak)
            last_height = height
    return np.array(kept, dtype=np.int64)


def _initial_levels(integrated: Millivolts, rate: float) -> tuple[float, float]:
    """Median of the highest value in each 2 s, and of all: one artefact alone sets neither."""
    n_parts = max(int(integrated.size / (2.0 * rate)), 1)
    size, n_longer = divmod(integrated.size, n_parts)
    starts = [size * part + min(part, n_longer) for part in range(n_parts)]
    highest = np.maximum.reduceat(integrated, starts)
    return float(median(highest)), float(median(integrated))


def whole_beats(beats: Beats, n_samples: int) -> Grid:
    """The beats that lie within the strip, from 100 ms before to 300 ms after, not aligned."""
    before, after, slack = _lengths(beats.sampling_frequency)
    positions = beats.positions
    whole = (positions >= before + slack) & (positions < n_samples - after - slack)
    return positions[whole, None] + np.arange(-before, after)


def align(signal: Millivolts, grid: Grid, rate: float) -> Grid:
    """The beats moved by up to 30 ms each to where they are most like their median.

    Args:
        signal: (n_leads, n_samples) in mV of the leads to align by; every third is enough.
        grid: at least one whole beat.
    """
    slack = _lengths(rate)[2]
    typical = median(cut_out(signal, grid))
    shifts = np.arange(-slack, slack + 1)
    reach = signal.take(grid[:, :1] + np.arange(-slack, grid.shape[1] + slack), axis=1)
    shifted = sliding_window_view(reach, grid.shape[1], axis=2)
    best = np.einsum("lbsn,ln->bs", shifted, typical).argmax(axis=1)
    moved: Grid = grid + shifts[best][:, None]
    return moved


def cut_out(signal: Millivolts, grid: Grid) -> Millivolts:
    """The beats of each lead side by side, (n_leads, n, n_beats) in mV, each without its mean."""
    beats: Millivolts = signal.take(grid.T, axis=1)
    beats -= np.add.reduce(beats, axis=1, keepdims=True) / beats.shape[1]
    return beats


def _lengths(rate: float) -> tuple[int, int, int]:
    return round(_BEFORE_S * rate), round(_AFTER_S * rate), round(_ALIGNMENT_S * rate)
