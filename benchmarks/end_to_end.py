"""Files to rows, with quality checks and ledger, at full geometry, against the published way.

WFDB records and MUSE exports take turns. In every round all sides are measured one after the other,
each in a fresh process, without start-up: the published way (`benchmarks.published`), the product
in each precision, everything but the net (null scorer), and the net alone. A sample during which
other processes took over 5 % of the machine is measured again. Other core-ms, and so the bound,
come from the null scorer; total minus net stands beside it. Memory is that of a run of its own,
which also converts the bundle for the runtime.

Run with `python -m benchmarks.end_to_end [--runtime NAME] [--quick] [--minutes M] [--write]`.
JSON as the last line; `share_of_bound` there is the smallest of the precisions.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import kept, machine
from benchmarks.agreement import largest_difference
from benchmarks.bundles import PRESETS, Kind, Preset, bundle_folder
from benchmarks.child import Plan
from benchmarks.files import write_files
from benchmarks.neighbours import sample
from benchmarks.runs import Stage, default_runtime, environment, started
from benchmarks.say import last_line
from benchmarks.shares import Cost, against_bound, rates, ratio

N_FILES, N_PUBLISHED, N_MEMORY = 800, 192, 120
N_ROUNDS, MINUTES = 4, 9.0
NET_S = 5.0
TRIES = 3
PUBLISHED, NULL = "published", "null"


@dataclass(slots=True)
class Bench:
    """Sizes, and what all samples share."""

    home: Path
    net: Kind
    runtime: str
    precisions: tuple[str, ...]
    n_files: int
    n_published: int
    tries: int
    net_s: float
    until: float

    @property
    def source(self) -> Path:
        return self.home / "records"

    def scoring(self, precision: str) -> dict[str, str | int]:
        return {"runtime": self.runtime, "precision": precision}


@dataclass(slots=True)
class Series:
    """The samples of one preset, round by round."""

    preset: Preset
    samples: dict[str, list[Cost]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)
    page_faults: list[float] = field(default_factory=list)
    at_the_ends_s: list[float] = field(default_factory=list)
    difference: float | None = None

    def add(self, side: str, cost: Cost) -> None:
        self.samples.setdefault(side, []).append(cost)
        _say(f"{self.preset} {side}: {cost.ecg_per_s:.1f} ECG/s, {cost.core_ms:.2f} core-ms")


def one_round(bench: Bench, stage: Stage, series: Series) -> None:
    """Every side once, one after the other."""
    bundle, table = bundle_folder(bench.net, series.preset), bench.home / "published.csv"
    cost, told = _quiet(bench, partial(_published, bundle, table, bench))
    series.add(PUBLISHED, cost)
    series.page_faults.append(told["page_faults"] / told["n"])
    for precision in bench.precisions:
        cost, told = _quiet(bench, partial(_ours, bench, stage, series.preset, precision, table))
        series.add(precision, cost)
        series.names[precision] = told["runtime"]
        series.at_the_ends_s.append(told["at_the_ends_s"])
        if series.difference is None:
            series.difference = told["difference"]
    series.add(NULL, _quiet(bench, partial(_null, stage, series.preset))[0])
    for precision in bench.precisions:
        # By the name on the rows: what the settings stood for.
        scoring = {**bench.scoring(precision), "runtime": series.names[precision].split()[0]}
        cost, _ = _quiet(bench, partial(_net, bundle, bench.net_s, scoring))
        series.add(f"net {precision}", cost)


Told = Mapping[str, Any]


def _quiet(bench: Bench, measure: Callable[[], tuple[Cost, Told]]) -> tuple[Cost, Told]:
    """The quietest of some tries; of one, once the time is up."""
    found = sample(measure, tries=bench.tries if time.monotonic() < bench.until else 1)
    cost, told = found.value
    return replace(cost, others=found.others), told


def _published(bundle: Path, table: Path, bench: Bench) -> tuple[Cost, Told]:
    arguments = (str(bundle), str(table), str(bench.source), str(bench.n_published))
    return _told("benchmarks.published", *arguments)


def _net(bundle: Path, seconds: float, scoring: Mapping[str, object]) -> tuple[Cost, Told]:
    return _told("benchmarks.net_alone", str(bundle), str(seconds), json.dumps(scoring))


def _told(module: str, *arguments: str) -> tuple[Cost, Told]:
    """What a module that measures itself prints last."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(  # noqa: S603 - our own modules
        command, check=True, env=environment(), stdout=subprocess.PIPE, text=True
    )
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return Cost(told["n"], told["seconds"], told["core_s"]), told


def _ours(
    bench: Bench, stage: Stage, preset: Preset, precision: str, table: Path
) -> tuple[Cost, Told]:
    plan = stage.plan(bundle_folder(bench.net, preset), bench.scoring(precision))
    try:
        cost, told = _worked(plan)
        return cost, {**told, "difference": largest_difference(plan.url, table)}
    finally:
        stage.drop(plan)


def _null(stage: Stage, preset: Preset) -> tuple[Cost, Told]:
    plan = stage.plan(bundle_folder("null", preset), is_null=True)
    try:
        return _worked(plan)
    finally:
        stage.drop(plan)


