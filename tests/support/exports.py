"""A ledger whose results are exported, and what a reader finds in the folder."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd
from sqlalchemy import Engine, text

from ecgbatch.errors import SetupFault
from ecgbatch.export.commits import Choices
from ecgbatch.export.run import export
from ecgbatch.store.engine import read_only, transaction
from tests.support.ledger import Site, provenance, site

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
    if not (out / "results").exists():
        return []
    return sorted(pd.read_parquet(out / "results")["result_id"])


def export_killed(url: str, out: Path, step: int, most_results: int = 100_000) -> int:
    """Export in a process that is killed before its n-th act on the file system.

    Returns:
        Its exit code: KILLED, or 0 if it ended before that.
    """
    process = _process(_export_until, url, out, step, most_results)
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


def _export_until(url: str, out: Path, step: int, most_results: int) -> None:
    """Audit events come before the act, so the state is that between two acts."""
    left = step

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event not in _ACTS or not str(arguments[0]).startswith(str(out)):
            return
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = read_only(url)
    sys.addaudithook(count)
    export(engine, out, PARQUET, most_results=most_results)


_ACTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


def exporting_until_killed(url: str, out: Path) -> BaseProcess:
    """A process that exports again and again, a few results at a time, until somebody ends it."""
    return _process(_export_for_ever, url, out)


def _export_for_ever(url: str, out: Path) -> None:
    engine = read_only(url)
    while True:
        with suppress(SetupFault):
            export(engine, out, PARQUET, most_results=7)


def _process(target: Callable[..., None], *arguments: object) -> BaseProcess:
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.support.exports"])
    process = context.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process
