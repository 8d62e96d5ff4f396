"""Changes to prepared ECGs, each draw addressed by seed, epoch and ECG.

No state is carried from one ECG to the next: whatever the order of the batches, and after any
interruption, an ECG is changed in the same way in the same epoch. A part that is switched off
leaves the draws of the others as they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.settings.fit import AugmentationSettings

Signals = NDArray[np.float32]
_ADDRESS = 0xA06
"""Keeps these draws apart from others with the same seed."""
_ADDRESS_DIGITS = 16
"""Hex digits of an ECG's key that address its draws."""


@dataclass(frozen=True, slots=True)
class _Dice:
    """One ECG's uniform draws in [0, 1): whether each part applies, and how much of it."""

    shift: float
    shift_by: float
    gain: float
    gain_by: float
    noise: float
    blank: float
    blank_length: float
    blank_start: float
    leads: float
    leads_count: float
    resampling: float
    resampling_by: float


_N_DICE = len(_Dice.__dataclass_fields__)


def strength(epoch: int, epochs: int, settings: AugmentationSettings) -> float:
    """c of an epoch, from 0: half a cosine from `strength_from` towards `strength_to`."""
    fall = settings.strength_from - settings.strength_to
    return settings.strength_to + fall * (1.0 + math.cos(math.pi * epoch / epochs)) / 2.0


def augment(
    signals: Signals,
    keys: Sequence[str],
    settings: AugmentationSettings,
    *,
    seed: int,
    epoch: int,
    epochs: int,
) -> Signals:
    """Changed copies of prepared ECGs.

    Resampling, circular shift, gain, noise, blanking, lead dropout, in this order; each with its
    probability times c. Shift, gain, noise and blanking are those of the published recipe.

    Args:
        signals: (B, leads, n), after normalisation; left as they are.
        keys: (B,) hex digests of the ECGs; address of the draws.
        epoch: from 0, of `epochs`.

    Returns:
        (B, leads, n) float32.
    """
    c = strength(epoch, epochs, settings)
    changed = np.empty_like(signals)
    for index, key in enumerate(keys):
        address = np.random.SeedSequence([_ADDRESS, seed, epoch, int(key[:_ADDRESS_DIGITS], 16)])
        draws = np.random.Generator(np.random.SFC64(address))
        changed[index] = _augment_one(signals[index], settings, c, draws)
    return changed


def _augment_one(
    signal: Signals, settings: AugmentationSettings, c: float, draws: np.random.Generator
) -> Signals:
    dice = _Dice(*draws.random(_N_DICE).tolist())
    leads = draws.permutation(len(signal))
    out = signal
    if dice.resampling < c * settings.resampling_probability:
        out = _resample(out, 1.0 + settings.resampling_most * (2.0 * dice.resampling_by - 1.0))
    if dice.shift < c * settings.shift_probability:
        most = settings.shift_share * signal.shape[-1]
        out = np.roll(out, round(most * (2.0 * dice.shift_by - 1.0)), axis=-1)
    if dice.gain < c * settings.gain_probability:
        low, high = settings.gain
        out = out * np.float32(low + (high - low) * dice.gain_by)
    if dice.noise < c * settings.noise_probability:
        noise = draws.standard_normal(signal.shape, dtype=np.float32)
        limit = settings.noise_limit
        out = out + np.clip(noise * np.float32(c * settings.noise_sd), -limit, limit)
    return _silence(out, dice, leads, settings, c)


def _silence(
    signal: Signals, dice: _Dice, leads: NDArray[np.int64], settings: AugmentationSettings, c: float
) -> Signals:
    """Blank part of the time in all leads, and some leads for all the time."""
    out = signal.copy()
    n = signal.shape[-1]
    if dice.blank < c * settings.blank_probability:
        low, high = settings.blank_share
        length = round(n * (low + (high - low) * dice.blank_length))
        start = int((n - length + 1) * dice.blank_start)
        out[:, start : start + length] = 0.0
    if dice.leads < c * settings.lead_dropout_probability:
        count = 1 + int(settings.lead_dropout_most * dice.leads_count)
        out[leads[:count]] = 0.0
    return out


def _resample(signal: Signals, factor: float) -> Signals:
    """As if sampled `factor` times too slowly: linear between samples, circular at the end."""
    n = signal.shape[-1]
    at = np.arange(n) * factor
    before = np.floor(at).astype(np.int64)
    weight = (at - before).astype(np.float32)
    early, late = signal[:, before % n], signal[:, (before + 1) % n]
    resampled: Signals = early + weight * (late - early)
    return resampled
