"""What the quality checks cost: CPU milliseconds per ECG, each check and all together.

On the real 12-lead ECGs of the test data of 12 x 5000 samples, most of which have no finding. A
check that asks first for what others use too (the spectrum, the beats) pays for it. The last line
is JSON. Run with `python -m benchmarks.quality`.
"""

import sys
import time
from statistics import fmean, median

import numpy as np

from benchmarks import kept
from ecgbatch.quality.checks import CHECKS, check
from ecgbatch.quality.window import Window
from ecgbatch.records import Recording
from ecgbatch.settings import load_settings
from tests.support.real_ecgs import real_ecgs

ROUNDS = 60
_SETTINGS = load_settings(environment={})


def main() -> None:
    options = kept.parsed(kept.parser("the quality checks", "two rounds"))
    n_rounds = 2 if options.quick else ROUNDS
    ecgs = [ecg for ecg in real_ecgs().values() if ecg.signal.shape == (12, 5000)]
    lowest, middle = zip(*(_total_ms(ecg, n_rounds) for ecg in ecgs), strict=True)
    per_check = [_per_check_ms(ecg, n_rounds) for ecg in ecgs]
    by_check = {one.__name__: fmean(times[one.__name__] for times in per_check) for one in CHECKS}
    for name, cost in by_check.items():
        sys.stdout.write(f"{name:24}{cost:7.3f} ms\n")
    sys.stdout.write(
        f"all checks, {len(ecgs)} ECGs: mean of the medians {fmean(middle):.2f} ms, of the lowest "
        f"{fmean(lowest):.2f} ms, dearest ECG {max(middle):.2f} ms\n"
    )
    figures = {"cpu_ms": fmean(middle), "cpu_ms_lowest": fmean(lowest), "by_check": by_check}
    kept.tell("quality", figures, is_kept=options.write)


def _total_ms(ecg: Recording, n_rounds: int) -> tuple[float, float]:
    """Lowest and median of the rounds."""
    times = []
    for _ in range(n_rounds):
        started = time.process_time()
        check(ecg, _SETTINGS.quality, _SETTINGS.eligibility)
        times.append(1000 * (time.process_time() - started))
    return min(times), median(times)


def _per_check_ms(ecg: Recording, n_rounds: int) -> dict[str, float]:
    """Medians; what refuses does not end a round here."""
    times: dict[str, list[float]] = {one.__name__: [] for one in CHECKS}
    for _ in range(n_rounds):
        window = Window.of(ecg)
        with np.errstate(over="ignore", invalid="ignore"):
            for one in CHECKS:
                started = time.process_time()
                one(window, _SETTINGS.quality)
                times[one.__name__].append(1000 * (time.process_time() - started))
    return {name: median(of_one) for name, of_one in times.items()}


if __name__ == "__main__":
    main()