def _worked(plan: Plan) -> tuple[Cost, Told]:
    with started(plan) as child:
        answer = child.work()
    if set(answer.finished) != {"scored"}:
        raise RuntimeError("not every file was scored")
    told = {"runtime": answer.runtime, "at_the_ends_s": answer.look_s + answer.closing_s}
    return Cost(answer.n, answer.seconds, answer.core_s), told


def peak_mb(plan: Plan) -> float:
    """Largest memory of a run, its start-up with it."""
    with started(plan, is_watched=True) as child:
        child.work()
        return child.memory.peak_mb if child.memory else 0.0


def figures(series: Series, cores: int) -> dict[str, object]:
    """What is said of one preset."""
    samples = series.samples
    told: dict[str, object] = {
        PUBLISHED: {
            **rates(samples[PUBLISHED]),
            "page_faults_per_ecg": round(median(series.page_faults)),
        },
        "everything_but_the_net": rates(samples[NULL]),
        "largest_difference_of_probability": series.difference,
        "look_and_closing_s": round(median(series.at_the_ends_s), 3),
    }
    for precision, runtime in series.names.items():
        ours, nets = samples[precision], samples[f"net {precision}"]
        told[precision] = {
            "runtime": runtime,
            **rates(ours),
            "over_published": ratio(ours, samples[PUBLISHED]),
            **against_bound(ours, nets, samples[NULL], cores),
            "peak_pss_mb": round(series.memory_mb[precision], 1),
        }
    return told


def measured(bench: Bench, n_rounds: int, n_memory: int) -> dict[str, object]:
    """All presets; rounds end early where the time is up."""
    write_files(bench.source, range(bench.n_files))
    write_files(bench.home / "few", range(n_memory))
    stage = Stage(bench.home / "databases", bench.source)
    few = Stage(bench.home / "few-databases", bench.home / "few")
    every = [Series(preset) for preset in PRESETS]
    for series in every:
        bundle = bundle_folder(bench.net, series.preset)
        for precision in bench.precisions:
            plan = few.plan(bundle, bench.scoring(precision))
            series.memory_mb[precision] = peak_mb(plan)
            few.drop(plan)
    n_done, longest_s = 0, 0.0
    while n_done < n_rounds and (not n_done or time.monotonic() + longest_s < bench.until):
        began = time.monotonic()
        for series in every:
            one_round(bench, stage, series)
        n_done, longest_s = n_done + 1, max(longest_s, time.monotonic() - began)
    cores = machine.usable_cores()
    return {
        "machine": machine.describe(),
        "net": bench.net,
        "files": bench.n_files,
        "files_published": bench.n_published,
        "rounds": n_done,
        "presets": {series.preset: figures(series, cores) for series in every},
    }


def summary(answer: Mapping[str, Any]) -> dict[str, object]:
    """The figures that are asked for by name, of preset `ecgfounder`."""
    told = answer["presets"]["ecgfounder"]
    ours = {name: told[name] for name in ("fp32", "bf16") if name in told}
    over = {name: one["over_published"]["median"] for name, one in ours.items()}
    return {
        "fp32_over_published": over.get("fp32"),
        "bf16_over_published": over.get("bf16"),
        "share_of_bound": min(one["share_of_bound"]["median"] for one in ours.values()),
        "other_core_ms": told["everything_but_the_net"]["core_ms"],
        "peak_pss_mb": max(one["peak_pss_mb"] for one in ours.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="files to rows against the published way")
    parser.add_argument("--runtime", default=default_runtime())
    parser.add_argument("--files", type=int, default=N_FILES)
    parser.add_argument("--rounds", type=int, default=N_ROUNDS)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="no round begins after it")
    parser.add_argument("--net", choices=("full", "small"), default="full", help="small: to try it")
    parser.add_argument("--quick", action="store_true", help="80 files, one round, no repetition")
    parser.add_argument("--write", action="store_true", help="keep in benchmarks/results")
    stated = parser.parse_args()
    if stated.write and (stated.quick or stated.net != "full"):
        parser.error("only the full net and all files are kept")
    precisions = ("fp32", "bf16") if machine.has_bf16() else ("fp32",)
    if stated.runtime == "torch":
        precisions = ("fp32",)
    until = time.monotonic() + 60.0 * stated.minutes
    n_files = min(stated.files, 80) if stated.quick else stated.files
    with TemporaryDirectory(prefix="end-to-end-") as home:
        bench = Bench(
            home=Path(home),
            net=stated.net,
            runtime=stated.runtime,
            precisions=precisions,
            n_files=n_files,
            n_published=min(N_PUBLISHED, n_files),
            tries=1 if stated.quick else TRIES,
            net_s=1.0 if stated.quick else NET_S,
            until=until,
        )
        n_rounds = 1 if stated.quick else stated.rounds
        answer = measured(bench, n_rounds, min(N_MEMORY, n_files))
    answer = {**summary(answer), **answer}
    if stated.write:
        kept.keep("end_to_end", answer)
    last_line(answer)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
