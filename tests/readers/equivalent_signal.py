"""The waveform that all formats hold, exact at any sampling frequency, and its counts."""

import numpy as np
from numpy.typing import NDArray

from ecgbatch.records import Member, Millivolts, RecordingBytes
from ecgbatch.terms import LEADS

EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
SHUFFLED = ("V6", "aVF", "I", "V2", "aVL", "V4", "III", "V1", "aVR", "II", "V5", "V3")
MUSE_ORDER = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "III", "aVR", "aVL", "aVF")
DURATION_S = 12
"""Longer than the window, so that the resampling filter sees what follows."""

LEAD_CODES = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))
"""Of SCP-ECG, which DICOM borrows."""


def waveform(rate: int, duration_s: float = DURATION_S) -> Millivolts:
    """(12, n) in mV: sums of sines from 0.5 to 95 Hz, different in each lead.

    All phases are zero, so that the odd reflection with which resampling starts is what the
    waveform itself does before its first sample: no edge has to be excused.
    """
    rng = np.random.default_rng(20)
    frequencies = rng.uniform(0.5, 95.0, (8, 24))
    amplitudes = rng.uniform(0.01, 0.2, (8, 24))
    offsets = rng.uniform(-0.3, 0.3, 8)
    time_s = np.arange(round(duration_s * rate)) / rate
    sines = np.sin(2 * np.pi * frequencies[:, :, None] * time_s)
    eight = (amplitudes[:, :, None] * sines).sum(axis=1) + offsets[:, None]
    one, two = eight[:2]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.vstack([*limb, *eight[2:]])


def row_of(signal: Millivolts, lead: str) -> Millivolts:
    return signal[LEADS.index(lead)]


def counts_of(signal: Millivolts, leads: tuple[str, ...], step_mv: float) -> NDArray[np.int64]:
    """(n_leads, n) in the file's order."""
    rows = np.stack([row_of(signal, lead) for lead in leads])
    return np.rint(rows / step_mv).astype(np.int64)


def one_file(name: str, content: bytes | str) -> RecordingBytes:
    data = content.encode() if isinstance(content, str) else content
    return RecordingBytes((Member(name, data),))
