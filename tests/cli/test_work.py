"""Workers beside a scan: they drain a queue, stop in peace, and are taken over when they die."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ecgbatch import worker_name
from ecgbatch.run import scan_once
from ecgbatch.settings import Settings, load_settings
from ecgbatch.worker_name import is_dead, own_name
from ecgbatch.working import Reporter
from tests.cli.command import ecgbatch, rows
from tests.faults.field import lay_out
from tests.support.bundles import save_small_bundle
from tests.support.many import write_many

_N_ECGS = 120
_RESULTS = "SELECT count(*) AS n FROM result"
_LEASED = "SELECT worker FROM work WHERE state = 'leased'"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    work = "[work]\nclaim = 4\nlease_s = 3.0\nidle_s = 0.1\n"
    field = lay_out(tmp_path, f"sqlite:///{tmp_path / 'r.db'}", settings=work)
    write_many(field.inbox, _N_ECGS)
    return field.config


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "r.db"


def _scan(config: Path) -> None:
    scan_once(_settings(config), Reporter(lambda line: None, lambda reading: None))


def _settings(config: Path) -> Settings:
    return load_settings(config)


def _start(config: Path, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "ecgbatch", "work", "--config", str(config), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )


def _stop(worker: "subprocess.Popen[str]") -> int:
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=30)
    return worker.returncode


def _wait(database: Path, sql: str, at_least: int) -> None:
    until = time.monotonic() + 180
    while rows(database, sql)[0]["n"] < at_least:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_scan_scores_nothing_and_two_workers_drain_what_it_admits(
    config: Path, database: Path
) -> None:
    _scan(config)
    assert rows(database, _RESULTS) == [{"n": 0}]

    workers = [_start(config, "--drain", "--json") for _ in range(2)]
    ends = [(worker.communicate(timeout=120), worker.returncode) for worker in workers]

    assert [code for _, code in ends] == [0, 0]
    assert rows(database, _RESULTS) == [{"n": _N_ECGS}]
    assert rows(database, "SELECT kind, exit_code FROM run WHERE kind = 'scan'") == [
        {"kind": "scan", "exit_code": 0}
    ]
    assert rows(database, "SELECT * FROM heartbeat") == []
    assert len(rows(database, "SELECT * FROM run WHERE kind = 'work'")) in (1, 2)


def test_a_stopped_worker_ends_in_peace_and_gives_back_what_it_held(
    config: Path, database: Path
) -> None:
    _scan(config)
    worker = _start(config)
    _wait(database, _RESULTS, 3)

    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=30)

    assert worker.returncode == 0, err
    assert "Traceback" not in err
    assert rows(database, _LEASED) == []
    assert rows(database, "SELECT * FROM heartbeat") == []
    assert rows(database, "SELECT exit_code FROM run WHERE kind = 'work'") == [{"exit_code": 0}]
    assert f"this worker: scored {rows(database, _RESULTS)[0]['n']}" in out


def test_a_killed_worker_is_taken_over_by_the_next_at_once(config: Path, database: Path) -> None:
    _scan(config)
    worker = _start(config)
    _wait(database, _RESULTS, 3)
    worker.kill()
    worker.communicate(timeout=30)

    done = ecgbatch("work", "--drain", "--config", config)

    assert done.exit_code == 0, done.err
    assert rows(database, _RESULTS) == [{"n": _N_ECGS}]
    assert rows(database, "SELECT DISTINCT disposition FROM v_disposition") == [
        {"disposition": "scored"}
    ]


def test_a_worker_without_work_loads_nothing_and_beats(config: Path, database: Path) -> None:
    worker = _start(config)
    _wait(database, "SELECT count(*) AS n FROM heartbeat", 1)

    assert rows(database, "SELECT kind, run_id FROM heartbeat") == [
        {"kind": "work", "run_id": None}
    ]
    assert rows(database, "SELECT * FROM run WHERE kind = 'work'") == []
    _scan(config)
    _wait(database, _RESULTS, _N_ECGS)
    assert _stop(worker) == 0


def test_a_worker_without_settings_reads_every_folder(config: Path, database: Path) -> None:
    _scan(config)
    done = ecgbatch(
        *("work", "--drain", "--db", f"sqlite:///{database}"),
        ECGBATCH_SITE__KEY_FILE=str(config.parent / "site.key"),
        ECGBATCH_BUNDLE__FOLDER=str(config.parent / "bundle"),
    )

    assert done.exit_code == 0, done.err
    assert rows(database, _RESULTS) == [{"n": _N_ECGS}]


def test_a_worker_follows_a_new_champion(config: Path, database: Path, tmp_path: Path) -> None:
    worker = _start(config)
    _wait(database, "SELECT count(*) AS n FROM heartbeat", 1)
    new = save_small_bundle(tmp_path / "second", version="2")
    activate = ("bundle", "activate", tmp_path / "second", "--reason", "newer")
    assert ecgbatch(*activate, "--config", config).exit_code == 0

    _scan(config)
    _wait(database, _RESULTS, _N_ECGS)

    assert _stop(worker) == 0
    assert rows(database, "SELECT DISTINCT bundle_digest FROM result") == [{"bundle_digest": new}]


def test_workers_names_tell_the_dead_from_the_living() -> None:
    name = own_name()
    sleeper = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from ecgbatch.worker_name import own_name; print(own_name(), flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert sleeper.stdout is not None
    other = sleeper.stdout.readline().strip()
    assert not is_dead(name)
    assert not is_dead(other)
    sleeper.kill()
    # A zombie until it is waited for: dead all the same.
    until = time.monotonic() + 10
    while not is_dead(other):
        assert time.monotonic() < until
        time.sleep(0.01)
    sleeper.communicate()
    assert is_dead(other)
    host, _, rest = name.rpartition("/")
    place, pid, birth = rest.split(":")
    assert is_dead(f"{host}/{place}:{pid}:{int(birth) + 1}")  # the number was given again
    assert not is_dead(f"{host}/00000000:{pid}:{int(birth) + 1}")  # another container
    assert not is_dead(f"elsewhere/{place}:{pid}:{int(birth) + 1}")
    assert not is_dead("host:17")


def test_a_worker_that_cannot_be_seen_is_not_taken_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As under `hidepid`: another account's process has no file in /proc, but is there."""
    name = own_name()
    host, _, rest = name.rpartition("/")
    monkeypatch.setattr(worker_name, "_birth", lambda pid: None)
    assert not is_dead(name)
    assert is_dead(f"{host}/{rest.split(':')[0]}:4194303:5")
    monkeypatch.undo()
    place, pid, _ = rest.split(":")
    assert not is_dead(f"{host}/{place}:{pid}:0")


def test_an_incomplete_file_is_not_read_in_a_circle(config: Path, database: Path) -> None:
    (config.parent / "inbox" / "half.xml").write_bytes(b"<RestingECG>")
    _scan(config)

    done = ecgbatch("work", "--drain", "--config", config)

    assert done.exit_code == 0, done.err
    put_back = "SELECT count(*) AS n FROM event WHERE kind = 'put_back'"
    assert rows(database, put_back)[0]["n"] <= 3
    assert rows(database, "SELECT state, reason FROM work WHERE state <> 'scored'") == [
        {"state": "retry_wait", "reason": "incomplete"}
    ]
