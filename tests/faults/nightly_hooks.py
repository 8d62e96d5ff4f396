"""What a child of the nightly tests does otherwise than the product: see `children.worker`."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, event

import ecgbatch.flow
import ecgbatch.work
import ecgbatch.working
from ecgbatch.pipeline import Awaiting
from ecgbatch.records import Member, Outcome, RecordingBytes
from ecgbatch.sources.folder import FolderSource
from ecgbatch.store import engine_sqlite
from ecgbatch.store.silence import Heard
from ecgbatch.working import Desk
from tests.support.many import muse_ecg

_Answer = TypeVar("_Answer")


def _halting(flag: str) -> None:
    """While the file is there, each finish stands still for a moment behind its result."""
    path = Path(flag)

    def halt(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("INSERT INTO result") and path.exists():
            time.sleep(0.5)

    event.listen(Engine, "after_cursor_execute", halt)


def _losing_its_session(_: object) -> None:
    """An idle worker closes its run at once, and has lost its session when it does so first."""
    end_run, lost = ecgbatch.work.ledger.end_run, []

    def end(connection: Connection, *arguments: Any) -> None:
        if not lost:
            lost.append(True)
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        end_run(connection, *arguments)

    ecgbatch.work.ledger.end_run = end
    ecgbatch.work._RUN_S = 0.2


def _made_when_read(_: object) -> None:
    """Each file holds a number; what is read from it is the ECG of that number."""
    read = FolderSource.read

    def made(source: FolderSource, locator: str, fingerprint: str) -> RecordingBytes:
        (member,) = read(source, locator, fingerprint).members
        return RecordingBytes((Member(member.name, muse_ecg(int(member.content))),))

    FolderSource.read = made  # type: ignore[method-assign]


def _keeping(_: object) -> None:
    """Every ECG leaves a file open, and 1 MB."""
    before_net = ecgbatch.flow.before_net
    kept: list[object] = []

    def keep(*arguments: Any) -> Awaiting | Outcome:
        kept.extend((Path(os.devnull).open("rb"), os.urandom(1_000_000)))  # noqa: SIM115
        return before_net(*arguments)

    ecgbatch.flow.before_net = keep


def _without_patience() -> None:
    """A fault of the database ends the worker."""

    def at_once(desk: Desk, act: Callable[[], _Answer]) -> _Answer:
        return act()

    ecgbatch.working.patiently = at_once
    ecgbatch.work.patiently = at_once


def _without_limit_of_silence() -> None:
    """Wait for an answer for ever."""
    Heard.wait = psycopg.Connection.wait  # type: ignore[method-assign]


def _without_journal() -> None:
    """SQLite overwrites its pages without keeping what was there."""
    engine_sqlite.journal_mode = lambda version: "off"


HOW: dict[str, Callable[[Any], None]] = {
    "halting": _halting,
    "made_when_read": _made_when_read,
    "keeping": _keeping,
    "losing_its_session": _losing_its_session,
}
WITHOUT: dict[str, Callable[[], None]] = {
    "patience": _without_patience,
    "limit_of_silence": _without_limit_of_silence,
    "journal": _without_journal,
}
