"""What every act of an operator is made of: a choice, a run for its events, a row in `audit`."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection

from ecgbatch.store import audit_log
from ecgbatch.store.engine import now, take_time
from ecgbatch.store.events import Event, record
from ecgbatch.store.runs import OPERATOR, end_run, start_run
from ecgbatch.terms import ExitCode, ReasonCode

_BATCH = 500
"""Rows per statement."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What an act is applied to, who asks for it, and why.

    Attributes:
        code: everything with this reason; None to go by `items`.
        items: these items by number; empty to go by `code`.
    """

    actor: str
    why: str
    code: ReasonCode | None = None
    items: Sequence[int] = ()

    @property
    def selector(self) -> str:
        if self.code is not None:
            return f"code={self.code}"
        return f"items={','.join(map(str, self.items))}"


@dataclass(slots=True)
class Act:
    """An act while it goes on; `count` is what it changed so far."""

    connection: Connection
    run_id: int
    moment: datetime
    count: int = 0

    def add(self, events: Iterable[Event]) -> None:
        record(self.connection, self.run_id, list(events))


@contextmanager
def act(connection: Connection, *, actor: str, why: str, name: str, selector: str) -> Iterator[Act]:
    """Open a short run for the events of an act, and write it into `audit` at the end.

    Args:
        selector: what it is applied to, for the audit table; no name, no place.
    """
    with short_run(connection, actor) as doing:
        yield doing
    audit_log.write(
        connection,
        actor=actor,
        act=name,
        selector=selector,
        reason=why,
        count=doing.count,
    )


@contextmanager
def short_run(connection: Connection, actor: str) -> Iterator[Act]:
    """A run of its own for events that no operator has asked for."""
    take_time(connection)
    run_id = start_run(connection, OPERATOR, None, actor)
    doing = Act(connection, run_id, now(connection))
    yield doing
    end_run(connection, run_id, ExitCode.DONE, {})


@contextmanager
def act_on(connection: Connection, choice: Choice, name: str) -> Iterator[Act]:
    """An act on what was chosen."""
    selector = choice.selector
    with act(connection, actor=choice.actor, why=choice.why, name=name, selector=selector) as doing:
        yield doing


def chosen(
    choice: Choice, item_id: ColumnElement[Any], reason: ColumnElement[Any]
) -> ColumnElement[bool]:
    """The choice as a condition on a view's columns."""
    return item_id.in_(choice.items) if choice.code is None else reason == choice.code


def batches(numbers: Iterable[int]) -> Iterator[list[int]]:
    """As many at a time as one statement takes."""
    remaining = iter(numbers)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
