"""The command line as a user has it: a process of its own."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ended:
    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def ecgbatch(*arguments: object, cwd: Path | None = None, **environment: str) -> Ended:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ECGBATCH_")}
    done = subprocess.run(
        [sys.executable, "-m", "ecgbatch", *map(str, arguments)],
        cwd=cwd,
        env={**clean, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def rows(database: Path, sql: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect(database)
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]
    finally:
        connection.close()


def everything_but_runs(database: Path) -> dict[str, list[dict[str, Any]]]:
    """What a run without work may not touch: all but `last_seen_at` and the scan's fence."""
    tables = rows(database, "SELECT name FROM sqlite_master WHERE type = 'table'")
    content = {t["name"]: rows(database, f"SELECT * FROM {t['name']}") for t in tables}
    for item in content["item"]:
        del item["last_seen_at"]
    for source in content["source"]:
        del source["scan_token"]
    return {name: found for name, found in content.items() if name != "run"}
