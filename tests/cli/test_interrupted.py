"""A run that is stopped in the middle loses nothing and leaves nothing hanging."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command import ecgbatch, rows
from tests.support.ecgs import heartbeats, write_wfdb

_N_ECGS = 60
_EXIT_CODES = "SELECT exit_code FROM run WHERE kind = 'run-once'"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ecgs")
    for number in range(_N_ECGS):
        write_wfdb(folder, f"e{number:02}", heartbeats(number))
    return folder


def _arguments(source: Path, database: Path) -> list[object]:
    return ["run-once", "--source", source, "--db", f"sqlite:///{database}", "--settle", "0"]


def _stopped(arguments: list[object], database: Path, how: signal.Signals) -> tuple[int, str]:
    """Exit code and standard error of a run that got a signal after its first results."""
    running = subprocess.Popen(
        [sys.executable, "-m", "ecgbatch", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            # One after the other, so that there is a middle.
            "ECGBATCH_SCORING__RUNTIME": "torch",
            "ECGBATCH_SCORING__BATCH": "1",
            "ECGBATCH_WORK__WRITE": "1",
        },
        text=True,
    )
    _wait_for_scores(database, running)
    running.send_signal(how)
    _, err = running.communicate(timeout=60)
    return running.returncode, err


def test_killed_run_is_taken_over_at_once_and_nothing_is_scored_twice(
    source: Path, tmp_path: Path
) -> None:
    database = tmp_path / "r.db"
    arguments = _arguments(source, database)

    _stopped(arguments, database, signal.SIGKILL)
    assert rows(database, "SELECT * FROM work WHERE state = 'leased'") != []
    again = ecgbatch(*arguments)

    assert again.exit_code == 0
    dispositions = rows(database, "SELECT DISTINCT disposition FROM v_disposition")
    assert dispositions == [{"disposition": "scored"}]
    assert rows(database, "SELECT count(*) AS n FROM result")[0]["n"] == _N_ECGS
    assert rows(database, "SELECT count(*) AS n FROM score")[0]["n"] == 4 * _N_ECGS


def test_stopped_run_gives_its_work_back_and_the_next_one_goes_on(
    source: Path, tmp_path: Path
) -> None:
    database = tmp_path / "r.db"
    arguments = _arguments(source, database)
    exit_code, err = _stopped(arguments, database, signal.SIGTERM)

    assert "Traceback" not in err
    n_scored = rows(database, "SELECT count(*) AS n FROM result")[0]["n"]
    assert exit_code == 130
    assert 0 < n_scored < _N_ECGS
    assert rows(database, _EXIT_CODES) == [{"exit_code": 130}]
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
