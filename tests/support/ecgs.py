"""ECG files as others write them: WFDB through the wfdb library, MUSE from the shipped samples."""

from pathlib import Path

import numpy as np
import wfdb

from ecgbatch.records import Millivolts
from ecgbatch.resources import demonstration
from ecgbatch.terms import LEADS

SAMPLES = demonstration("samples")
MUSE = SAMPLES / "muse" / "guangxi_teaching_sinus_rhythm.xml"


def heartbeats(seed: int, n_samples: int = 5000) -> Millivolts:
    """(12, n_samples) in mV at 500 Hz: plain beats whose limb leads obey Einthoven."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(n_samples) / 500.0
    phase = (time_s * rng.uniform(0.9, 1.5)) % 1.0
    beat = np.exp(-(((phase - 0.4) / 0.012) ** 2)) + 0.25 * np.exp(-(((phase - 0.65) / 0.05) ** 2))
    gains = rng.uniform(0.4, 1.6, size=8) * rng.choice([-1, 1], size=8)
    eight = gains[:, None] * beat + 0.01 * rng.standard_normal((8, n_samples))
    lead_i, lead_ii = eight[0], eight[1]
    limb = [lead_i, lead_ii, lead_ii - lead_i, -(lead_i + lead_ii) / 2]
    limb += [lead_i - lead_ii / 2, lead_ii - lead_i / 2]
    return np.vstack([*limb, *eight[2:]])


def write_wfdb(
    folder: Path,
    name: str,
    signal: Millivolts,
    leads: tuple[str, ...] = LEADS,
    units: str = "mV",
    comments: tuple[str, ...] = (),
) -> Path:
    """Write format 16, 1000 counts per unit, 500 Hz; returns the header's path."""
    wfdb.wrsamp(
        name,
        fs=500,
        units=[units] * len(leads),
        sig_name=list(leads),
        p_signal=signal.T,
        fmt=["16"] * len(leads),
        adc_gain=[1000.0] * len(leads),
        baseline=[0] * len(leads),
        comments=list(comments),
        write_dir=str(folder),
    )
    return folder / f"{name}.hea"


def write_muse(folder: Path, name: str, *changes: tuple[str, str]) -> Path:
    """A real MUSE export with texts replaced; each must be there."""
    text = MUSE.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
