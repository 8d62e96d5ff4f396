"""`make fault-headline`: 200 times `kill -9` over 5,000 files with two workers, on both databases.

Prints what it counted, the URLs of the two databases, which stay, and as the last line JSON. Each
database has a control beside it, without the unique key and with result and state in two
transactions, that must show results written twice.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.field import drop_unique_key, lay_out
from tests.faults.kill_run import KillRun, kill_workers
from tests.faults.page import write_figures
from tests.support.postgres import Postgres, find_binaries, new_server

_WORKERS = 2
_SETTINGS = "[work]\nidle_s = 0.05\nlease_s = 30.0\n"
_CONTROL = (1000, 100)
"""Files and kills of a control."""


def main() -> int:
    """Run, print, and end with 1 unless all is well and every control has failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--write", action="store_true", help="the figures into docs/reliability.md")
    stated = parser.parse_args()
    binaries = find_binaries()
    if binaries is None:
        _say("no PostgreSQL programs found; install the test extra")
        return 1
    home = Path(tempfile.mkdtemp(prefix="ecgbatch-headline-"))
    server, process = new_server(binaries)
    postgres = Postgres(server, iter(range(1, 9)))
    urls, runs, well = [], [], True
    for database in ("sqlite", "postgresql"):
        urls.append(_new_url(database, home / f"{database}.db", postgres))
        run = _run(home / database, urls[-1], stated.files, stated.kills)
        control_url = _new_url(database, home / f"{database}-control.db", postgres)
        control = _run(home / f"{database}-control", control_url, *_CONTROL, is_control=True)
        runs.append(_told(database, stated.files, run, control))
        well = well and not run.count.broken
        _say(f"{database}: {run.count}")
        _say(f"{database}, control: {control.count}")
    if stated.write:
        names = ("database", "files", "workers", "kills", "lost", "duplicates", "seconds")
        write_figures("headline", names, [[run[name] for name in names] for run in runs])
    _say(f"delete {home} and {server}, and end process {process.pid}, when you have counted again")
    _say(" ".join(urls))
    _say(json.dumps({"runs": runs}))
    well = well and all(
        not one["lost"] and not one["duplicates"] and one["control_failed"] for one in runs
    )
    return 0 if well else 1


def _new_url(database: str, path: Path, postgres: Postgres) -> str:
    return f"sqlite:///{path}" if database == "sqlite" else postgres.url(postgres.create())


def _run(home: Path, url: str, n_files: int, n_kills: int, *, is_control: bool = False) -> KillRun:
    started = time.monotonic()
    field = lay_out(home, url, settings=_SETTINGS)
    if is_control:
        drop_unique_key(url)
    run = kill_workers(
        field,
        n_files=n_files,
        n_kills=n_kills,
        n_workers=_WORKERS,
        n_copies=0 if is_control else n_files // 100,
        without="one_transaction" if is_control else "",
    )
    shutil.rmtree(field.inbox)
    _say(f"{url}: {run.kills} kills, {time.monotonic() - started:.0f} s")
    return run


def _told(database: str, n_files: int, run: KillRun, control: KillRun) -> dict[str, object]:
    return {
        "database": database,
        "kills": run.kills,
        "files": n_files,
        "workers": _WORKERS,
        "lost": run.count.lost,
        "duplicates": run.count.twice,
        "control_failed": control.count.twice > 0,
        "seconds": round(run.seconds, 1),
    }


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
