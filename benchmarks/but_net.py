"""Everything but the net: recordings a second and core-ms with a scorer that computes nothing.

The product's own engine, from a folder to rows: look, claim, read, check, prepare, write; the
runtime answers with constants (`benchmarks.null_runtime`). No core is busy with a net, so each has
a reader process. WFDB, MUSE and half of each, into SQLite and PostgreSQL, with both presets,
interleaved. A sample during which other processes took over 5 % of the machine is measured again.
On PostgreSQL, `server_core_ms` is what the server took beside the client's `core_ms`.

Run with `python -m benchmarks.but_net [--quick] [--files N] [--rounds N] [--write]`; JSON last.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import get_args

from benchmarks import kept, machine
from benchmarks.bundles import PRESETS, Preset, bundle_folder
from benchmarks.files import Mixture, write_files
from benchmarks.neighbours import sample
from benchmarks.runs import Stage, started
from benchmarks.say import last_line
from benchmarks.shares import Cost, rates
from benchmarks.tree import cpu_s
from ecgbatch.machine import cores
from tests.support.postgres import Postgres, find_binaries, new_server

N_FILES, N_ROUNDS, TRIES = 800, 3, 3
MIXTURES: tuple[Mixture, ...] = get_args(Mixture)
SQLITE, POSTGRESQL = "sqlite", "postgresql"


@dataclass(frozen=True, slots=True)
class Server:
    """A running PostgreSQL and its process."""

    postgres: Postgres
    pid: int


@dataclass(slots=True)
class Line:
    """One line of the table: its samples, and the server's core-ms beside them."""

    database: str
    preset: Preset
    mixture: Mixture
    stage: Stage
    server: Server | None
    samples: list[Cost] = field(default_factory=list)
    server_core_ms: list[float] = field(default_factory=list)

    def add(self, tries: int) -> None:
        """One more sample, the quietest of some tries."""
        found = sample(self._once, tries=tries)
        cost, server_core_ms = found.value
        self.samples.append(replace(cost, others=found.others))
        self.server_core_ms.append(server_core_ms)
        sys.stderr.write(
            f"{self.database} {self.preset} {self.mixture}: {cost.ecg_per_s:.0f} ECG/s, "
            f"{cost.core_ms:.2f} + {server_core_ms:.2f} core-ms\n"
        )

    def _once(self) -> tuple[Cost, float]:
        asked = self.stage.plan(bundle_folder("null", self.preset), is_null=True)
        plan = replace(asked, decoders=cores())
        try:
            with started(plan) as child:
                before = self._server_s()
                answer = child.work()
                server_s = self._server_s() - before
        finally:
            self.stage.drop(asked)
        if set(answer.finished) != {"scored"}:
            raise RuntimeError("not every file was scored")
        cost = Cost(answer.n, answer.seconds, answer.core_s)
        return cost, 1000.0 * server_s / answer.n

    def _server_s(self) -> float:
        return cpu_s(self.server.pid) if self.server else 0.0

    def figures(self) -> dict[str, object]:
        told: dict[str, object] = {"preset": self.preset, "files": self.mixture}
        told |= rates(self.samples)
        if self.server is not None:
            told["server_core_ms"] = round(median(self.server_core_ms), 3)
        return told


@contextmanager
def server() -> Iterator[Server | None]:
    """A PostgreSQL server of the benchmark's own; None where there are no programs of it."""
    binaries = find_binaries()
    if binaries is None:
        yield None
        return
    home, process = new_server(binaries)
    try:
        yield Server(Postgres(home, count(1)), process.pid)
    finally:
        process.terminate()
        process.wait()


def measured(home: Path, n_files: int, n_rounds: int, tries: int) -> dict[str, list[Line]]:
    """All lines by database, `n_rounds` samples each."""
    for place, mixture in enumerate(MIXTURES):
        write_files(home / mixture, range(place * n_files, (place + 1) * n_files), mixture)
    with server() as running:
        databases = {SQLITE: None} | ({POSTGRESQL: running} if running else {})
        lines = {
            name: [
                Line(name, preset, mixture, stage, beside)
                for mixture, stage in _stages(home, name, beside)
                for preset in PRESETS
            ]
            for name, beside in databases.items()
        }
        for _ in range(n_rounds):
            for line in (line for of_one in lines.values() for line in of_one):
                line.add(tries)
    return lines


def _stages(home: Path, name: str, beside: Server | None) -> Iterator[tuple[Mixture, Stage]]:
    postgres = beside.postgres if beside else None
    for mixture in MIXTURES:
        yield mixture, Stage(home / f"{name}-{mixture}", home / mixture, postgres)


def rate_of(lines: list[Line], preset: Preset) -> float:
    """ECGs a second for half WFDB, half MUSE."""
    (line,) = (line for line in lines if (line.preset, line.mixture) == (preset, "both"))
    return round(median(one.ecg_per_s for one in line.samples), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="everything but the net")
    parser.add_argument("--files", type=int, default=N_FILES)
    parser.add_argument("--rounds", type=int, default=N_ROUNDS)
    parser.add_argument("--quick", action="store_true", help="40 files, one round, no repetition")
    parser.add_argument("--write", action="store_true", help="keep in benchmarks/results")
    stated = parser.parse_args()
    if stated.write and stated.quick:
        parser.error("a quick run is not kept")
    n_files = min(stated.files, 40) if stated.quick else stated.files
    n_rounds, tries = (1, 1) if stated.quick else (stated.rounds, TRIES)
    with TemporaryDirectory(prefix="but-net-") as home:
        lines = measured(Path(home), n_files, n_rounds, tries)
    answer = {
        **{
            f"{database}_{preset.replace('-', '_')}_per_s": rate_of(of_one, preset)
            for database, of_one in lines.items()
            for preset in PRESETS
        },
        "machine": machine.describe(),
        "files": n_files,
        "rounds": n_rounds,
        "databases": {name: [line.figures() for line in of_one] for name, of_one in lines.items()},
    }
    if stated.write:
        kept.keep("but_net", answer)
    last_line(answer)


if __name__ == "__main__":
    main()
