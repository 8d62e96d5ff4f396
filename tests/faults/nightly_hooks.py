"""What a child of the nightly tests does otherwise than the product: see `children.worker`."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Engine, event

import ecgbatch.work
import ecgbatch.working
from ecgbatch.store import engine_sqlite
from ecgbatch.store.silence import Heard
from ecgbatch.working import Desk

_Answer = TypeVar("_Answer")


def _halting(flag: str) -> None:
    """While the file is there, each finish stands still for a moment behind its result."""
    path = Path(flag)

    def halt(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("INSERT INTO result") and path.exists():
            time.sleep(0.5)

    event.listen(Engine, "after_cursor_execute", halt)


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


HOW: dict[str, Callable[[Any], None]] = {"halting": _halting}
WITHOUT: dict[str, Callable[[], None]] = {
    "patience": _without_patience,
    "limit_of_silence": _without_limit_of_silence,
    "journal": _without_journal,
}
