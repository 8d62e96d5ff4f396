"""Halt and resume: while the ledger is halted, nothing is claimed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from ecgbatch.store import audit_log
from ecgbatch.store.engine import now
from ecgbatch.store.tables_ledger import control

_ONLY = 1


@dataclass(frozen=True, slots=True)
class Halt:
    """Since when nothing is claimed, by whose order, and why."""

    at: datetime
    by: str
    why: str


def halted(connection: Connection) -> Halt | None:
    """The halt that holds now."""
    row = connection.execute(select(control).where(control.c.control_id == _ONLY)).first()
    if row is None or row.halted_at is None:
        return None
    return Halt(row.halted_at, row.halted_by, row.halted_why)


def is_halted(connection: Connection) -> bool:
    """Whether an operator has halted all claims of this database."""
    return halted(connection) is not None


def halt(connection: Connection, actor: str, why: str) -> bool:
    """Let nothing be claimed from now on; workers end the batch that they hold.

    Returns:
        False if it was halted already; that halt and its reason stay.
    """
    changed = not is_halted(connection)
    if changed:
        values = {"halted_at": now(connection), "halted_by": actor, "halted_why": why}
        _set(connection, values)
    audit_log.write(
        connection, actor=actor, act="halt", selector="all", reason=why, count=int(changed)
    )
    return changed


def resume(connection: Connection, actor: str, why: str) -> bool:
    """Let claims go on.

    Returns:
        False if nothing was halted.
    """
    changed = is_halted(connection)
    if changed:
        _set(connection, dict.fromkeys(("halted_at", "halted_by", "halted_why")))
    audit_log.write(
        connection, actor=actor, act="resume", selector="all", reason=why, count=int(changed)
    )
    return changed


def _set(connection: Connection, values: dict[str, object]) -> None:
    written = connection.execute(
        update(control).where(control.c.control_id == _ONLY).values(values)
    )
    if written.rowcount == 0:
        connection.execute(insert(control).values(control_id=_ONLY, **values))
