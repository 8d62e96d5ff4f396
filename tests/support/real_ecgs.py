"""The real 12-lead ECGs of the test data, as other programs decoded them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ecgbatch.records import Millivolts, Recording
from ecgbatch.terms import LEADS, WINDOW_S

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
_EIGHT = ("I", "II", *LEADS[6:])
_SAME_RECORDING_MV = 0.03


def recording(
    signal: Millivolts, sampling_frequency: float = 500.0, leads: tuple[str, ...] = LEADS
) -> Recording:
    """A recording around an array (n_leads, n_samples) in mV."""
    return Recording(
        signal=signal.copy(),
        lead_names=leads,
        sampling_frequency=sampling_frequency,
        signal_digest="0" * 64,
        format="wfdb",
        reader="wfdb",
        reader_version="1",
    )


def real_ecgs(folders: Iterable[Path] = (SAMPLES,)) -> dict[str, Recording]:
    """Each recording once, whatever it is stored in: twelve leads, 9.8 s or more, no holes.

    What a program made up (`synthetic` in the name) is left out.
    """
    kept: dict[str, Recording] = {}
    for path in sorted(path for folder in folders for path in folder.glob("**/*.expected.npz")):
        if "synthetic" in path.name:
            continue
        for ecg in _twelve_leads(path):
            if not any(_is_same(ecg, other) for other in kept.values()):
                kept[path.name.removesuffix(".expected.npz")] = ecg
    return kept


def _twelve_leads(path: Path) -> Iterator[Recording]:
    with np.load(path, allow_pickle=False) as truth:
        rows = {str(name).upper(): row for row, name in enumerate(truth["leads"])}
        stored = truth["signal_mv"].astype(np.float64)
        rate = float(truth["fs"])
    if not {name.upper() for name in _EIGHT} <= rows.keys():
        return
    lead_i, lead_ii = stored[rows["I"]], stored[rows["II"]]
    derived = {
        "III": lead_ii - lead_i,
        "aVR": -(lead_i + lead_ii) / 2,
        "aVL": lead_i - lead_ii / 2,
        "aVF": lead_ii - lead_i / 2,
    }
    signal = np.stack(
        [stored[rows[name.upper()]] if name.upper() in rows else derived[name] for name in LEADS]
    )[:, : round(WINDOW_S * rate)]
    if np.isfinite(signal).all() and signal.shape[1] >= 0.98 * WINDOW_S * rate:
        yield recording(signal, rate)


def _is_same(one: Recording, other: Recording) -> bool:
    if one.signal.shape != other.signal.shape:
        return False
    return bool(np.abs(one.signal - other.signal).max() < _SAME_RECORDING_MV)
