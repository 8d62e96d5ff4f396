"""The service as a site runs it: a process that scans, scores, answers, warns and ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from ecgbatch.store import control
from ecgbatch.store.engine import open_engine, transaction
from tests.cli.command import ecgbatch, rows
from tests.service.receivers import Inbox, http_receiver
from tests.support.bundles import save_small_bundle
from tests.support.ecgs import heartbeats, write_wfdb
from tests.support.processes import LONGEST_S, children, free_port, is_alive, wait_for

PLANTED = ("PLANTED-FOLDER", "PLANTED-FILE", "PLANTED-SOURCE")
_RESULTS = "SELECT count(*) AS n FROM result"


@dataclass
class Site:
    """A folder of ECGs, a database and the settings of a service."""

    folder: Path
    port: int

    @property
    def config(self) -> Path:
        return self.folder / "site.toml"

    @property
    def database(self) -> Path:
        return self.folder / "r.db"

    @property
    def source(self) -> Path:
        return self.folder / PLANTED[0]

    def add(self, number: int) -> None:
        write_wfdb(self.source, f"{PLANTED[1]}-{number:02}", heartbeats(number))

    def ask(self, page: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{page}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()
        except OSError:
            return 0, ""

    def metric(self, line: str) -> float | None:
        """The value of `name{labels}`."""
        for one in self.ask("/metrics")[1].splitlines():
            if one.startswith(f"ecgbatch_{line} "):
                return float(one.rpartition(" ")[2])
        return None


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One that scans every second and looks once; its demonstration is allowed."""
    made = Site(tmp_path, free_port())
    made.source.mkdir()
    save_small_bundle(tmp_path / "bundle")
    write_settings(made)
    assert ecgbatch("migrate", "--config", made.config).exit_code == 0
    activate = ("bundle", "activate", tmp_path / "bundle", "--reason", "test")
    assert ecgbatch(*activate, "--config", made.config).exit_code == 0
    return made


def write_settings(site: Site, more: str = "", url: str = "", **service: object) -> None:
    stated = {"interval_s": 1, "workers": 1, "port": site.port, "stop_s": 20.0} | service
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in stated.items())
    site.config.write_text(
        f"[database]\nurl = '{url or f'sqlite:///{site.database}'}'\n{_key(site)}"
        f"[source]\nfolder = '{PLANTED[0]}'\nname = '{PLANTED[2]}'\n"
        "[stability]\nsettle_s = 0.0\n"
        "[bundle]\nfolder = 'bundle'\nallow_demonstration = true\n"
        "[work]\nclaim = 4\nlease_s = 6.0\nidle_s = 0.1\n"
        f"[service]\n{lines}\n{more}"
    )


def _key(site: Site) -> str:
    key = site.folder / "site.key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    return f"[site]\nkey_file = '{key}'\n"


@contextmanager
def serving(site: Site, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ecgbatch", "serve", "--config", site.config, "--allow-root"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_service_scores_what_arrives_answers_and_ends_in_peace(site: Site, tmp_path: Path) -> None:
    manager = tmp_path / "notify"
    for number in range(3):
        site.add(number)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(manager))
        heard.settimeout(LONGEST_S)
        watched = {"NOTIFY_SOCKET": str(manager), "WATCHDOG_USEC": "60000000"}
        with serving(site, **watched) as process:
            assert heard.recv(100) == b"READY=1"
            assert heard.recv(100) == b"WATCHDOG=1"
            assert wait_for(lambda: site.metric("results_total{}") == 3.0)
            site.add(3)
            assert wait_for(lambda: site.metric('items{disposition="scored"}') == 4.0)
            assert site.ask("/healthz") == (200, '{"is_well": true, "reason": null}\n')
            assert site.ask("/readyz")[0] == 200
            assert site.metric("workers{}") == site.metric("worker_processes{}") == 1.0
            # The worker may be done before the scan has closed its own run.
            assert wait_for(lambda: site.metric("last_scan_exit_code{}") == 0.0)
            page = site.ask("/metrics")[1]
            below = children(process.pid)
            assert len(below) >= 2  # the worker and its reader

            stopped = time.monotonic()
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=30)
            took_s = time.monotonic() - stopped

        said = [heard.recv(100)]
        while said[-1] != b"STOPPING=1":
            said.append(heard.recv(100))

    assert process.returncode == 0, err
    assert took_s < 10
    assert not any(map(is_alive, below))
    assert rows(site.database, _RESULTS) == [{"n": 4}]
    assert rows(site.database, "SELECT * FROM heartbeat") == []
    assert rows(site.database, "SELECT * FROM work WHERE state = 'leased'") == []
    assert rows(site.database, "SELECT * FROM run WHERE ended_at IS NULL") == []
    n_scans = rows(site.database, "SELECT count(*) AS n FROM run WHERE kind = 'scan'")
    assert n_scans == rows(site.database, "SELECT count(*) AS n FROM firing")
    assert "Traceback" not in err
    assert all(json.loads(line) for line in err.splitlines() if line.startswith("{"))
    for planted in (*PLANTED, str(tmp_path)):
        assert planted not in out + err + page


