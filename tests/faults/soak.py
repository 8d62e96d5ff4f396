"""`make fault-soak`: 20,000 recordings through `serve`, with files arriving all the time.

Memory is the sum over the service, its workers and their reader processes, each page that several
share counted once. It is flat if the last quarter of the recordings needs at most 5 % more than
the second. The last line printed is JSON.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from tests.faults.field import Field, count, lay_out, n_finished
from tests.faults.page import write_figures
from tests.support.many import muse_ecg

_SETTINGS = """[work]
idle_s = 0.2
[service]
interval_s = 2
workers = 2
host = ""
"""
_AHEAD = 300
"""Files that are written before they are scored: there is always something to do."""
_PER_FOLDER = 1000
_FLAT = 1.05
_STALLED_S = 300.0


@dataclass(frozen=True)
class Sample:
    """Memory of all processes when so many recordings were finished."""

    finished: int
    memory_mb: float


def main() -> int:
    """Run it; 0 if nothing was lost or scored twice and memory was flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--write", action="store_true", help="the figures into docs/reliability.md")
    stated = parser.parse_args()
    n_files = stated.files
    with tempfile.TemporaryDirectory(prefix="ecgbatch-soak-") as home:
        url = f"sqlite:///{home}/r.db"
        field = lay_out(Path(home) / "field", url, settings=_SETTINGS)
        engine = field.engine()
        started = time.monotonic()
        samples, code = _soak(field, engine, n_files)
        seconds = time.monotonic() - started
        found = count(engine, n_files)
        engine.dispose()
        check = [sys.executable, "-m", "ecgbatch", "ledger", "check", "--db", url]
        holds = subprocess.run(check, check=False, capture_output=True).returncode == 0
    second, last = (_median(samples, n_files, quarter) for quarter in (1, 3))
    told = {
        "recordings": n_files,
        "seconds": round(seconds, 1),
        "lost": found.lost,
        "duplicates": found.twice,
        "second_quarter_mb": round(second, 1),
        "last_quarter_mb": round(last, 1),
        "growth": round(last / second - 1.0, 4),
        "exit_code": code,
        "ledger_holds": holds,
    }
    if stated.write:
        names = ("recordings", "seconds", "second_quarter_mb", "last_quarter_mb", "growth")
        write_figures("soak", names, [[told[name] for name in names]])
    sys.stdout.write(json.dumps(told) + "\n")
    is_well = not (found.lost or found.twice or code) and holds and last <= _FLAT * second
    return 0 if is_well else 1


def _soak(field: Field, engine: Engine, n_files: int) -> tuple[list[Sample], int]:
    service = subprocess.Popen(
        [sys.executable, "-m", "ecgbatch", "serve", "--allow-root", "--config", str(field.config)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=(field.home / "service.log").open("wb"),
    )
    samples: list[Sample] = []
    n_written, n_done, moved = 0, 0, time.monotonic()
    while n_done < n_files:
        while n_written < n_files and n_written - n_done < _AHEAD:
            _arrive(field.inbox, n_written)
            n_written += 1
        time.sleep(0.5)
        before, n_done = n_done, n_finished(engine)
        moved = time.monotonic() if n_done > before else moved
        if service.poll() is not None or time.monotonic() - moved > _STALLED_S:
            break
        samples.append(Sample(n_done, _memory_mb(service.pid)))
    service.send_signal(signal.SIGTERM)
    return samples, service.wait(60)


def _arrive(inbox: Path, number: int) -> None:
    """As a careful export writes: under another name first."""
    folder = inbox / f"{number // _PER_FOLDER:03d}"
    folder.mkdir(exist_ok=True)
    arriving = folder / f"ecg{number:06d}.xml.part"
    arriving.write_bytes(muse_ecg(number))
    arriving.rename(folder / f"ecg{number:06d}.xml")


def _median(samples: list[Sample], n_files: int, quarter: int) -> float:
    within = [
        sample.memory_mb
        for sample in samples
        if n_files * quarter <= 4 * sample.finished < n_files * (quarter + 1)
    ]
    return statistics.median(within)


def _memory_mb(pid: int) -> float:
    """Proportional share of a process and all below it, in MiB."""
    total_kb, waiting = 0, [pid]
    while waiting:
        one = Path(f"/proc/{waiting.pop()}")
        with suppress(OSError):
            for task in (one / "task").iterdir():
                waiting += map(int, (task / "children").read_text(encoding="ascii").split())
            for line in (one / "smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total_kb += int(line.split()[1])
    return total_kb / 1024


if __name__ == "__main__":
    sys.exit(main())
