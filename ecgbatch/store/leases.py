"""Leases after the claim: held on to, given back, or ended because their worker is dead."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Connection, delete, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from ecgbatch.reasons import REASONS
from ecgbatch.records import WorkUnit
from ecgbatch.store.engine import now
from ecgbatch.store.events import Event, record
from ecgbatch.store.tables import item, work
from ecgbatch.store.tables_ledger import heartbeat
from ecgbatch.terms import ReasonCode, WorkState

_AS_BEFORE: Mapping[str, object] = {
    "state": WorkState.READY,
    "reason": ReasonCode.INTERRUPTED,
    "reason_class": REASONS[ReasonCode.INTERRUPTED].reason_class,
    "attempts": work.c.attempts - 1,
    "lease_until": None,
}
"""Work whose lease has ended before anything came of it."""


def renew(connection: Connection, held: Sequence[WorkUnit], lease_s: float) -> set[int]:
    """Move the end of the leases to `lease_s` from now.

    Returns:
        The work ids that are still ours; what is not among them is another's and is dropped.
    """
    if not held:
        return set()
    ours = tuple_(work.c.work_id, work.c.token).in_([(unit.work_id, unit.token) for unit in held])
    renewed = connection.execute(
        update(work)
        .where(ours, work.c.state == WorkState.LEASED)
        .values(lease_until=now(connection) + timedelta(seconds=lease_s))
        .returning(work.c.work_id)
    )
    return set(renewed.scalars())


def beat(connection: Connection, worker: str, kind: str, run_id: int | None) -> None:
    """Write down that a worker lives; one row per worker, made at its first beat.

    Args:
        kind: what it does: `run-once`, `work`, `serve`.
    """
    moment = now(connection)
    values = {"worker": worker, "kind": kind, "run_id": run_id, "seen_at": moment}
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(
        dialect.insert(heartbeat)
        .values(started_at=moment, **values)
        .on_conflict_do_update(index_elements=["worker"], set_=values)
    )


def leave(connection: Connection, worker: str) -> None:
    """A worker has ended its work in peace; its row goes, so that nobody misses it."""
    connection.execute(delete(heartbeat).where(heartbeat.c.worker == worker))


def holders(connection: Connection, source_id: int | None = None) -> list[str]:
    """The workers that hold a lease on anything of this source, or of any."""
    held = select(work.c.worker).where(work.c.state == WorkState.LEASED).distinct()
    if source_id is not None:
        held = held.join(item, item.c.item_id == work.c.item_id)
        held = held.where(item.c.source_id == source_id)
    return [str(worker) for worker in connection.execute(held).scalars()]


def bury(connection: Connection, worker: str) -> int:
    """End the leases of a worker that is known to be dead; its work is claimed again, alone.

    Should it live after all, its token is old once that has happened, and it can write nothing.
    """
    moment = now(connection)
    ended = (
        update(work)
        .where(work.c.worker == worker, work.c.state == WorkState.LEASED)
        .values(lease_until=moment - timedelta(seconds=1))
    )
    leave(connection, worker)
    return connection.execute(ended).rowcount


def release_all(connection: Connection, worker: str, run_id: int) -> int:
    """Give back whatever is leased in a worker's name, when it holds nothing that it knows of.

    A claim whose answer was lost on the way leaves such leases.

    Returns:
        How many units were given back.
    """
    columns = (work.c.work_id, work.c.item_id, work.c.token, work.c.bundle_digest, work.c.request)
    of_item = (item.c.locator, item.c.fingerprint, item.c.source_id)
    rows = connection.execute(
        select(*columns, *of_item)
        .join(item, item.c.item_id == work.c.item_id)
        .where(work.c.worker == worker, work.c.state == WorkState.LEASED)
    )
    units = [WorkUnit(**row) for row in rows.mappings()]
    return release(connection, units, run_id)


def release(connection: Connection, units: Sequence[WorkUnit], run_id: int | None = None) -> int:
    """Give leased work back untouched, without an attempt spent; what is no longer held stays.

    Returns:
        How many units were given back.
    """
    given_back = [unit for unit in units if _release_one(connection, unit)]
    record(connection, run_id, [_released(unit) for unit in given_back])
    return len(given_back)


def void(connection: Connection, bundle_digest: str) -> None:
    """End the leases of a bundle that scores no more; whoever holds one can write nothing of it.

    Nobody would claim them for it again, so they would stay leased for ever.
    """
    connection.execute(
        update(work)
        .where(work.c.bundle_digest == bundle_digest, work.c.state == WorkState.LEASED)
        .values({**_AS_BEFORE, "token": work.c.token + 1})
    )


def _release_one(connection: Connection, unit: WorkUnit) -> bool:
    statement = (
        update(work)
        .where(
            work.c.work_id == unit.work_id,
            work.c.token == unit.token,
            work.c.state == WorkState.LEASED,
        )
        .values(_AS_BEFORE)
    )
    return connection.execute(statement).rowcount == 1


def _released(unit: WorkUnit) -> Event:
    return Event(
        "released",
        unit.item_id,
        unit.work_id,
        WorkState.LEASED,
        WorkState.READY,
        ReasonCode.INTERRUPTED,
    )
