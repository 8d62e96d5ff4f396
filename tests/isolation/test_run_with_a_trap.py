"""A whole run over a folder with files that bring the reader down."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plug_in import install

from ecgbatch.resources import demonstration

MUSE = demonstration("samples") / "muse"
TRAPS = {"a": "segfault", "b": "hang", "c": "swallow", "e": "stumble", "f": "leave"}
REASONS = {"reader_crashed": 3, "reader_timeout": 1, "reader_memory": 1}


def _run_once(folder: Path, tmp_path: Path, **environment: str) -> tuple[int, Any, str]:
    database = f"sqlite:///{tmp_path / 'results.db'}"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ecgbatch", "run-once", "--settle", "0", "--json"),
            *("--source", folder, "--db", database),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five traps, and an ECG in between and at the end."""
    install(tmp_path / "packages")
    folder = tmp_path / "ecgs"
    folder.mkdir()
    for name, order in TRAPS.items():
        (folder / f"{name}.trap").write_text(f"TRAP {order} MILLER^ANNA")
    for name, source in zip("dg", sorted(MUSE.glob("*.xml")), strict=True):
        shutil.copy(source, folder / f"{name}.xml")
    return folder


def test_traps_fail_and_the_other_ecgs_are_scored(folder: Path, tmp_path: Path) -> None:
    code, summary, log = _run_once(
        folder,
        tmp_path,
        PYTHONPATH=str(tmp_path / "packages"),
        ECGBATCH_ISOLATION__PLUG_INS='["trap"]',
        ECGBATCH_ISOLATION__SECONDS="1.5",
    )

    assert code == 1, summary
    assert summary["counts"]["failed"] == len(TRAPS), summary
    assert summary["counts"]["scored"] == 2
    failed = {
        one["reason"]: one["items"] for one in summary["reasons"] if one["disposition"] == "failed"
    }
    assert failed == REASONS
    assert "MILLER" not in log


def test_plug_in_that_is_not_installed_stops_the_run_before_it_claims_anything(
    folder: Path, tmp_path: Path
) -> None:
    code, _, log = _run_once(folder, tmp_path, ECGBATCH_ISOLATION__PLUG_INS='["trap"]')

    assert code == 4
    assert "isolation.plug_ins: trap is not an installed reader" in log
