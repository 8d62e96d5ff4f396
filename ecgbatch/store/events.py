"""The append-only events: what moved from which state to which, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from ecgbatch.errors import EcgbatchError
from ecgbatch.store import chain
from ecgbatch.store.bulk import insert_rows
from ecgbatch.store.engine import now
from ecgbatch.store.tables import event
from ecgbatch.terms import ReasonCode

CHAINED = (
    *("run_id", "seq", "event_at", "item_id", "work_id"),
    *("kind", "from_state", "to_state", "reason"),
)
"""The columns that a row's hash covers, in order."""


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
    """Append `events` to those of the run, in order and chained by their hashes.

    Raises:
        EcgbatchError: INTERNAL_FAULT, an event without a run has no chain.
    """
    if not events:
        return
    if run_id is None:
        raise EcgbatchError(ReasonCode.INTERNAL_FAULT, "an event without a run")
    insert_rows(connection, event, _chained(connection, run_id, events))


def _chained(
    connection: Connection, run_id: int, events: Sequence[Event]
) -> list[dict[str, chain.Field]]:
    seq, before = head(connection, run_id)
    moment = now(connection)
    rows: list[dict[str, chain.Field]] = []
    for number, change in enumerate(events, seq + 1):
        row: dict[str, chain.Field] = {
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
        own = chain.link(before, [row[name] for name in CHAINED])
        rows.append({**row, "prev_hash": before, "hash": own})
        before = own
    return rows


def head(connection: Connection, run_id: int) -> tuple[int, str]:
    """How many events the run has, and the hash of the last one."""
    newest = select(event.c.seq, event.c.hash).where(event.c.run_id == run_id)
    row = connection.execute(newest.order_by(event.c.seq.desc()).limit(1)).first()
    if row is None:
        return 0, seed(run_id)
    # Rows from before there were hashes have none: the chain begins after them.
    return row.seq, row.hash or seed(run_id)


def seed(run_id: int) -> str:
    """What the first event of a run names in place of one before it."""
    return chain.seed(f"run {run_id}")
