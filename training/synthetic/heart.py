"""A heart as a moving dipole: beats in three dimensions, projected on the leads.

Shape of the normal beat: Gaussian waves on the Frank axes after Sameni et al., "Multichannel ECG
and noise modeling", EURASIP J. Adv. Signal Process. 2007. Projection: Dower et al., "Deriving the
12-lead electrocardiogram from the vectorcardiogram", Clin. Cardiol. 1980. Axes: x to the left,
y to the feet, z to the back; mV; seconds after the R peak.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgbatch.terms import SAMPLING_FREQUENCY, Vessel

Array = NDArray[np.float64]

INDEPENDENT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
DOWER = np.array(
    [
        (0.632, -0.235, 0.059),
        (0.235, 1.066, -0.132),
        (-0.515, 0.157, -0.917),
        (0.044, 0.164, -1.387),
        (0.882, 0.098, -1.277),
        (1.213, 0.127, -0.601),
        (1.125, 0.127, -0.086),
        (0.831, 0.076, 0.230),
    ]
)
"""mV per mV of the dipole; rows as INDEPENDENT_LEADS, columns x, y, z."""

_P = np.array(  # centre s, width s, x, y, z
    [
        (-0.178, 0.0165, 0.030, 0.036, -0.022),
        (-0.146, 0.0180, 0.062, 0.070, -0.018),
        (-0.124, 0.0130, 0.012, 0.018, 0.022),
    ]
)
_QRS = np.array(
    [
        (-0.030, 0.0075, -0.100, 0.020, -0.110),
        (-0.021, 0.0090, 0.060, 0.170, -0.330),
        (-0.010, 0.0075, 0.640, 0.280, -0.160),
        (0.000, 0.0070, 0.900, 0.560, 0.150),
        (0.010, 0.0075, 0.480, 0.120, 0.480),
        (0.022, 0.0090, 0.020, -0.190, 0.260),
        (0.034, 0.0090, -0.070, -0.060, 0.060),
    ]
)
_T = np.array(  # at a heart rate of 60 per minute; stretched with the square root of RR
    [
        (0.130, 0.0500, 0.012, 0.006, -0.028),
        (0.205, 0.0420, 0.080, 0.050, -0.100),
        (0.255, 0.0330, 0.150, 0.085, -0.150),
        (0.290, 0.0240, 0.110, 0.060, -0.070),
    ]
)

_INITIAL_FORCE = (-0.018, 0.0100)
_ST_SEGMENT = (0.115, 0.0450)
_T_PEAK = (0.255, 0.0400)

DIRECTION: dict[Vessel, tuple[float, float, float]] = {
    Vessel.RCA: (-0.14, 0.98, 0.14),
    Vessel.LM: (0.72, 0.60, -0.35),
    Vessel.LAD: (0.15, 0.00, -0.99),
    Vessel.LCX: (0.85, -0.25, 0.46),
}
"""Unit vector from the heart's centre to the wall that the vessel supplies. For LM it points away
from aVR: a loss along it is diffuse ST depression with elevation in aVR."""


@dataclass(frozen=True, slots=True)
class Injury:
    """What coronary disease does to the beat, each a dipole in mV, shape (3,).

    Attributes:
        initial_force: added to the first 30 ms of the QRS (Q wave, loss of R).
        st_segment: added between J point and T.
        t_wave: added to the T wave.
    """

    initial_force: Array
    st_segment: Array
    t_wave: Array


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What tells one heart and chest from another.

    Attributes:
        p_gain, qrs_gain, t_gain: factors on the waves.
        pr_shift_s: added to the P wave's time; qrs_width, qt_width: factors on time.
        rotation: (3, 3), the electrical position of the heart.
        lead_gain: (8,), closeness of the electrodes, rows as INDEPENDENT_LEADS.
        injury: sum over the vessels and over changes that have nothing to do with them.
    """

    p_gain: float
    qrs_gain: float
    t_gain: float
    pr_shift_s: float
    qrs_width: float
    qt_width: float
    rotation: Array
    lead_gain: Array
    injury: Injury


def rotate(frontal_rad: float, horizontal_rad: float) -> Array:
    """Rotation (3, 3): first about the vertical axis, then in the frontal plane.

    A positive `frontal_rad` turns the axis towards the feet, a positive `horizontal_rad` towards
    the back.
    """
    cos_f, sin_f = np.cos(frontal_rad), np.sin(frontal_rad)
    cos_h, sin_h = np.cos(horizontal_rad), np.sin(horizontal_rad)
    frontal = np.array([(cos_f, -sin_f, 0.0), (sin_f, cos_f, 0.0), (0.0, 0.0, 1.0)])
    horizontal = np.array([(cos_h, 0.0, -sin_h), (0.0, 1.0, 0.0), (sin_h, 0.0, cos_h)])
    turned: Array = frontal @ horizontal
    return turned


def beat_waves(anatomy: Anatomy, rr_s: float) -> Array:
    """The Gaussian waves of one beat: rows of centre s, width s, x, y, z (mV).

    Args:
        rr_s: the RR interval before this beat; ST and T follow its square root (Bazett).
    """
    stretch = anatomy.qt_width * np.sqrt(rr_s)
    p_wave = _timed(_P, 1.0, anatomy.p_gain)
    p_wave[:, 0] += anatomy.pr_shift_s
    injury = anatomy.injury
    waves = [
        p_wave,
        _timed(_QRS, anatomy.qrs_width, anatomy.qrs_gain),
        _timed(_T, stretch, anatomy.t_gain),
        _timed(_wave(_INITIAL_FORCE, injury.initial_force), anatomy.qrs_width, 1.0),
        _timed(_wave(_ST_SEGMENT, injury.st_segment), stretch, 1.0),
        _timed(_wave(_T_PEAK, injury.t_wave), stretch, 1.0),
    ]
    return np.concatenate(waves)


def _wave(timing: tuple[float, float], dipole: Array) -> Array:
    return np.array([(*timing, *dipole)])


def _timed(waves: Array, stretch: float, gain: float) -> Array:
    timed: Array = waves * np.array([stretch, stretch, gain, gain, gain])
    return timed


def dipole(anatomy: Anatomy, r_times_s: Array, beat_gain: Array, n_samples: int) -> Array:
    """The heart's dipole over time.

    Args:
        r_times_s: (n_beats,) ascending; beats partly outside the window are drawn too.
        beat_gain: (n_beats,) factor per beat (respiration).

    Returns:
        (3, n_samples) in mV at 500 Hz, in body axes.
    """
    vector = np.zeros((3, n_samples))
    rr_s = np.diff(r_times_s, prepend=2 * r_times_s[0] - r_times_s[1])
    for r_time, rr, gain in zip(r_times_s, rr_s, beat_gain, strict=True):
        first = max(0, int((r_time - 0.35) * SAMPLING_FREQUENCY))
        last = min(n_samples, int((r_time + 0.75) * SAMPLING_FREQUENCY))
        if first >= last:
            continue
        waves = beat_waves(anatomy, rr)
        time_s = np.arange(first, last) / SAMPLING_FREQUENCY - r_time
        shape = np.exp(-0.5 * ((time_s - waves[:, :1]) / waves[:, 1:2]) ** 2)
        vector[:, first:last] += gain * (waves[:, 2:].T @ shape)
    return anatomy.rotation @ vector


def project(anatomy: Anatomy, vector: Array) -> Array:
    """Project a dipole (3, n_samples) on INDEPENDENT_LEADS: (8, n_samples) in mV."""
    leads: Array = (DOWER @ vector) * anatomy.lead_gain[:, np.newaxis]
    return leads
