"""The net alone, full geometry: every runtime, precision and batch against eager as published.

Each side has a child of its own; all sides of a batch take turns, with the product of matrices that
they are held against. `python -m benchmarks.net`, or `make bench-net`; the last line is JSON.
"""

import argparse
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import kept, machine
from benchmarks.full_net import FLOPS, full_bundle
from benchmarks.gemm import SIZE
from benchmarks.machine import has_bf16, usable_cores
from benchmarks.neighbours import TRIES, Sample, sample
from benchmarks.say import last_line, progress
from benchmarks.sides import GEMM, PUBLISHED
from benchmarks.worker import Measured, Worker
from ecgbatch.terms import Numerics

PLACE = Path("build") / "benchmarks"
PUBLISHED_BATCH = 64
BATCHES = (1, 8, 32, 64)
TUNED = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4294967296"
    ":glibc.malloc.trim_threshold=17179869184"
}
_ECGS = 64
_PRODUCTS = 4


@dataclass(frozen=True, slots=True)
class Side:
    """What a child is and what it has measured."""

    runtime: str
    precision: Numerics
    batch: int
    is_tuned: bool = False
    samples: list[Sample[Measured]] = field(default_factory=list, compare=False, hash=False)

    @property
    def label(self) -> str:
        return f"{self.runtime} {self.precision} {self.batch}" + " tuned" * self.is_tuned

    @property
    def rates(self) -> NDArray[np.float64]:
        """ECGs, or products, per second, round by round."""
        return np.array([one.value.rate for one in self.samples])

    @property
    def core_ms(self) -> NDArray[np.float64]:
        """CPU milliseconds for one ECG, round by round: what a busy machine hardly moves."""
        return np.array([one.value.cpu_s / one.value.n * 1000 for one in self.samples])

    def units(self, cores: int, ecgs: int) -> int:
        """How many make a sample: so many ECGs, but work for each stream."""
        streams = 1 if self.runtime in {PUBLISHED, "torch"} else cores
        return _PRODUCTS if self.runtime == GEMM else max(ecgs, self.batch * streams)


def sides(batch: int) -> list[Side]:
    """What takes turns at this batch beside the two ways of eager that all are held against."""
    found = [Side(name, Numerics.FP32, batch) for name in ("torch", "openvino", "onnx")]
    if has_bf16():
        found.append(Side("openvino", Numerics.BF16, batch))
    return found


@dataclass(frozen=True, slots=True)
class Group:
    """The sides of one batch, measured turn by turn."""

    published: Side
    tuned: Side
    gemms: dict[Numerics, Side]
    compared: list[Side]
    logits: dict[str, NDArray[np.float64]]

    @property
    def all(self) -> list[Side]:
        return [self.published, self.tuned, *self.gemms.values(), *self.compared]


def main() -> None:
    options = _options()
    began = time.monotonic()
    bundle = full_bundle(PLACE / "net-bundle")
    per_group = options.minutes * 60 / len(options.batches)
    groups = []
    for number, batch in enumerate(options.batches, start=1):
        until = began + number * per_group
        groups.append(_measured(_group(batch), bundle.location, options, until))
    answer = summary(groups)
    if options.write:
        kept.keep("net", answer)
    last_line(answer)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=7, help="begin no round after so many")
    parser.add_argument("--tries", type=int, default=TRIES, help="of a disturbed sample")
    parser.add_argument("--ecgs", type=int, default=_ECGS, help="in a sample, at least")
    parser.add_argument("--quick", action="store_true", help="batch 8, one round of few ECGs")
    parser.add_argument("--write", action="store_true", help="keep in benchmarks/results")
    options = parser.parse_args()
    if options.quick:
        options.batches, options.rounds, options.tries, options.ecgs = (8,), 1, 1, 16
    return options


def _group(batch: int) -> Group:
    precisions = [Numerics.FP32, Numerics.BF16] if has_bf16() else [Numerics.FP32]
    return Group(
        Side(PUBLISHED, Numerics.FP32, PUBLISHED_BATCH),
        Side(PUBLISHED, Numerics.FP32, PUBLISHED_BATCH, is_tuned=True),
        {precision: Side(GEMM, precision, 1) for precision in precisions},
        sides(batch),
        {},
    )


