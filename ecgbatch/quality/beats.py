"""Where the heart beats: one detector for all leads, and the beats cut out and aligned."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from ecgbatch.quality.spectrum import Spectrum
from ecgbatch.records import Millivolts

Positions = NDArray[np.int64]

_QRS_HZ = (5.0, 15.0)
_ECG_HZ = (0.67, 40.0)
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
        return float(60.0 * self.sampling_frequency / np.median(np.diff(self.positions)))


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
    slopes = np.sort(np.abs(np.gradient(passed, axis=1)), axis=0)
    energy = np.square(slopes[slopes.shape[0] // 2])
    width = max(round(_INTEGRATION_S * rate), 1)
    integrated = np.convolve(energy, np.full(width, 1 / width), mode="same")
    peaks, _ = find_peaks(integrated, distance=max(round(_REFRACTORY_S * rate), 1))
    return Beats(_above_threshold(integrated, peaks, rate), rate)


def _above_threshold(integrated: Millivolts, peaks: Positions, rate: float) -> Positions:
    signal_level, noise_level = _initial_levels(integrated, rate)
    least = _LEAST_OF_HIGHEST * float(integrated.max())
    kept: list[int] = []
    for peak in peaks:
        height = integrated[peak]
        if height <= max(noise_level + 0.25 * (signal_level - noise_level), least):
            noise_level += 0.125 * (height - noise_level)
        elif not _is_t_wave(integrated, kept, int(peak), rate):
            signal_level += 0.125 * (height - signal_level)
            kept.append(int(peak))
    return np.array(kept, dtype=np.int64)


def _initial_levels(integrated: Millivolts, rate: float) -> tuple[float, float]:
    """Median of the highest value in each 2 s, and of all: one artefact alone sets neither."""
    n_parts = max(int(integrated.size / (2.0 * rate)), 1)
    highest = [part.max() for part in np.array_split(integrated, n_parts)]
    return float(np.median(highest)), float(np.median(integrated))


def _is_t_wave(integrated: Millivolts, kept: list[int], peak: int, rate: float) -> bool:
    if not kept or peak - kept[-1] >= _T_WAVE_S * rate:
        return False
    return bool(integrated[peak] < 0.5 * integrated[kept[-1]])


def cut_beats(spectrum: Spectrum, beats: Beats) -> Millivolts:
    """The whole beats, aligned to their median: 0.67 to 40 Hz, from 100 ms before to 300 ms after.

    Returns:
        (n_leads, n_beats, n) in mV, each without its mean; n_beats may be 0.
    """
    signal, rate = spectrum.band(*_ECG_HZ, at_hz=_RATE_HZ)
    before, after, slack = (round(part * rate) for part in (_BEFORE_S, _AFTER_S, _ALIGNMENT_S))
    whole = (beats.positions >= before + slack) & (
        beats.positions < signal.shape[1] - after - slack
    )
    if not whole.any():
        return np.empty((signal.shape[0], 0, before + after))
    grid = beats.positions[whole, None] + np.arange(-before, after)
    median = np.median(_without_mean(signal[:, grid]), axis=1)
    shifts = np.arange(-slack, slack + 1)
    # Every third lead is enough to align by.
    shifted = signal[::3, grid[:, None, :] + shifts[:, None]]
    best = np.einsum("lbsn,ln->bs", shifted, median[::3]).argmax(axis=1)
    return _without_mean(signal[:, grid + shifts[best][:, None]])


def _without_mean(beats: Millivolts) -> Millivolts:
    centred: Millivolts = beats - beats.mean(axis=-1, keepdims=True)
    return centred
