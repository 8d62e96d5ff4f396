"""Checks for noise: window -> findings. They flag; none of them refuses by default."""

import numpy as np

from ecgbatch.quality.beats import cut_beats
from ecgbatch.quality.found import found
from ecgbatch.quality.of_settings import Limit, Quality
from ecgbatch.quality.spectrum import Spectrum
from ecgbatch.quality.window import Window
from ecgbatch.records import Finding, Millivolts
from ecgbatch.terms import ReasonCode

_MAINS_HZ = (50.0, 60.0)
_LINES_HZ = (50.0, 60.0, 100.0, 120.0)
_WANDER_HZ = 0.5
_MUSCLE_HZ = (35.0, 150.0)
_MAD_OF_NORMAL = 0.6745
_MEDIAN_OF_EXPONENTIAL = 0.6931
_LEAST_BEATS = 4


def powerline(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Share of a lead's power above 0.5 Hz that stands out as a line at 50 or 60 Hz.

    The power within 1 Hz of the line above what its neighbours, 2 to 5 Hz away, lead one to
    expect: a QRS complex has power there too, but no line. Not seen where half the sampling
    frequency is below the line's neighbours.

    Source: relative band powers as signal quality indices, Clifford GD et al. Physiol Meas
    2012;33:1419-1433; the comparison with the neighbours and the limit are ours.
    """
    spectrum = window.spectrum
    alternating = spectrum.power[:, spectrum.between(_WANDER_HZ, spectrum.highest_hz)].sum(axis=1)
    lines = np.maximum(*(_line_power(spectrum, line) for line in _MAINS_HZ))
    shares = _share(lines, alternating)
    return _above(window, "powerline", ReasonCode.POWERLINE_NOISE, quality.powerline, shares)


def _line_power(spectrum: Spectrum, line_hz: float) -> Millivolts:
    if spectrum.highest_hz < line_hz + 5.0:
        return np.zeros(spectrum.power.shape[0])
    around = spectrum.power[:, spectrum.between(line_hz - 1.0, line_hz + 1.0)]
    beside = np.concatenate(
        [
            spectrum.power[:, spectrum.between(line_hz - 5.0, line_hz - 2.0)],
            spectrum.power[:, spectrum.between(line_hz + 2.0, line_hz + 5.0)],
        ],
        axis=1,
    )
    # The median passes over a second line; of noise it is 0.69 of the mean.
    expected = np.median(beside, axis=1) / _MEDIAN_OF_EXPONENTIAL * around.shape[1]
    standing_out: Millivolts = np.maximum(around.sum(axis=1) - expected, 0.0)
    return standing_out


def wander(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Share of a lead's power below 0.5 Hz: baseline drift.

    Source: relative power of the baseline, Clifford GD et al. Physiol Meas 2012;33:1419-1433
    (there below 1 Hz). 0.5 Hz and the limit are ours; a zero-phase baseline filter may go up to
    0.67 Hz (Kligfield P et al. J Am Coll Cardiol 2007;49:1109-1127).
    """
    spectrum = window.spectrum
    slow = spectrum.power[:, spectrum.between(0.0, _WANDER_HZ)].sum(axis=1)
    shares = _share(slow, spectrum.total_power)
    return _above(window, "wander", ReasonCode.BASELINE_WANDER, quality.wander, shares)


def muscle_noise(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Standard deviation (mV) of what remains from 35 to 150 Hz without mains lines.

    Estimated by the median of the absolute values / 0.6745, which the QRS complexes, a tenth of
    the time, hardly move.

    Source of the estimate: Donoho DL, Johnstone IM. Biometrika 1994;81:425-455; the band begins
    where carts put their muscle filter; the limit is ours.
    """
    residual, _ = window.spectrum.band(*_MUSCLE_HZ, at_hz=2 * _MUSCLE_HZ[1], without_hz=_LINES_HZ)
    # Every other sample is as good an estimate, in half the time.
    deviations = np.median(np.abs(residual[:, ::2]), axis=1) / _MAD_OF_NORMAL
    return _above(window, "muscle_noise", ReasonCode.MUSCLE_NOISE, quality.muscle_noise, deviations)


def snr(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Signal-to-noise ratio (dB) of the beats, median of the leads, below the limit.

    The power of the median beat over the power of what a beat differs from it (median of the
    beats, so that ectopic ones do not count), 0.67 to 40 Hz. Less than four beats: not measured.

    Source: likeness of the beats to their template, Orphanidou C et al. IEEE J Biomed Health
    Inform 2015;19:832-838, here stated as a ratio of powers; the limit is ours.
    """
    check = quality.snr
    beats = cut_beats(window.spectrum, window.beats)
    if beats.shape[1] < _LEAST_BEATS:
        return ()
    template = np.median(beats, axis=1)
    noise = np.median(np.square(beats - template[:, None]).mean(axis=2), axis=1)
    has_noise = noise > 0
    if not has_noise.any():
        return ()
    ratio = float(np.median(np.square(template).mean(axis=1)[has_noise] / noise[has_noise]))
    value = 10.0 * np.log10(max(ratio, 1e-6))
    if value >= check.limit:
        return ()
    return (found("snr", ReasonCode.SNR_LOW, check, value=float(value)),)


def _share(part: Millivolts, whole: Millivolts) -> Millivolts:
    share: Millivolts = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return share


def _above(
    window: Window, name: str, reason: ReasonCode, check: Limit, values: Millivolts
) -> tuple[Finding, ...]:
    return tuple(
        found(name, reason, check, lead=lead, value=float(value))
        for lead, value in zip(window.lead_names, values, strict=True)
        if value > check.limit
    )
