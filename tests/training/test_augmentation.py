"""Each change of an ECG does what the published recipe says, and the same one again."""

import math
import time

import numpy as np
import pytest

from training.optimise.augmentation import augment, strength
from training.settings.fit import AugmentationSettings

N = 5000
KEYS = [f"{number:064x}"[::-1] for number in range(1, 9)]
PUBLISHED = AugmentationSettings(
    shift_probability=0.8, gain_probability=0.8, noise_probability=0.5, blank_probability=0.3
)
EVERYTHING = AugmentationSettings(
    shift_probability=0.8,
    gain_probability=0.8,
    noise_probability=0.5,
    blank_probability=0.3,
    lead_dropout_probability=0.5,
    resampling_probability=0.5,
)


def _signals(n_ecgs: int = len(KEYS)) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n_ecgs, 12, N)).astype(np.float32)


def _always(**settings: object) -> AugmentationSettings:
    return AugmentationSettings.model_validate({"strength_to": 1.0, **settings})


def _augmented(settings: AugmentationSettings, signals: np.ndarray, epoch: int = 0) -> np.ndarray:
    return augment(signals, KEYS[: len(signals)], settings, seed=5, epoch=epoch, epochs=10)


def test_c_falls_from_one_to_a_half_along_the_published_cosine() -> None:
    for epoch in range(100):
        published = 0.5 + 0.5 * (1 + math.cos(math.pi * epoch / 100)) / 2
        assert strength(epoch, 100, PUBLISHED) == pytest.approx(published)
    assert strength(0, 100, PUBLISHED) == 1.0


def test_a_shift_is_circular_and_at_most_a_tenth() -> None:
    signals = _signals()
    shifted = _augmented(_always(shift_probability=1.0, shift_share=0.1), signals)
    shifts = []
    for before, after in zip(signals, shifted, strict=True):
        spectrum = np.fft.rfft(after[0]) * np.conj(np.fft.rfft(before[0]))
        by = int(np.argmax(np.fft.irfft(spectrum)))
        assert np.array_equal(np.roll(before, by, axis=-1), after)
        shifts.append(by if by <= N // 2 else by - N)
    assert max(map(abs, shifts)) <= 500
    assert min(shifts) < 0 < max(shifts)


def test_a_gain_is_one_factor_for_all_leads() -> None:
    signals = _signals()
    ratio = _augmented(_always(gain_probability=1.0), signals) / signals
    factor = ratio[:, 0, 0]
    assert np.allclose(ratio, factor[:, np.newaxis, np.newaxis], rtol=1e-5)
    assert factor.min() >= 0.9
    assert factor.max() <= 1.1
    assert np.ptp(factor) > 0.05


def test_noise_has_its_sd_and_is_clipped() -> None:
    signals = np.zeros((8, 12, N), dtype=np.float32)
    noise = _augmented(_always(noise_probability=1.0), signals)
    assert noise.std() == pytest.approx(0.02, rel=0.01)
    clipped = _augmented(_always(noise_probability=1.0, noise_sd=0.2), signals)
    assert np.abs(clipped).max() == pytest.approx(0.1)


def test_noise_weakens_with_c() -> None:
    signals = np.zeros((8, 12, N), dtype=np.float32)
    weak = AugmentationSettings(strength_from=0.5, strength_to=0.5, noise_probability=1.0)
    found = _augmented(weak, signals)
    noisy = found[np.abs(found).max(axis=(1, 2)) > 0]
    assert 0 < len(noisy) < 8
    assert noisy.std() == pytest.approx(0.01, rel=0.02)


def test_blanking_zeroes_one_stretch_of_all_leads() -> None:
    blanked = _augmented(_always(blank_probability=1.0), _signals())
    for ecg in blanked:
        is_zero = (ecg == 0).all(axis=0)
        assert np.array_equal((ecg == 0).any(axis=0), is_zero)
        at = np.flatnonzero(is_zero)
        assert 100 <= len(at) <= 500
        assert at[-1] - at[0] + 1 == len(at)


def test_lead_dropout_zeroes_whole_leads_and_never_more_than_allowed() -> None:
    settings = _always(lead_dropout_probability=1.0, lead_dropout_most=3)
    is_zero = (_augmented(settings, _signals()) == 0).all(axis=-1)
    n_dropped = is_zero.sum(axis=1)
    assert n_dropped.min() >= 1
    assert n_dropped.max() <= 3
    assert len(set(n_dropped)) > 1


def test_resampling_moves_a_frequency_by_the_stated_share_at_most() -> None:
    wave = np.sin(2 * np.pi * 100 * np.arange(N) / N).astype(np.float32)
    signals = np.tile(wave, (8, 12, 1))
    jittered = _augmented(_always(resampling_probability=1.0, resampling_most=0.1), signals)
    peaks = np.abs(np.fft.rfft(jittered[:, 0] * np.hanning(N))).argmax(axis=1)
    assert peaks.min() >= 89
    assert peaks.max() <= 111
    assert np.ptp(peaks) > 5


def test_parts_apply_about_as_often_as_stated() -> None:
    n_ecgs, epochs = 8, 100
    signals = _signals(n_ecgs)[:, :, :50]
    settings = _always(gain_probability=0.3)
    changed = [
        (augment(signals, KEYS, settings, seed=1, epoch=e, epochs=epochs) != signals).any((1, 2))
        for e in range(epochs)
    ]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.05)


def test_an_ecg_is_changed_alike_whatever_stands_beside_it() -> None:
    signals = _signals()
    every = _augmented(EVERYTHING, signals)
    order = np.random.default_rng(0).permutation(8)
    again = augment(
        signals[order], [KEYS[i] for i in order], EVERYTHING, seed=5, epoch=0, epochs=10
    )
    assert np.array_equal(again, every[order])


def test_epoch_seed_and_ecg_each_change_the_draws() -> None:
    signals = np.repeat(_signals(1), 2, axis=0)
    settings = _always(shift_probability=1.0, gain_probability=1.0)
    one = _augmented(settings, signals)
    assert not np.array_equal(one[0], one[1])
    assert not np.array_equal(one[0], _augmented(settings, signals, epoch=1)[0])
    other = augment(signals, KEYS[:2], settings, seed=6, epoch=0, epochs=10)
    assert not np.array_equal(one[0], other[0])


def test_switching_one_part_off_leaves_the_others_draws() -> None:
    signals = _signals()
    gain = _augmented(_always(gain_probability=1.0), signals)
    both = _augmented(_always(gain_probability=1.0, blank_probability=1.0), signals)
    kept = both != 0
    assert np.array_equal(both[kept], gain[kept])


def test_the_inputs_are_left_as_they_are() -> None:
    signals = _signals()
    before = signals.copy()
    _augmented(EVERYTHING, signals)
    assert np.array_equal(signals, before)


def test_a_published_batch_is_changed_in_well_under_a_tenth_of_a_second() -> None:
    signals = np.tile(_signals(), (8, 1, 1))
    times = []
    for epoch in range(5):
        began = time.process_time()
        augment(signals, KEYS * 8, PUBLISHED, seed=0, epoch=epoch, epochs=100)
        times.append(time.process_time() - began)
    assert min(times) < 0.1
