"""A run that is stopped in the middle loses nothing and leaves nothing hanging."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.command import ecgbatch, rows
from tests.support.ecgs import heartbeats, write_wfdb

_N_ECGS = 60


def test_stopped_run_gives_its_work_back_and_the_next_one_goes_on(tmp_path: Path) -> None:
    source, database = tmp_path / "ecgs", tmp_path / "r.db"
    source.mkdir()
    for number in range(_N_ECGS):
        write_wfdb(source, f"e{number:02}", heartbeats(number))
    arguments = ["run-once", "--source", source, "--db", f"sqlite:///{database}", "--settle", "0"]
    running = subprocess.Popen(
        [sys.executable, "-m", "ecgbatch", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )
    _wait_for_scores(database, running)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)

    assert "Traceback" not in err
    n_scored = rows(database, "SELECT count(*) AS n FROM result")[0]["n"]
    assert running.returncode == 130
    assert 0 < n_scored < _N_ECGS
    assert rows(database, "SELECT exit_code FROM run") == [{"exit_code": 130}]
    assert rows(database, "SELECT * FROM work WHERE state = 'leased'") == []

    again = ecgbatch(*arguments)

    assert again.exit_code == 0
    assert f"scored {_N_ECGS - n_scored}\n" in again.out
    assert rows(database, "SELECT count(*) AS n FROM result")[0]["n"] == _N_ECGS


def _wait_for_scores(database: Path, running: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        if database.exists() and _n_results(database) >= 2:
            return
        time.sleep(0.02)


def _n_results(database: Path) -> int:
    tables = rows(database, "SELECT name FROM sqlite_master WHERE name = 'result'")
    return int(rows(database, "SELECT count(*) AS n FROM result")[0]["n"]) if tables else 0
