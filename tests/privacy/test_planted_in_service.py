"""The same planted ECGs, scored by a service: nothing that it shows to anybody holds a token."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ecgbatch.identity import create_site_key
from ecgbatch.resources import demonstration
from tests.cli.command import ecgbatch, rows
from tests.service.receivers import Inbox, http_receiver, smtp_receiver
from tests.support.planted import tokens, write_planted
from tests.support.processes import children, free_port, wait_for

PAGES = ("/healthz", "/readyz", "/metrics")
_TOLD = {("failures_open", "begins"), ("source_unavailable", "begins")}


@dataclass
class Served:
    """Everything that a service let out while it worked.

    Attributes:
        pages: what each page answered, one text after the other.
        processes: command line and environment of the service and of all below it.
    """

    log: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    processes: dict[int, str] = field(default_factory=dict)
    posts: list[str] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)

    def look(self, port: int, pid: int) -> None:
        for page in PAGES:
            self.pages[page] = self.pages.get(page, "") + _asked(port, page)
        self.look_at_processes(pid)

    def look_at_processes(self, pid: int) -> None:
        for one in (pid, *children(pid)):
            with suppress(OSError):  # it has ended
                what = [Path(f"/proc/{one}/{name}").read_text() for name in ("cmdline", "environ")]
                self.processes[one] = "\n".join(what)


def _asked(port: int, page: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.read().decode()
    except OSError:
        return ""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A service with one worker: all is scored, failures are told of, then the source is away."""
    home = tmp_path_factory.mktemp("served")
    write_planted(home / "ZQLfolder")
    create_site_key(home / "site.key")
    port, found = free_port(), Served()
    with http_receiver() as posts, smtp_receiver() as mails:
        config = _write_settings(home, port, posts.port, mails.port)
        ecgbatch("migrate", "--config", config)
        ready = ("bundle", "activate", demonstration("bundle"), "--reason", "a test")
        assert ecgbatch(*ready, "--config", config).exit_code == 0
        with _serving(config, home / "log") as process:
            assert wait_for(lambda: _looked(found, port, process.pid) and _is_done(home / "ecg.db"))
            (home / "ZQLfolder").rename(home / "ZQLaway")
            assert wait_for(lambda: _looked(found, port, process.pid) and _told(posts) >= _TOLD), (
                _told(posts)
            )
            assert wait_for(lambda: len(mails.mails) >= len(_TOLD))
        found.log = (home / "log").read_text()
        found.posts = [body.decode() for _, body in posts.posts]
        found.mails = [mail.as_string() + mail.get_content() for mail in mails.mails]
    assert process.returncode == 0, found.log
    return found


def _write_settings(home: Path, port: int, posts: int, mails: int) -> Path:
    (home / "token").write_text("ZQPTOKEN\n")
    (home / "token").chmod(0o600)
    lines = (
        f"[database]\nurl = 'sqlite:///{home / 'ecg.db'}'\n[log]\nlevel = 'debug'",
        f"[source]\nfolder = '{home / 'ZQLfolder'}'\nname = 'ZQLward'",
        "[site]\nkey_file = 'site.key'\n[stability]\nsettle_s = 0.0\ngrace_s = 0.0",
        "[limits]\nrecording_bytes = 3000000\n[bundle]\nallow_demonstration = true",
        f"[service]\nworkers = 1\ninterval_s = 1\nport = {port}\n[work]\nidle_s = 0.1",
        f"[alerts]\nwebhook = 'http://127.0.0.1:{posts}/ZQLhook'",
        f"webhook_token_file = '{home / 'token'}'\nsmtp_host = '127.0.0.1'\nsmtp_port = {mails}",
        "smtp_tls = 'off'\nmail_from = 'e@hospital.example'\nmail_to = ['o@hospital.example']",
    )
    (home / "site.toml").write_text("\n".join(lines))
    return home / "site.toml"


@contextmanager
def _serving(config: Path, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Its output goes to a file: a pipe that nobody reads would fill up."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ECGBATCH_")}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "ecgbatch", "serve", "--allow-root", "--config", config],
            stdout=file,
            stderr=file,
            env={**environment, "OMP_NUM_THREADS": "1"},
        )
        try:
            yield process
            process.terminate()
            process.wait(30)
        finally:
            process.kill()
            process.wait()


def _looked(found: Served, port: int, pid: int) -> bool:
    found.look(port, pid)
    return True


def _is_done(database: Path) -> bool:
    """Whether a scan has ended and nothing waits."""
    (seen,) = rows(
        database,
        "SELECT (SELECT count(*) FROM run WHERE kind = 'scan' AND ended_at IS NOT NULL) AS scans,"
        " (SELECT count(*) FROM v_disposition WHERE disposition = 'waiting') AS waiting",
    )
    return bool(seen["scans"]) and not seen["waiting"]


def _told(inbox: Inbox) -> set[tuple[str, str]]:
    bodies = [json.loads(body) for _, body in inbox.posts]
    return {(body["alarm"], body["phase"]) for body in bodies}


def test_the_service_met_every_kind_of_file_and_said_so(served: Served) -> None:
    lines = [json.loads(line) for line in served.log.splitlines() if line.startswith("{")]
    said = [line["event"] for line in lines]

    assert said.count("not_scored") >= 20
    assert {"service_started", "alarm", "service_ended"} <= set(said)
    assert 'ecgbatch_failures_open{reason="format_unknown"}' in served.pages["/metrics"]
    assert all(served.pages.values())
    assert len(served.processes) >= 3  # the service, its worker and the worker's reader
    assert all("python" in one and "PATH=" in one for one in served.processes.values())
    assert len(served.posts) >= len(_TOLD)
    assert any("failures_open" in mail for mail in served.mails)


def test_log_pages_alarms_and_processes_hold_no_token(served: Served) -> None:
    said = {
        "log": served.log,
        **served.pages,
        **{f"process {number}": text for number, text in served.processes.items()},
        **{f"post {number}": text for number, text in enumerate(served.posts)},
        **{f"mail {number}": text for number, text in enumerate(served.mails)},
    }

    heard = {name: tokens(text) for name, text in said.items()}
    assert {name: found for name, found in heard.items() if found} == {}


def test_tokens_of_a_process_would_be_seen() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input('ready')", "ZQPARGUMENT"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"NAME": "ZQPVARIABLE"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == b"ready"
        found = Served()
        found.look_at_processes(process.pid)
        process.kill()

    assert tokens("".join(found.processes.values())) == {"ZQPARGUMENT", "ZQPVARIABLE"}