def _measured(group: Group, folder: Path, options: argparse.Namespace, until: float) -> Group:
    """Rounds until they are done or the time is up, at least one; all children end."""
    cores = usable_cores()
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(side, folder, cores)) for side in group.all]
        for side, worker in zip(group.all, workers, strict=True):
            progress(f"{side.label}: first pass")  # which allocates
            if side.runtime == GEMM:
                worker.run(_PRODUCTS)
            else:
                group.logits[side.label] = np.array(worker.ask("logits", options.ecgs))
        for turn in range(options.rounds):
            if turn and time.monotonic() > until:
                break
            for side, worker in zip(group.all, workers, strict=True):
                measure = partial(worker.run, side.units(cores, options.ecgs))
                side.samples.append(sample(measure, tries=options.tries))
            rates = ", ".join(f"{side.label}: {side.rates[-1]:.1f}/s" for side in group.all)
            progress(f"round {turn + 1}: {rates}")
    return group


def _worker(side: Side, folder: Path, cores: int) -> Worker:
    arguments = (side.runtime, side.precision, str(side.batch), str(cores), str(folder))
    return Worker("benchmarks.net_worker", arguments, TUNED if side.is_tuned else {})


# --- figures -----------------------------------------------------------------------------------


def summary(groups: Sequence[Group]) -> dict[str, object]:
    """Medians over rounds; ratios are taken within a round."""
    found = [_figures(side, group) for group in groups for side in group.compared]
    every = [one for group in groups for side in group.all for one in side.samples]
    return {
        "benchmark": "net",
        "machine": machine.describe(),
        "peaks_gflops": _peaks(groups),
        "published": _eager([group.published for group in groups]),
        "tuned": _eager([group.tuned for group in groups]),
        "tuned_over_published": _of_rounds(
            np.concatenate([group.tuned.rates / group.published.rates for group in groups])
        ),
        "sides": found,
        "fp32_over_published": _best(found, Numerics.FP32),
        "bf16_over_published": _best(found, Numerics.BF16),
        # As `benchmarks.end_to_end` says them; of the net alone there is neither.
        "share_of_bound": None,
        "other_core_ms": None,
        "peak_pss_mb": max((one["pss_mb"] for one in found), default=None),
        "samples": len(every),
        "disturbed_samples": sum(one.disturbed for one in every),
    }


def _figures(side: Side, group: Group) -> dict[str, Any]:
    gemm = group.gemms[side.precision].rates * 2 * SIZE**3
    difference = _sigmoid(group.logits[side.label]) - _sigmoid(group.logits[group.published.label])
    return {
        "runtime": side.runtime,
        "precision": side.precision,
        "batch": side.batch,
        "ecg_per_s": _of_rounds(side.rates),
        "ratio_to_published": _of_rounds(side.rates / group.published.rates),
        "ratio_to_tuned": _of_rounds(side.rates / group.tuned.rates),
        "share_of_peak": _of_rounds(side.rates * FLOPS / gemm),
        "faults_per_ecg": _median([one.value.faults / one.value.n for one in side.samples]),
        "core_ms": _median(side.core_ms),
        "core_ms_ratio_to_published": _of_rounds(group.published.core_ms / side.core_ms),
        "pss_mb": _median([one.value.pss_mb or 0.0 for one in side.samples]),
        "agreement": float(np.abs(difference).max()),
    }


def _eager(sides: Sequence[Side]) -> dict[str, object]:
    samples = [one.value for side in sides for one in side.samples]
    return {
        "ecg_per_s": _of_rounds(np.array([one.rate for one in samples])),
        "faults_per_ecg": _median([one.faults / one.n for one in samples]),
        "core_ms": _median([one.cpu_s / one.n * 1000 for one in samples]),
        "pss_mb": _median([one.pss_mb or 0.0 for one in samples]),
    }


def _peaks(groups: Sequence[Group]) -> dict[str, object]:
    peaks: dict[str, object] = {"fp32": None, "bf16": None}
    for precision in groups[0].gemms:
        rates = np.concatenate([group.gemms[precision].rates for group in groups])
        peaks[precision] = _of_rounds(rates * 2 * SIZE**3 / 1e9)
    return peaks


def _best(found: Sequence[dict[str, Any]], precision: Numerics) -> float | None:
    """The best median ratio; None where nothing was measured."""
    ratios = [
        ratio["median"]
        for one in found
        if one["precision"] == precision and isinstance(ratio := one["ratio_to_published"], dict)
    ]
    return max(ratios, default=None)


def _of_rounds(values: NDArray[np.float64]) -> dict[str, float]:
    """Median, smallest, largest, of four digits."""
    of_three = {"median": np.median(values), "low": values.min(), "high": values.max()}
    return {name: float(f"{value:.4g}") for name, value in of_three.items()}


def _median(values: Sequence[float] | NDArray[np.float64]) -> float:
    return round(float(np.median(values)), 1)


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits)))


if __name__ == "__main__":
    main()
