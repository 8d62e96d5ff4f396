"""What lies over the heart's signal in a recording: wander, muscle, mains."""

import numpy as np
from numpy.typing import NDArray

from ecgbatch.terms import SAMPLING_FREQUENCY

Array = NDArray[np.float64]


def rhythm(rng: np.random.Generator, heart_rate: float, window_s: float) -> Array:
    """R peak times in s, from before the window to after it.

    Args:
        heart_rate: beats per minute. Variability: respiratory, slow, and a rest.
    """
    mean_rr = 60.0 / heart_rate
    n_beats = int(window_s / (0.6 * mean_rr)) + 4
    breath_hz, breath_phase = rng.uniform(0.18, 0.32), rng.uniform(0.0, 2 * np.pi)
    depth = mean_rr * rng.uniform(0.005, 0.05)
    nominal = np.arange(n_beats) * mean_rr
    breathing = depth * np.sin(2 * np.pi * breath_hz * nominal + breath_phase)
    rest = mean_rr * 0.012 * rng.standard_normal(n_beats)
    rr_s = np.clip(mean_rr + breathing + rest, 0.6 * mean_rr, None)
    start = -rng.uniform(0.4, 1.4) * mean_rr
    times: Array = start + np.cumsum(rr_s) - rr_s[0]
    return times[times < window_s + 0.5]


def breathing_gain(rng: np.random.Generator, r_times_s: Array) -> Array:
    """Factor per beat, (n_beats,), around 1."""
    breath_hz, phase = rng.uniform(0.18, 0.32), rng.uniform(0.0, 2 * np.pi)
    depth = rng.uniform(0.0, 0.06)
    return 1.0 + depth * np.sin(2 * np.pi * breath_hz * r_times_s + phase)


def wander(rng: np.random.Generator, n_leads: int, n_samples: int) -> Array:
    """Baseline wander in mV, (n_leads, n_samples): four slow sines, another mix per lead."""
    time_s = np.arange(n_samples) / SAMPLING_FREQUENCY
    frequency = rng.uniform(0.05, 0.5, size=4)
    phase = rng.uniform(0.0, 2 * np.pi, size=4)
    waves = np.sin(2 * np.pi * frequency[:, np.newaxis] * time_s + phase[:, np.newaxis])
    size_mv = np.exp(rng.normal(np.log(0.025), 0.7))
    mixed: Array = size_mv * rng.standard_normal((n_leads, 4)) @ waves
    return mixed


def muscle(rng: np.random.Generator, n_leads: int, n_samples: int) -> Array:
    """Muscle noise in mV, (n_leads, n_samples): broad-band; each recording has its level."""
    white = rng.standard_normal((n_leads, n_samples + 2))
    broad = (white[:, 2:] + white[:, 1:-1] + white[:, :-2]) / np.sqrt(3.0)
    level_mv = np.exp(rng.normal(np.log(0.007), 0.5))
    per_lead = np.exp(rng.normal(0.0, 0.3, size=(n_leads, 1)))
    noise: Array = level_mv * per_lead * broad
    return noise


def mains(rng: np.random.Generator, n_leads: int, n_samples: int, mains_hz: float) -> Array:
    """Mains hum in mV, (n_leads, n_samples)."""
    time_s = np.arange(n_samples) / SAMPLING_FREQUENCY
    level_mv = np.exp(rng.normal(np.log(0.002), 0.8))
    per_lead = rng.uniform(0.2, 1.0, size=(n_leads, 1))
    phase = rng.uniform(0.0, 2 * np.pi)
    hum: Array = level_mv * per_lead * np.sin(2 * np.pi * mains_hz * time_s + phase)
    return hum


def artefacts(
    rng: np.random.Generator, n_leads: int, n_samples: int, mains_hz: float, mains_gain: float
) -> NDArray[np.float64]:
    """Sum of wander, muscle noise and mains hum: (n_leads, n_samples) in mV."""
    return (
        wander(rng, n_leads, n_samples)
        + muscle(rng, n_leads, n_samples)
        + mains_gain * mains(rng, n_leads, n_samples, mains_hz)
    )
