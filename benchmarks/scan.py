"""Looking through 1,000,000 names or rows: the scan, and a whole look into SQLite, first and next.

Each step runs in a process of its own, whose peak memory (VmHWM) is read at its end. Prints one
JSON object. Run with `python -m benchmarks.scan [FOLDER]`; FOLDER takes the files (default: a
temporary folder), which are removed afterwards.
"""

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ecgbatch.looking import Looker, conclude, look
from ecgbatch.settings import load_settings
from ecgbatch.sources.folder import FolderSource
from ecgbatch.sources.registry import open_source
from ecgbatch.store import ledger
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.store.migrate import migrate

TREES = ((1000, 1000), (1, 1_000_000))
"""Folders, and empty files in each."""
RECORDS = 100_000
ROWS = 1_000_000
_LIMIT = 1 << 25


def main() -> None:
    stated = sys.argv[1] if len(sys.argv) > 1 else None
    home = Path(tempfile.mkdtemp(prefix="scan-", dir=stated))
    try:
        answer = {}
        for folders, in_each in TREES:
            root = home / f"tree-{folders}"
            _make_tree(root, folders, in_each)
            answer[f"{folders} x {in_each} files"] = _answers(root)
        _make_records(home / "records")
        answer[f"1 x {RECORDS} headers with signal files"] = _answers(home / "records")
        _make_rows(home / "rows.db")
        answer[f"{ROWS} rows of an SQLite file"] = {"scan": _measured("rows", home / "rows.db")}
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    finally:
        shutil.rmtree(home)


def _answers(folder: Path) -> dict[str, dict[str, float]]:
    database = folder.with_suffix(".db")
    answers = {
        "scan": _measured("scan", folder),
        "first look": _measured("look", folder, database),
        "next look": _measured("look", folder, database),
    }
    shutil.rmtree(folder)
    return answers


def _make_tree(root: Path, folders: int, in_each: int) -> None:
    for number in range(folders):
        folder = root / f"ward-{number:04d}"
        folder.mkdir(parents=True)
        for file in range(in_each):
            (folder / f"{number:04d}-{file:07d}.xml").touch()


def _make_records(root: Path) -> None:
    root.mkdir()
    for number in range(RECORDS):
        name = f"r{number:06d}"
        (root / f"{name}.dat").touch()
        (root / f"{name}.hea").write_text(f"{name} 1 500 2\n{name}.dat 16 200/mV 16 0 1 3 0 I\n")


def _make_rows(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE ecg (id INTEGER PRIMARY KEY, changed_at, content)")
        rows = ((f"2026-03-01 {n // 3600 % 24:02d}:{n // 60 % 60:02d}:00",) for n in range(ROWS))
        connection.executemany("INSERT INTO ecg (changed_at, content) VALUES (?, x'00')", rows)


def _measured(step: str, *paths: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scan", step, *map(str, paths)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def _step(step: str, *stated: str) -> None:
    paths = [Path(one) for one in stated]
    if step == "look":
        migrate(f"sqlite:///{paths[1]}")
    started = time.perf_counter()
    steps: dict[str, Callable[..., int]] = {"scan": _scan, "rows": _scan_rows, "look": _look}
    n_seen = steps[step](*paths)
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (peak,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    answer = {"items": n_seen, "seconds": round(seconds, 1), "peak_mib": round(peak / 1024)}
    sys.stdout.write(json.dumps(answer))


def _scan(folder: Path) -> int:
    return sum(1 for _ in FolderSource(folder, _LIMIT).scan())


def _scan_rows(database: Path) -> int:
    stated = {"kind": "database", "url": f"sqlite:///{database}", "query": "SELECT * FROM ecg"}
    with closing(open_source(load_settings(None, {"source": stated}, {}))) as source:
        return sum(1 for _ in source.scan())


def _look(folder: Path, database: Path) -> int:
    engine = open_engine(f"sqlite:///{database}")
    with transaction(engine) as connection:
        source_id = ledger.ensure_source(
            connection, "s", kind="folder", root="/", authority="", time_zone=None
        )
        run_id = ledger.start_run(connection, "run-once", source_id, "benchmark")
    looker = Looker(engine, FolderSource(folder, _LIMIT), source_id, run_id)
    conclude(looker, look(looker))
    with transaction(engine) as connection:
        return ledger.present_items(connection, source_id)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        _step(*sys.argv[1:])
    else:
        main()
