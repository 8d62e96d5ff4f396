"""The ECGs of a trial: golden ones and synthetic variations of them, or the hospital's own."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np

from ecgbatch.bundle.golden import Batch, golden_inputs
from ecgbatch.errors import InputFault, Refusal, TransientFault
from ecgbatch.examination import Terms
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.preprocessing.spec import PreprocessingSpec
from ecgbatch.settings import Settings
from ecgbatch.sources.folder import FolderSource
from ecgbatch.terms import LEADS, SAMPLING_FREQUENCY, WINDOW_SAMPLES

_SEED = 20261127
_NOISE_MV, _WANDER_MV, _WANDER_HZ = 0.01, 0.1, (0.1, 0.4)
_GAINS = (0.6, 1.5)


def synthetic_inputs(golden_mv: Batch, n: int, spec: PreprocessingSpec) -> Batch:
    """Model inputs (n, 12, 5000): the golden ECGs as they are, then variations, always the same.

    A variation is a golden ECG begun elsewhere, each lead with a gain of its own, with noise and
    a wandering baseline. They are for comparing runtimes, not like the ECGs of a hospital.

    Args:
        golden_mv: (n_golden, 12, 5000) at 500 Hz.
        n: at least 1.

    Raises:
        SetupFault: one of them cannot be prepared.
    """
    random = np.random.default_rng(_SEED)
    varied = [
        golden_mv[number] if number < len(golden_mv) else _varied(golden_mv, number, random)
        for number in range(n)
    ]
    return golden_inputs(np.stack(varied), spec)


def _varied(golden_mv: Batch, number: int, random: np.random.Generator) -> Batch:
    ecg = np.roll(golden_mv[number % len(golden_mv)], random.integers(WINDOW_SAMPLES), axis=1)
    time_s = np.arange(WINDOW_SAMPLES) / SAMPLING_FREQUENCY
    wander = np.sin(2 * np.pi * random.uniform(*_WANDER_HZ) * time_s + random.uniform(0, 2 * np.pi))
    gains = random.uniform(*_GAINS, size=(len(LEADS), 1))
    noise = random.normal(0.0, _NOISE_MV, ecg.shape)
    varied: Batch = (ecg * gains + noise + _WANDER_MV * wander).astype(np.float32)
    return varied


def own_inputs(folder: Path, n: int, spec: PreprocessingSpec, settings: Settings) -> Batch:
    """Model inputs (up to n, 12, 5000) of the ECGs in a folder that the gates let pass.

    Nothing is written and nothing about them is kept.

    Raises:
        SetupFault: the folder cannot be listed, or no reader process can be started.
    """
    with Decoder(settings.isolation) as decoder:
        found = list(islice(_passing(folder, spec, settings, decoder), n))
    return np.stack(found) if found else np.empty((0, len(LEADS), WINDOW_SAMPLES), np.float32)


def _passing(
    folder: Path, spec: PreprocessingSpec, settings: Settings, decoder: Decoder
) -> Iterator[Batch]:
    """Each (12, 5000)."""
    source = FolderSource(folder.resolve(), settings.limits.recording_bytes)
    terms = Terms(settings.quality, settings.eligibility, spec)
    with closing(source.scan()) as scan:
        for sighting in scan:
            try:
                content = source.read(sighting.locator, sighting.fingerprint)
                examined = decoder.examine(content, terms)
            except (InputFault, Refusal, TransientFault):
                continue
            if examined.prepared is not None:
                yield examined.prepared.signal
