"""A ledger whose results are exported, and what a reader finds in the folder."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from pyarrow import parquet
from sqlalchemy import Engine, text

from ecgbatch.export.commits import Choices
from ecgbatch.export.run import export
from ecgbatch.store.engine import read_only, transaction
from tests.support.ledger import Site, provenance, site
from tests.support.processes import wait_for

PARQUET = Choices()
KILLED = -signal.SIGKILL


@contextmanager
def committed(engine: Engine) -> Iterator[Site]:
    """The site of a test in a transaction that is committed; made by the first one."""
    with transaction(engine) as connection:
        row = connection.execute(text("SELECT source_id, run_id FROM run WHERE kind = 'run-once'"))
        known = row.first()
        if known is None:
            yield site(connection)
        else:
            yield Site(connection, known.source_id, provenance(known.run_id))


def result_ids(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT result_id FROM result ORDER BY result_id"))
        return [int(number) for number in found.scalars()]


def exported_ids(out: Path) -> list[int]:
    """What a reader of the dataset sees; twice if it is there twice."""
    files = (out / "results").rglob("*.parquet")
    read = [parquet.ParquetFile(file).read(["result_id"])["result_id"] for file in files]
    return sorted(number for column in read for number in column.to_pylist())


def export_killed(url: str, out: Path, step: int, most_results: int = 100_000) -> int:
    """Export in a process that is killed before its n-th act on the file system.

    Returns:
        Its exit code: KILLED, or 0 if it ended before that.
    """
    pid = _forked(_export_until, url, out, step, most_results)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _export_until(url: str, out: Path, step: int, most_results: int) -> None:
    """Audit events come before the act, so the state is that between two acts."""
    left = step

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event not in _ACTS or not str(arguments[0]).startswith(str(out)):
            return
        if event == "open" and not int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR):
            return
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = read_only(url)
    sys.addaudithook(count)
    export(engine, out, PARQUET, most_results=most_results)


_ACTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


def kill_many(url: str, out: Path, n_kills: int, seed: int) -> int:
    """Begin a process in which exports are killed one after another; returns its number.

    To be called before there are threads: it is a fork of this process.
    """
    return _forked(_kill_many, url, out, n_kills, seed)


def _kill_many(url: str, out: Path, n_kills: int, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - the same course every time
    for _ in range(n_kills):
        enough = _n_commits(out) + random.randrange(1, 3)
        pid = _forked(_export_for_ever, url, out)
        assert wait_for(lambda enough=enough: _n_commits(out) >= enough)  # type: ignore[misc]
        time.sleep(random.uniform(0.0, 0.05))
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == KILLED


def _n_commits(out: Path) -> int:
    return len(list((out / "_ecgbatch" / "log").glob("*.json")))


def _export_for_ever(url: str, out: Path) -> None:
    engine = read_only(url)
    while True:
        export(engine, out, PARQUET, most_results=7)


def _forked(target: Callable[..., None], *arguments: object) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        target(*arguments)
        code = 0
    except BaseException:  # noqa: BLE001 - a child never goes on as a second test
        traceback.print_exc()
    finally:
        os._exit(code)
