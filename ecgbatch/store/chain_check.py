"""Whether the hash chains of events and of audit rows are whole. Rows are streamed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, select

from ecgbatch.store import chain
from ecgbatch.store.audit_log import SEED, hash_of
from ecgbatch.store.events import CHAINED, seed
from ecgbatch.store.tables import audit, event, run

AT_ONCE = 1000
"""Rows in memory at any time."""
EXAMPLES = 5

_Row = Row[Any]


class Damage(StrEnum):
    """What is wrong at one place of a chain."""

    ALTERED = "altered"
    """The row's hash does not fit its content."""
    UNLINKED = "unlinked"
    """The row does not follow the one before it: rows were removed or inserted here."""
    CUT_OFF = "cut off"
    """The end is not the one that was written down."""


@dataclass(frozen=True, slots=True)
class Break:
    """One place; `number` is `seq` of the run's events, or `audit_id`; 0 is the end."""

    damage: Damage
    number: int
    run_id: int | None = None


@dataclass(slots=True)
class Chains:
    """What was found.

    Attributes:
        rows: rows that carry a hash.
        unchained: rows from before there were hashes; nothing can be said of them.
        broken: places where a chain is broken.
        examples: the first of these.
    """

    rows: int = 0
    unchained: int = 0
    broken: int = 0
    examples: list[Break] = field(default_factory=list)

    def note(self, damage: Damage, number: int, run_id: int | None = None) -> None:
        self.broken += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(Break(damage, number, run_id))

    def count(self, row: _Row) -> None:
        if row.hash is None:
            self.unchained += 1
        else:
            self.rows += 1


@dataclass(slots=True)
class EventChains(Chains):
    """`runs`: chains that were followed; `open_runs`: those whose end is not written down yet."""

    runs: int = 0
    open_runs: int = 0


@dataclass(slots=True)
class AuditChain(Chains):
    """`head`: hash of the newest row; `since`: rows after the one that was asked for."""

    head: str = SEED
    since: int | None = None


def event_chains(connection: Connection) -> EventChains:
    """Follow every run's events, and compare the end with what the run wrote down of it."""
    found = EventChains()
    rows = connection.execute(
        select(run.c.run_id.label("of_run"), run.c.events.label("number"), run.c.chain_head, event)
        .join_from(run, event, event.c.run_id == run.c.run_id, isouter=True)
        .order_by(run.c.run_id, event.c.seq, event.c.event_id)
        .execution_options(yield_per=AT_ONCE)
    )
    for run_id, of_run in groupby(rows, key=lambda row: int(row.of_run)):
        _follow_run(found, run_id, of_run)
    for row in _without_run(connection):
        found.count(row)
        if row.hash is not None:
            found.note(Damage.UNLINKED, row.seq, row.run_id)
    return found


def audit_chain(connection: Connection, head: str | None = None) -> AuditChain:
    """Follow the audit table.

    Args:
        head: the hash of an earlier newest row. Without one, a table whose newest rows were cut
            off looks whole.
    """
    found = AuditChain(since=0 if head == SEED else None)
    rows = connection.execute(
        select(audit, audit.c.count.label("number"))
        .order_by(audit.c.audit_id)
        .execution_options(yield_per=AT_ONCE)
    )
    for row in rows:
        damage = _damage(row, found.head, SEED, _own_hash(row))
        if damage is not None:
            found.note(damage, row.audit_id)
        found.count(row)
        found.head = row.hash or found.head
        if found.since is not None:
            found.since += 1
        elif head is not None and row.hash == head:
            found.since = 0
    if head is not None and found.since is None:
        found.note(Damage.CUT_OFF, 0)
    return found


def _follow_run(found: EventChains, run_id: int, rows: Iterable[_Row]) -> None:
    first = seed(run_id)
    before, seq = first, 0
    end: tuple[int | None, str | None] = (None, None)
    for row in rows:
        end = (row.number, row.chain_head)
        if row.event_id is None:
            # A run without events is one row of nulls.
            continue
        damage = _damage_of_event(row, before, first, seq)
        if damage is not None:
            found.note(damage, row.seq, run_id)
        found.count(row)
        before, seq = row.hash or before, row.seq
    found.runs += 1
    if end == (None, None):
        found.open_runs += 1
    elif end != (seq, before):
        found.note(Damage.CUT_OFF, 0, run_id)


def _damage_of_event(row: _Row, before: str, first: str, seq: int) -> Damage | None:
    if row.seq != seq + 1:
        return Damage.UNLINKED
    fields = [getattr(row, name) for name in CHAINED]
    return _damage(row, before, first, chain.link(row.prev_hash or "", fields))


def _own_hash(row: _Row) -> str:
    texts = (row.actor, row.act, row.selector, row.reason)
    return hash_of(row.prev_hash or "", row.act_at, texts, row.number)


def _damage(row: _Row, before: str, first: str, own: str) -> Damage | None:
    """What is wrong with a row.

    Args:
        before: the hash of the row before it; `first` where there is none.
        own: the hash that its content has.
    """
    if row.hash is None:
        return None if before == first else Damage.UNLINKED
    if row.hash != own:
        return Damage.ALTERED
    return None if row.prev_hash == before else Damage.UNLINKED


def _without_run(connection: Connection) -> Iterator[_Row]:
    """Events of runs that are not there, and those from before runs had chains."""
    rows = (
        select(event.c.seq, event.c.run_id, event.c.hash)
        .join_from(event, run, run.c.run_id == event.c.run_id, isouter=True)
        .where(run.c.run_id.is_(None))
        .execution_options(yield_per=AT_ONCE)
    )
    return iter(connection.execute(rows))
