"""The command line as a user has it: a process of its own for every command."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import command_server


@dataclass(frozen=True)
class Ended:
    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def ecgbatch(
    *arguments: object, cwd: Path | None = None, is_new: bool = False, **environment: str
) -> Ended:
    """Run a command to its end.

    Args:
        is_new: start a new interpreter, as a user's shell does, instead of forking one.
        environment: ECGBATCH_* variables and the like; those of the tests themselves are left out.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ECGBATCH_")}
    clean = {**clean, "OMP_NUM_THREADS": "1", **environment}
    words = [str(argument) for argument in arguments]
    run = _run_new if is_new else _run_forked
    ended = run(words, clean, cwd or Path.cwd())
    assert "Traceback" not in ended.err
    return ended


def _run_forked(words: list[str], environment: dict[str, str], cwd: Path) -> Ended:
    return Ended(*command_server.run(command_server.Request(words, environment, str(cwd))))


def _run_new(words: list[str], environment: dict[str, str], cwd: Path) -> Ended:
    done = subprocess.run(
        [sys.executable, "-m", "ecgbatch", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
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
