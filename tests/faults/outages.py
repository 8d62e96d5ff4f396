"""A PostgreSQL server that can be stopped like a crash and started again."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.support.postgres import find_binaries, postgres_server


@dataclass(frozen=True)
class Mortal:
    """A server of its own; `stop` is `pg_ctl stop -m immediate`."""

    home: Path
    binaries: Path
    restarted: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self.home}"

    def stop(self) -> None:
        pid = self._process_id()
        os.kill(pid, signal.SIGQUIT)
        while _is_there(pid):
            time.sleep(0.01)
        for process in self.restarted:
            process.wait()

    def start(self) -> None:
        owner = (self.home / "data").stat()
        who = {} if os.geteuid() else {"user": owner.st_uid, "group": owner.st_gid}
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(self.binaries / "postgres", "-D", self.home / "data", "-h", ""),
                    *("-k", self.home, "-c", "fsync=off"),
                ],
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                stdout=log,
                stderr=log,
                start_new_session=True,
                **who,  # type: ignore[arg-type]
            )
        self.restarted.append(process)

    def wait(self) -> None:
        while True:
            try:
                psycopg.connect(host=str(self.home), user="postgres").close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return

    def _process_id(self) -> int:
        text = (self.home / "data" / "postmaster.pid").read_text(encoding="ascii")
        return int(text.splitlines()[0])


def _is_there(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@contextmanager
def mortal_server() -> Iterator[Mortal]:
    """A new server; whatever runs of it at the end is stopped."""
    binaries = find_binaries()
    assert binaries is not None
    with postgres_server(binaries) as server:
        mortal = Mortal(server.home, binaries)
        try:
            yield mortal
        finally:
            if (server.home / "data" / "postmaster.pid").exists():
                mortal.stop()
