"""Whether the ledger keeps its promises: every invariant that a query can decide.

Nothing is repaired here. What each check means is in docs/ledger.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, text

from ecgbatch.errors import EcgbatchError
from ecgbatch.store.chain_check import (
    AT_ONCE,
    EXAMPLES,
    Break,
    Chains,
    audit_chain,
    event_chains,
)
from ecgbatch.store.checks_guards import missing_guards
from ecgbatch.store.checks_sql import CHEAP, CHECKS, Check
from ecgbatch.store.columns import UtcTime
from ecgbatch.store.engine import now, take_time
from ecgbatch.terms import ReasonCode

LATE_S = 300.0
"""Seconds that a lease may have ended before it counts as overdue."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one check ended; `examples` are rows by number, such as `work 12`, never by place."""

    id: str
    title: str
    broken: int
    examples: tuple[str, ...] = ()


def examine(connection: Connection, *, late_s: float = LATE_S) -> Iterator[Finding]:
    """Every check in turn, sound or not. Rows are streamed, so that any ledger fits.

    Args:
        late_s: seconds that a lease may have ended before it counts as overdue.
    """
    take_time(connection)
    _plan_for_all_rows(connection)
    overdue = now(connection) - timedelta(seconds=late_s)
    for check in CHECKS:
        values = {"overdue": overdue} if ":overdue" in check.sql else {}
        yield _counted(connection, check, values)
    yield _of_chains("I7a", "the events of each run are one chain", event_chains(connection))
    yield _of_chains("I7b", "the audit rows are one chain", audit_chain(connection))
    missing = missing_guards(connection)
    title = "the triggers that keep rows from being changed stand"
    yield Finding("I7c", title, len(missing), missing[:EXAMPLES])


def broken(connection: Connection, *, late_s: float = LATE_S) -> list[Finding]:
    """The checks that found something; empty in a sound ledger."""
    return [finding for finding in examine(connection, late_s=late_s) if finding.broken]


def cheap(connection: Connection, run_id: int) -> None:
    """What is checked after every run, beside the balance: its results, and all leases.

    Raises:
        EcgbatchError: LEDGER_UNBALANCED, with the id of the check.
    """
    for check in CHEAP:
        values = {"run_id": run_id} if ":run_id" in check.sql else {}
        found = _counted(connection, check, values)
        if found.broken:
            detail = f"check {found.id}: {found.broken} rows, {', '.join(found.examples)}"
            raise EcgbatchError(ReasonCode.LEDGER_UNBALANCED, detail)


def _plan_for_all_rows(connection: Connection) -> None:
    """Where the server plans for the first rows, or for tables it takes for small, a join of two
    large ones never ends.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL cursor_tuple_fraction = 1")
        connection.exec_driver_sql("SET LOCAL enable_nestloop = off")


def _counted(connection: Connection, check: Check, values: Mapping[str, datetime | int]) -> Finding:
    statement = text(check.sql)
    if "overdue" in values:
        statement = statement.bindparams(bindparam("overdue", type_=UtcTime))
    number = 0
    examples: list[str] = []
    rows = connection.execute(statement.execution_options(yield_per=AT_ONCE), values)
    for row_id in rows.scalars():
        number += 1
        if len(examples) < EXAMPLES:
            examples.append(f"{check.rows} {row_id}")
    return Finding(check.id, check.title, number, tuple(examples))


def _of_chains(check_id: str, title: str, found: Chains) -> Finding:
    return Finding(check_id, title, found.broken, tuple(map(_place, found.examples)))


def _place(one: Break) -> str:
    where = f"event {one.number} of run {one.run_id}" if one.run_id else f"audit {one.number}"
    return f"{where if one.number else where.replace('event 0', 'end')}: {one.damage}"
