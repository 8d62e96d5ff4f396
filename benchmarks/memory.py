"""Peak memory with the full net, and memory and cost as the archive grows, with a small net.

Memory is the sum of PSS over all processes of the engine, looked at every 0.2 s, start-up with it.
For growth one process works through portions of 1,000 recordings into one database: a portion is
made, scored and deleted, so that 100,000 recordings need no more disk than one portion, and the
database holds them all. What is said of a size is the median of the last five portions before it.

Run with `python -m benchmarks.memory [--runtime NAME] [--files N] [--quick] [--write]`; JSON last.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import kept, machine
from benchmarks.bundles import bundle_folder
from benchmarks.child import Answer
from benchmarks.end_to_end import peak_mb
from benchmarks.files import write_files
from benchmarks.neighbours import Watch
from benchmarks.runs import Stage, default_runtime, started
from benchmarks.say import last_line

SIZES = (1_000, 10_000, 100_000)
PORTION = 1_000
N_FULL = 300
_LAST = 5


@dataclass(frozen=True, slots=True)
class Portion:
    """One portion of the archive.

    Attributes:
        size: recordings in the database after it.
        peak_mb: largest memory while it was scored.
        file_bytes: of its recordings on disk.
        others: share of the machine that other processes took.
    """

    size: int
    answer: Answer
    peak_mb: float
    file_bytes: int
    others: float


def full_net(home: Path, runtime: str, n_files: int) -> float:
    """Largest memory in MB with the full net and the preset `ecgfounder`."""
    write_files(home / "records", range(n_files))
    stage = Stage(home / "databases", home / "records")
    return peak_mb(stage.plan(bundle_folder("full", "ecgfounder"), {"runtime": runtime}))


def grown(home: Path, runtime: str, n_files: int, portion: int) -> Iterator[Portion]:
    """Portion after portion into one database, in one process."""
    source = home / "records"
    source.mkdir(parents=True)
    stage = Stage(home / "databases", source)
    plan = stage.plan(bundle_folder("small", "anyecg-ccta"), {"runtime": runtime})
    with started(plan, is_watched=True) as child:
        for first in range(0, n_files, portion):
            numbers = range(first, min(first + portion, n_files))
            shutil.rmtree(source)
            n_bytes = write_files(source, numbers)
            if child.memory is not None:
                child.memory.reset()
            with Watch() as watch:
                answer = child.work()
            if answer.finished != {"scored": len(numbers)}:
                raise RuntimeError("not every file was scored")
            peak = child.memory.peak_mb if child.memory else 0.0
            yield Portion(numbers.stop, answer, peak, n_bytes, watch.others)


def at_size(portions: Sequence[Portion], size: int) -> dict[str, object] | None:
    """What scoring costs when the archive has this size; None if it was not reached."""
    before = [one for one in portions if one.size <= size]
    if not before or before[-1].size != size:
        return None
    last = before[-_LAST:]
    answers = [one.answer for one in last]
    return {
        "recordings": size,
        "peak_pss_mb": round(max(one.peak_mb for one in before), 1),
        "ecg_per_s": round(median(one.n / one.seconds for one in answers), 1),
        "core_ms": round(median(1000.0 * one.core_s / one.n for one in answers), 3),
        "look_s": round(median(one.look_s for one in answers), 3),
        "closing_s": round(median(one.closing_s for one in answers), 3),
        "database_bytes": last[-1].answer.database_bytes,
        "others": round(max(one.others for one in last), 3),
    }


def growth(portions: Sequence[Portion], sizes: Sequence[int]) -> dict[str, object]:
    """All sizes, and what follows from the first and the last."""
    told = [one for size in sizes if (one := at_size(portions, size)) is not None]
    first, last = portions[0], portions[-1]
    n_later = last.size - first.size
    more_bytes = last.answer.database_bytes - first.answer.database_bytes
    peaks = [one.peak_mb for one in portions]
    return {
        "sizes": told,
        "recordings": last.size,
        "runtime": last.answer.runtime,
        "peak_over_first": round(max(peaks) / first.peak_mb, 3) if first.peak_mb else None,
        "database_bytes_per_ecg": round(more_bytes / n_later) if n_later else None,
        "file_bytes_per_ecg": round(sum(one.file_bytes for one in portions) / last.size),
        "startup_s": round(median(one.answer.startup_s for one in portions), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="memory, and cost as the archive grows")
    parser.add_argument("--runtime", default=default_runtime())
    parser.add_argument("--files", type=int, default=SIZES[-1])
    parser.add_argument("--portion", type=int, default=PORTION)
    parser.add_argument("--quick", action="store_true", help="60 files; the full net on 8")
    parser.add_argument("--write", action="store_true", help="keep in benchmarks/results")
    stated = parser.parse_args()
    if stated.write and stated.quick:
        parser.error("a quick run is not kept")
    n_files, portion, n_full = stated.files, stated.portion, N_FULL
    sizes: tuple[int, ...] = SIZES
    if stated.quick:
        n_files, portion, n_full, sizes = 60, 20, 8, (20, 60)
    portions = []
    with TemporaryDirectory(prefix="memory-") as home:
        peak = full_net(Path(home) / "full", stated.runtime, n_full)
        for one in grown(Path(home) / "grown", stated.runtime, n_files, portion):
            portions.append(one)
            rate = one.answer.n / one.answer.seconds
            sys.stderr.write(f"{one.size}: {rate:.0f} ECG/s, {one.peak_mb:.0f} MB\n")
    answer = {
        "peak_pss_mb": round(peak, 1),
        "machine": machine.describe(),
        "growth": growth(portions, sizes),
    }
    if stated.write:
        kept.keep("memory", answer)
    last_line(answer)


if __name__ == "__main__":
    main()
