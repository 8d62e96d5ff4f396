"""The append-only events: what moved from which state to which, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from ecgbatch.store.engine import now
from ecgbatch.store.tables import event
from ecgbatch.terms import ReasonCode


@dataclass(frozen=True, slots=True)
class Event:
    """One change; `kind` says which, the states are those of the item or of the work."""

    kind: str
    item_id: int | None = None
    work_id: int | None = None
    from_state: str | None = None
    to_state: str | None = None
    reason: ReasonCode | None = None


def record(connection: Connection, run_id: int | None, events: Sequence[Event]) -> None:
    """Append `events` to those of the run, numbered in order; the hash chain comes later."""
    if not events:
        return
    newest = select(func.coalesce(func.max(event.c.seq), 0)).where(
        event.c.run_id.is_not_distinct_from(run_id)
    )
    seq: int = connection.execute(newest).scalar_one()
    moment = now(connection)
    connection.execute(
        insert(event),
        [
            {
                "run_id": run_id,
                "seq": number,
                "event_at": moment,
                "item_id": change.item_id,
                "work_id": change.work_id,
                "kind": change.kind,
                "from_state": change.from_state,
                "to_state": change.to_state,
                "reason": change.reason,
            }
            for number, change in enumerate(events, seq + 1)
        ],
    )
