"""The `ecgfounder` preparation of 12 x 5000 samples: as published, by scipy, and by machine code.

CPU milliseconds of this process, the three ways turn by turn. The published way filters lead
after lead with `filtfilt` and `medfilt` and designs its filters for each ECG. Run with
`python -m benchmarks.preparation`; the last line is JSON.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal as scipy_signal

from benchmarks import kept
from benchmarks.ratio import summary
from ecgbatch.preprocessing import filters
from ecgbatch.preprocessing.apply import prepare
from ecgbatch.preprocessing.spec import preset
from ecgbatch.readers.wfdb import read
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.resources import demonstration

Array = NDArray[np.float64]

ROUNDS = 100
PER_ROUND = 5
LARGEST_DIFFERENCE = 1e-4
"""Between published and ours, in standard deviations: their filters start from a state that is
known to some digits only (docs/why/0010)."""
ECGFOUNDER = preset("ecgfounder")
ANYECG = preset("anyecg-ccta")


def main() -> None:
    options = kept.parsed(kept.parser("the preparation, three ways", "two rounds"))
    signal = _sample()
    code = filters.warm()
    ways: dict[str, Callable[[], Array]] = {
        "published": lambda: _published(signal),
        "scipy": _chosen(signal, None),
        "anyecg_ccta": lambda: prepare(signal, 500.0, ANYECG.steps)[0],
    }
    if code is not None:
        ways["numba"] = _chosen(signal, code)
    _check(ways)
    n_rounds = 2 if options.quick else ROUNDS
    rounds = [{name: _cpu_ms(way) for name, way in ways.items()} for _ in range(n_rounds)]
    times = {f"{name}_ms": float(np.median([r[name] for r in rounds])) for name in ways}
    ratios = {}
    for slower, faster in (("published", "scipy"), ("published", "numba"), ("scipy", "numba")):
        if faster in ways:
            pairs = [(r[slower], r[faster]) for r in rounds]
            sys.stdout.write(summary(slower, faster, pairs))
            ratios[f"{slower}_over_{faster}"] = float(np.median([a / b for a, b in pairs]))
    figures = {name: round(value, 3) for name, value in (times | ratios).items()}
    kept.tell("preparation", figures, is_kept=options.write)


def _sample() -> Array:
    folder = demonstration("samples") / "wfdb"
    members = ((folder / name) for name in ("E07500.hea", "E07500.mat"))
    return read(RecordingBytes(tuple(Member(p.name, p.read_bytes()) for p in members))).signal


def _chosen(signal: Array, code: Path | None) -> Callable[[], Array]:
    filters.use(code)
    way = filters.filters()

    def prepared() -> Array:
        filters.use_these(way)
        return prepare(signal, 500.0, ECGFOUNDER.steps)[0]

    return prepared


def _published(signal: Array) -> Array:
    filtered = np.zeros_like(signal)
    b, a = scipy_signal.iirnotch(50.0, 30.0, 500.0)
    for lead in range(len(signal)):
        filtered[lead] = scipy_signal.filtfilt(b, a, signal[lead])
    b, a = scipy_signal.butter(4, (0.67, 40.0), "bandpass", fs=500.0)
    baseline = np.zeros_like(signal)
    for lead in range(len(signal)):
        filtered[lead] = scipy_signal.filtfilt(b, a, filtered[lead])
        baseline[lead] = scipy_signal.medfilt(filtered[lead], 201)
    filtered -= baseline
    scored: Array = (filtered - filtered.mean()) / (filtered.std() + 1e-8)
    return scored


def _check(ways: dict[str, Callable[[], Array]]) -> None:
    if "numba" in ways and ways["numba"]().tobytes() != ways["scipy"]().tobytes():
        sys.exit("the two ways differ")
    if np.abs(ways["published"]() - ways["scipy"]()).max() > LARGEST_DIFFERENCE:
        sys.exit("ours is not the published preparation")


def _cpu_ms(way: Callable[[], Array]) -> float:
    started = time.process_time()
    for _ in range(PER_ROUND):
        way()
    return (time.process_time() - started) / PER_ROUND * 1000


if __name__ == "__main__":
    main()
