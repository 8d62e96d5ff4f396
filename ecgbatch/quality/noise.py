"""Checks for noise: window -> findings. They flag; none of them refuses by default."""

import numpy as np

from ecgbatch.quality.beats import Grid, align, cut_out, whole_beats
from ecgbatch.quality.found import found
from ecgbatch.quality.of_settings import Limit, Quality
from ecgbatch.quality.ranks import median
from ecgbatch.quality.runs import Rows
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
_ECG_HZ = (0.67, 40.0)
_RATE_HZ = 100.0
# What is known to stay below a limit by more than rounding can make is no finding.
_SURE = 1 - 1e-6


def powerline(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Share of a lead's power above 0.5 Hz that stands out as a line at 50 or 60 Hz.

    The power within 1 Hz of the line above what its neighbours, 2 to 5 Hz away, lead one to
    expect: a QRS complex has power there too, but no line. Not seen where half the sampling
    frequency is below the line's neighbours.

    Source: relative band powers as signal quality indices, Clifford GD et al. Physiol Meas
    2012;33:1419-1433; the comparison with the neighbours and the limit are ours.
    """
    spectrum, limit = window.spectrum, quality.powerline.limit
    around = [spectrum.power_between(line - 1.0, line + 1.0) for line in _MAINS_HZ]
    # All that is at a line, of less than all the power: more than the share can be.
    rows = np.flatnonzero(np.maximum(*around) > _SURE * limit * spectrum.main_power)
    if rows.size == 0:
        return ()
    spectrum = spectrum.of_leads(rows)
    alternating = spectrum.power_between(_WANDER_HZ, spectrum.highest_hz)
    lines = np.maximum(*(_line_power(spectrum, line) for line in _MAINS_HZ))
    shares = _share(lines, alternating)
    return _above(
        window, "powerline", ReasonCode.POWERLINE_NOISE, quality.powerline, shares, rows=rows
    )


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
    expected = median(beside) / _MEDIAN_OF_EXPONENTIAL * around.shape[1]
    standing_out: Millivolts = np.maximum(around.sum(axis=1) - expected, 0.0)
    return standing_out


def wander(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Share of a lead's power below 0.5 Hz: baseline drift.

    Source: relative power of the baseline, Clifford GD et al. Physiol Meas 2012;33:1419-1433
    (there below 1 Hz). 0.5 Hz and the limit are ours; a zero-phase baseline filter may go up to
    0.67 Hz (Kligfield P et al. J Am Coll Cardiol 2007;49:1109-1127).
    """
    spectrum, limit = window.spectrum, quality.wander.limit
    slow = spectrum.power_between(0.0, _WANDER_HZ)
    rows = np.flatnonzero(slow > _SURE * limit * (slow + spectrum.main_power))
    if rows.size == 0:
        return ()
    shares = _share(slow[rows], spectrum.of_leads(rows).total_power)
    return _above(window, "wander", ReasonCode.BASELINE_WANDER, quality.wander, shares, rows=rows)


def muscle_noise(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Standard deviation (mV) of what remains from 35 to 150 Hz without mains lines.

    Estimated by the median of the absolute values / 0.6745, which the QRS complexes, a tenth of
    the time, hardly move.

    Source of the estimate: Donoho DL, Johnstone IM. Biometrika 1994;81:425-455; the band begins
    where carts put their muscle filter; the limit is ours.
    """
    check = quality.muscle_noise
    # A median above the limit takes half of every other sample above it, so all of them a mean
    # square of a quarter of its square.
    least = _SURE * check.limit * _MAD_OF_NORMAL
    rows = np.flatnonzero(window.spectrum.most_in_band(*_MUSCLE_HZ) > (least / 2) ** 2)
    if rows.size == 0:
        return ()
    # Every other sample is as good an estimate, in half the time.
    residual = window.spectrum.half_band(
        *_MUSCLE_HZ, at_hz=2 * _MUSCLE_HZ[1], rows=rows, without_hz=_LINES_HZ
    )
    distances = np.abs(residual, out=residual)
    noisy = 2 * np.count_nonzero(distances > least, axis=1) >= residual.shape[1]
    if not noisy.any():
        return ()
    values = median(distances[noisy]) / _MAD_OF_NORMAL
    return _above(window, "muscle_noise", ReasonCode.MUSCLE_NOISE, check, values, rows=rows[noisy])


def snr(window: Window, quality: Quality) -> tuple[Finding, ...]:
    """Signal-to-noise ratio (dB) of the beats, median of the leads, below the limit.

    The power of the median beat over the power of what a beat differs from it (median of the
    beats, so that ectopic ones do not count), 0.67 to 40 Hz. Less than four beats: not measured.

    Source: likeness of the beats to their template, Orphanidou C et al. IEEE J Biomed Health
    Inform 2015;19:832-838, here stated as a ratio of powers; the limit is ours.
    """
    check = quality.snr
    # Two leads of three: where more than half of all are above the limit, their median is.
    leads = np.arange(len(window.lead_names))
    chosen, others = leads[leads % 3 != 2], leads[leads % 3 == 2]
    signal, rate = window.spectrum.band(*_ECG_HZ, at_hz=_RATE_HZ, rows=chosen)
    grid = whole_beats(window.beats, signal.shape[1])
    if grid.shape[0] < _LEAST_BEATS:
        return ()
    grid = align(signal[::2], grid, rate)
    powers, noises = _power_and_noise(signal, grid)
    limit = np.power(10.0, check.limit / 10.0)
    sure = (noises > 0) & (_SURE * powers > limit * noises)
    if 2 * np.count_nonzero(sure) > leads.size:
        return ()
    signal, _ = window.spectrum.band(*_ECG_HZ, at_hz=_RATE_HZ, rows=others)
    more_powers, more_noises = _power_and_noise(signal, grid)
    powers, noises = np.append(powers, more_powers), np.append(noises, more_noises)
    has_noise = noises > 0
    if not has_noise.any():
        return ()
    ratio = float(median(powers[has_noise] / noises[has_noise]))
    value = 10.0 * np.log10(max(ratio, 1e-6))
    if value >= check.limit:
        return ()
    return (found("snr", ReasonCode.SNR_LOW, check, value=float(value)),)


def _power_and_noise(signal: Millivolts, grid: Grid) -> tuple[Millivolts, Millivolts]:
    """Per lead the power of its median beat and of what a beat differs from it, (n_leads,) each."""
    beats = cut_out(signal, grid)
    template = median(beats)
    beats -= template[:, :, None]
    noise = median(np.einsum("lnb,lnb->lb", beats, beats))
    return np.einsum("ln,ln->l", template, template), noise


def _share(part: Millivolts, whole: Millivolts) -> Millivolts:
    share: Millivolts = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return share


def _above(
    window: Window,
    name: str,
    reason: ReasonCode,
    check: Limit,
    values: Millivolts,
    *,
    rows: Rows,
) -> tuple[Finding, ...]:
    return tuple(
        found(name, reason, check, lead=window.lead_names[row], value=float(value))
        for row, value in zip(rows, values, strict=True)
        if value > check.limit
    )
