"""A folder with very many files: few opened, little memory (S4)."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.faults.many_files import HEADERS
from tests.support.effort import effort

FILES = effort(200_000, with_every_change=60_000)
NEW = 5000
PEAK_BYTES = 200 << 20
BYTES_PER_FILE = 600
"""So that 200,000 files stay below the peak, beside the 70 MiB of an idle process."""


@pytest.fixture(scope="module")
def looks(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    database = tmp_path_factory.mktemp("many") / "ecg.db"
    shutil.copy(sqlite_template, database)
    # In memory where the system has such a place: making the files is most of the time.
    in_memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a folder of our own in it
    root = tempfile.mkdtemp(dir=in_memory if in_memory.is_dir() else None)
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.many_files", root, database, str(FILES), str(NEW)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    shutil.rmtree(root)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_file_is_an_item_and_only_headers_are_opened(looks: dict[str, Any]) -> None:
    assert looks["first"]["items"] == FILES
    assert looks["second"]["items"] == FILES + NEW
    assert looks["first"]["opened"] == looks["second"]["opened"] == HEADERS


def test_memory_stays_small(looks: dict[str, Any]) -> None:
    assert looks["peak_bytes"] < PEAK_BYTES


def test_memory_grows_little_with_the_number_of_files(looks: dict[str, Any]) -> None:
    assert (looks["peak_bytes"] - looks["idle_bytes"]) / (FILES + NEW) < BYTES_PER_FILE
