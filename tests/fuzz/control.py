"""The same damage, read by the wfdb library: a measure that sees nothing there is blind."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import wfdb
from numpy.typing import NDArray

from ecgbatch.records import RecordingBytes
from tests.fuzz.corpus import Seed
from tests.fuzz.mutators import dice, mutant

_LARGEST_HEADER = 64 << 10


def silent_changes_of_wfdb(seeds: Sequence[Seed], turns: range) -> tuple[int, int]:
    """How many damaged records the library reads, and how many of them as other samples."""
    accepted = silent = 0
    for turn in turns if seeds else ():
        source = seeds[turn % len(seeds)].source
        damaged = mutant(source, dice("wfdb", turn))
        before, after = _samples(source), _samples(damaged)
        accepted += after is not None
        silent += after is not None and not _is_equal(before, after)
    return accepted, silent


def _samples(source: RecordingBytes) -> NDArray[np.float64] | None:
    if len(source.first) > _LARGEST_HEADER:
        return None
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = Path(folder) / "control"
        name.with_suffix(".hea").write_bytes(source.first)
        for member in source.members[1:]:
            (Path(folder) / member.name).write_bytes(member.content)
        try:
            signal: NDArray[np.float64] | None = wfdb.rdrecord(str(name)).p_signal
        except Exception:  # noqa: BLE001 - whatever it is, it was noticed
            return None
    return signal


def _is_equal(before: NDArray[np.float64] | None, after: NDArray[np.float64]) -> bool:
    return before is not None and np.array_equal(before, after, equal_nan=True)