def test_two_services_on_one_database_scan_and_score_everything_once(
    tmp_path: Path, database_url: str, engine: Engine
) -> None:
    sites = [Site(tmp_path, free_port()), Site(tmp_path, free_port())]
    sites[0].source.mkdir()
    save_small_bundle(tmp_path / "bundle")
    write_settings(sites[0], url=database_url)
    activate = ("bundle", "activate", tmp_path / "bundle", "--reason", "test")
    assert ecgbatch(*activate, "--config", sites[0].config).exit_code == 0
    with serving(sites[0]) as one:
        assert wait_for(lambda: sites[0].ask("/readyz")[0] == 200)
        write_settings(sites[1], url=database_url)
        with serving(sites[1]) as other:
            assert wait_for(lambda: sites[1].metric("workers{}") == 2.0)
            for number in range(12):
                sites[0].add(number)
            assert wait_for(lambda: sites[1].metric('items{disposition="scored"}') == 12.0)
            for process in (one, other):
                process.send_signal(signal.SIGTERM)
            ends = [process.communicate(timeout=30) for process in (one, other)]

    assert [one.returncode, other.returncode] == [0, 0], ends
    with transaction(engine) as connection:
        n_results = connection.execute(text("SELECT count(*) FROM result")).scalar()
        due = connection.execute(text("SELECT due_at, worker FROM firing")).all()
        scans = connection.execute(text("SELECT worker FROM run WHERE kind = 'scan'")).all()
    assert n_results == 12
    assert len({row.worker for row in due}) == 2  # both had their share
    assert len(scans) <= len(due)  # less where one met the other at work on the source


def test_halt_is_shown_and_worker_that_dies_is_replaced(site: Site) -> None:
    with serving(site) as process:
        assert wait_for(lambda: site.metric("workers{}") == 1.0)
        (worker,) = (pid for pid in children(process.pid) if is_alive(pid))
        os.kill(worker, signal.SIGKILL)
        assert wait_for(lambda: site.metric("worker_restarts_total{}") == 1.0)
        shown = ecgbatch("status", "--db", f"sqlite:///{site.database}", "--json").json
        assert sorted({beat["kind"] for beat in shown["heartbeats"]}) == ["serve", "work"]
        assert min(beat["age_s"] for beat in shown["heartbeats"]) < 20
        assert shown["last_scan"]["kind"] == "scan"
        halt(site)
        assert wait_for(lambda: site.ask("/readyz")[0] == 503)
        assert json.loads(site.ask("/readyz")[1]) == {"is_well": False, "reason": "operator"}
        assert site.metric("halted{}") == 1.0
        assert site.ask("/healthz")[0] == 200
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)

    assert process.returncode == 0


def halt(site: Site) -> None:
    engine = open_engine(f"sqlite:///{site.database}")
    with transaction(engine) as connection:
        control.halt(connection, "op", "a test")
    engine.dispose()


def test_killed_service_leaves_neither_worker_nor_reader(site: Site) -> None:
    site.add(0)
    with serving(site) as process:
        assert wait_for(lambda: rows(site.database, _RESULTS) == [{"n": 1}])
        below = children(process.pid)
        process.kill()
        process.communicate()
        assert below
        assert wait_for(lambda: not any(map(is_alive, below)))


def test_lost_source_raises_an_alarm_and_its_return_ends_it(site: Site, tmp_path: Path) -> None:
    site.add(0)
    with http_receiver() as inbox:
        write_settings(site, f"[alerts]\nwebhook = 'http://127.0.0.1:{inbox.port}/{PLANTED[0]}'\n")
        with serving(site) as process:
            assert wait_for(lambda: site.metric("results_total{}") == 1.0)
            site.source.rename(tmp_path / "away")
            assert wait_for(lambda: ("source_unavailable", "begins") in told(inbox))
            assert site.metric('alarm{alarm="source_unavailable"}') == 1.0
            (tmp_path / "away").rename(site.source)
            assert wait_for(lambda: ("source_unavailable", "ends") in told(inbox))
            assert site.metric('items{disposition="scored"}') == 1.0
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)

    assert process.returncode == 0
    assert told(inbox) == [("source_unavailable", "begins"), ("source_unavailable", "ends")]
    everything = err + "".join(body.decode() for _, body in inbox.posts)
    for planted in (*PLANTED, str(tmp_path)):
        assert planted not in everything


def told(inbox: Inbox) -> list[tuple[str, str]]:
    bodies = [json.loads(body) for _, body in inbox.posts]
    return [(body["alarm"], body["phase"]) for body in bodies]


@pytest.mark.parametrize(
    ("service", "more", "reason"),
    [
        ({"schedule": "at night"}, "", "service.schedule"),
        ({"host": "192.0.2.1"}, "", "cannot be listened on"),
        ({}, "[alerts]\nwebhook_file = 'nothing'\n", "alerts.webhook_file"),
    ],
)
def test_unfit_set_up_starts_nothing(
    site: Site, service: dict[str, object], more: str, reason: str
) -> None:
    write_settings(site, more, **service)
    ended = ecgbatch("serve", "--config", site.config, "--allow-root")

    assert ended.exit_code == 4
    assert reason in ended.err
    assert rows(site.database, "SELECT * FROM heartbeat") == []
    assert rows(site.database, "SELECT * FROM run WHERE kind <> 'operator'") == []


def test_demonstration_is_not_served_unless_allowed(site: Site) -> None:
    forbidden = site.config.read_text().replace("demonstration = true", "demonstration = false")
    site.config.write_text(forbidden)
    ended = ecgbatch("serve", "--config", site.config, "--allow-root")

    assert ended.exit_code == 4
    assert "bundle_not_clinical" in ended.err


def test_superuser_serves_only_when_told_to(site: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("not the superuser here")
    ended = ecgbatch("serve", "--config", site.config)

    assert ended.exit_code == 4
    assert "--allow-root" in ended.err


def test_service_needs_settings() -> None:
    assert ecgbatch("serve", "--db", "sqlite:///r.db", "--allow-root").exit_code == 2
