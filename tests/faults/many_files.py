"""Two looks at a large folder in a process of its own; prints what they took, as JSON."""

import json
import os
import re
import sys
import time
from itertools import islice
from pathlib import Path

from ecgbatch.sources.folder import FolderSource
from ecgbatch.store import ledger
from ecgbatch.store.engine import Engine, open_engine, transaction

BATCH = 500
HEADERS = 100
_opened = 0


def main(root: str, database: str, n_files: int, n_new: int) -> None:
    engine = open_engine(f"sqlite:///{database}")
    with transaction(engine) as connection:
        source_id = ledger.ensure_source(
            connection, "many", kind="folder", root=root, authority="MRN", time_zone=None
        )
    sys.addaudithook(_count)
    idle = _memory("VmRSS")
    make(root, "a", n_files - HEADERS, ".xml")
    make(root, "h", HEADERS, ".hea")
    first = _look(engine, source_id, Path(root))
    make(root, "b", n_new, ".xml")
    second = _look(engine, source_id, Path(root))
    engine.dispose()
    peak = {"idle_bytes": idle, "peak_bytes": _memory("VmHWM")}
    sys.stdout.write(json.dumps({"first": first, "second": second} | peak))


def make(root: str, prefix: str, n_files: int, suffix: str) -> None:
    """Empty files."""
    folder = os.open(root, os.O_RDONLY)
    for number in range(n_files):
        os.mknod(f"{prefix}{number:06}{suffix}", dir_fd=folder)
    os.close(folder)


def _look(engine: Engine, source_id: int, root: Path) -> dict[str, float]:
    """As a run does it: sightings to the ledger in batches, each a transaction."""
    global _opened  # noqa: PLW0603 - an audit hook cannot be taken away again
    _opened = 0
    started, items = time.monotonic(), 0
    sightings = FolderSource(root, 1 << 25).scan()
    while batch := list(islice(sightings, BATCH)):
        items += len(batch)
        with transaction(engine) as connection:
            ledger.note(connection, source_id, batch)
    return {"items": items, "opened": _opened, "seconds": round(time.monotonic() - started, 1)}


def _count(event: str, arguments: tuple[object, ...]) -> None:
    global _opened  # noqa: PLW0603
    if event == "open" and os.fsdecode(str(arguments[0])).rstrip("'").endswith((".xml", ".hea")):
        _opened += 1


def _memory(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
