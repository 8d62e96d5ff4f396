"""How long the command takes to start: `--help`, and `run-once` with nothing to do.

Fresh processes each time; files are in the page cache. Wall seconds count; CPU seconds stand
beside them, for they say what a machine that others use would do when quiet. Run with
`python -m benchmarks.startup`, or `make bench-startup`; the last line is JSON.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import kept, machine
from benchmarks.neighbours import TRIES, Sample, sample
from benchmarks.say import last_line, progress
from ecgbatch.resources import demonstration

GOALS_S = {"help": 0.3, "run_once": 2.0}
_HEAVIEST = 8
_IN_MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds of one process: on the wall, and CPU with its children."""

    wall_s: float
    cpu_s: float


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as place:
        database = f"sqlite:///{Path(place) / 'startup.db'}"
        score = ["run-once", "--source", str(demonstration("samples")), "--db", database]
        score += ["--settle", "0"]
        _start(score)  # the second run has nothing to do
        commands = {"help": ["--help"], "run_once": score}
        starts: dict[str, list[Sample[Start]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                starts[name].append(sample(partial(_start, command), tries=options.tries))
                progress(f"{name}: {starts[name][-1].value.wall_s:.2f} s")
        answer: dict[str, object] = {"benchmark": "startup", "machine": machine.describe()}
        for name, command in commands.items():
            answer[name] = _figures(starts[name], GOALS_S[name], heaviest_imports(command))
    if options.write:
        kept.keep("startup", answer)
    last_line(answer)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tries", type=int, default=TRIES, help="of a disturbed sample")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--write", action="store_true", help="keep in benchmarks/results")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.tries = 1, 1
    return options


def _start(command: Sequence[str]) -> Start:
    """Raises: CalledProcessError, the command failed; 1, for ECGs that wait, is none."""
    before, started = os.times(), time.perf_counter()
    _ecgbatch(command)
    seconds, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system
    return Start(seconds, cpu - before.children_user - before.children_system)


def _ecgbatch(command: Sequence[str], *of_python: str) -> str:
    """Its standard error."""
    whole = [sys.executable, *of_python, "-m", "ecgbatch", *command]
    # Compiled modules are kept beside the sources, as an installation keeps them.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(  # noqa: S603 - ours
        whole, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode not in {0, 1}:
        raise subprocess.CalledProcessError(done.returncode, "ecgbatch")
    return done.stderr


def heaviest_imports(command: Sequence[str]) -> dict[str, int]:
    """Packages and the milliseconds that loading them took, own modules of each summed."""
    of_package: dict[str, float] = {}
    for line in _ecgbatch(command, "-X", "importtime").splitlines():
        took, bar, rest = line.removeprefix("import time:").partition("|")
        if line.startswith("import time:") and bar and took.strip().isdigit():
            package = rest.rpartition("|")[2].strip().split(".", 1)[0]
            of_package[package] = of_package.get(package, 0.0) + int(took) / _IN_MICROSECONDS
    heaviest = sorted(of_package, key=lambda name: -of_package[name])[:_HEAVIEST]
    return {name: round(of_package[name] * 1000) for name in heaviest}


def _figures(
    starts: Sequence[Sample[Start]], goal_s: float, imports: dict[str, int]
) -> dict[str, object]:
    walls = [one.value.wall_s for one in starts]
    return {
        "wall_s": round(median(walls), 3),
        "wall_from_s": round(min(walls), 3),
        "wall_to_s": round(max(walls), 3),
        "cpu_s": round(median(one.value.cpu_s for one in starts), 3),
        "goal_s": goal_s,
        "starts": len(starts),
        "disturbed": sum(one.disturbed for one in starts),
        "imports_ms": imports,
    }


if __name__ == "__main__":
    main()
