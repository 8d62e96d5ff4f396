"""Claims: stable items get work, and a worker leases it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    exists,
    insert,
    literal,
    or_,
    select,
    update,
)

from ecgbatch.reasons import REASONS
from ecgbatch.records import WorkUnit
from ecgbatch.store.engine import now
from ecgbatch.store.events import Event, record
from ecgbatch.store.seconds import seconds_between
from ecgbatch.store.tables import NEW_REQUEST, activation, bundle, item, work
from ecgbatch.terms import BundleRole, ItemState, ReasonCode, WorkState

CHAMPION_PRIORITY = 0
CHALLENGER_PRIORITY = 10
"""Smaller comes first."""
MAX_ATTEMPTS = 5
"""Leases that may expire before an ECG is held to kill its worker."""

_CLOCK_SLACK_S = 0.001
_MANY = 1000


def admit(
    connection: Connection,
    source_id: int,
    bundle_digest: str,
    settle_s: float,
    grace_s: float,
) -> int:
    """Give work to every item whose two looks agree.

    Two looks at least `settle_s` apart saw the same fingerprint (0: one look is enough). An item
    that is not whole waits `grace_s` longer, then is admitted too, so that reading it says what
    is missing.

    Args:
        bundle_digest: the champion; challengers get work of their own, later in the queue.

    Returns:
        How many items were admitted.
    """
    stable = _is_stable(source_id, settle_s, grace_s)
    connection.execute(
        insert(work).from_select(
            ["item_id", "bundle_digest", "request", "state", "reason", "reason_class", "priority"],
            _new_work(stable, bundle_digest),
        )
    )
    admission = update(item).where(stable).values(state=ItemState.ADMITTED, reason=None)
    admitted = connection.execute(admission).rowcount
    if admitted >= _MANY and connection.dialect.name == "postgresql":
        # Until then the planner takes the tables for empty, and claims for cheap.
        connection.exec_driver_sql("ANALYZE item, work")
    return admitted


def claim(
    connection: Connection,
    source_id: int | None,
    bundle_digest: str,
    *,
    pipeline_id: str,
    worker: str,
    limit: int,
    lease_s: float,
    as_of: datetime | None = None,
    run_id: int | None = None,
    max_attempts: int = MAX_ATTEMPTS,
) -> list[WorkUnit]:
    """Lease work: one whose worker was lost, alone, else up to `limit` that are due.

    Commit before any byte is read, so that a crash counts. What has lost its worker
    `max_attempts` times is quarantined.

    Args:
        source_id: only of this source; None for all.
        as_of: work that waits is due if its time came before this; None is now. A run that
            passes its own start meets nothing twice.
    """
    moment = now(connection)
    here = [work.c.bundle_digest == bundle_digest, item.c.state == ItemState.ADMITTED]
    if source_id is not None:
        here.append(item.c.source_id == source_id)
    lost = and_(*here, work.c.state == WorkState.LEASED, work.c.lease_until < moment)
    _quarantine_spent(connection, lost, max_attempts, moment, run_id)
    ready = and_(*here, work.c.state == WorkState.READY)
    waited = and_(*here, work.c.state == WorkState.RETRY_WAIT, work.c.next_at <= (as_of or moment))
    rows = list(connection.execute(_claimable(lost, 1)))
    if not rows:
        # One state at a time, in the order of an index: with OR all of a queue would be sorted.
        rows = list(connection.execute(_claimable(ready, limit)))
        rows += connection.execute(_claimable(waited, limit - len(rows)))
    lease: dict[str, str | datetime] = {
        "pipeline_id": pipeline_id,
        "worker": worker,
        "lease_until": moment + timedelta(seconds=lease_s),
    }
    _lease(connection, [row.work_id for row in rows], lease)
    return [_unit(row, bundle_digest) for row in rows]


def holders(connection: Connection, source_id: int) -> list[str]:
    """The workers that hold a lease on anything of this source."""
    held = (
        select(work.c.worker)
        .join(item, item.c.item_id == work.c.item_id)
        .where(item.c.source_id == source_id, work.c.state == WorkState.LEASED)
        .distinct()
    )
    return [str(worker) for worker in connection.execute(held).scalars()]


def expire(connection: Connection, worker: str) -> int:
    """End the leases of a worker that is known to be dead; its work is claimed again, alone.

    Should it live after all, its token is old by then and it can write nothing.
    """
    moment = now(connection)
    ended = (
        update(work)
        .where(work.c.worker == worker, work.c.state == WorkState.LEASED)
        .values(lease_until=moment - timedelta(seconds=1))
    )
    return connection.execute(ended).rowcount


def release(connection: Connection, units: Sequence[WorkUnit], run_id: int | None = None) -> int:
    """Give leased work back untouched, without an attempt spent; what is no longer held stays.

    Returns:
        How many units were given back.
    """
    given_back = [unit for unit in units if _release_one(connection, unit)]
    record(connection, run_id, [_released(unit) for unit in given_back])
    return len(given_back)


def _release_one(connection: Connection, unit: WorkUnit) -> bool:
    statement = (
        update(work)
        .where(
            work.c.work_id == unit.work_id,
            work.c.token == unit.token,
            work.c.state == WorkState.LEASED,
        )
        .values(
            state=WorkState.READY,
            reason=ReasonCode.INTERRUPTED,
            reason_class=REASONS[ReasonCode.INTERRUPTED].reason_class,
            attempts=work.c.attempts - 1,
            lease_until=None,
        )
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


def _is_stable(source_id: int, settle_s: float, grace_s: float) -> ColumnElement[bool]:
    looked_s = seconds_between(item.c.changed_at, item.c.last_seen_at)
    wait_s = case((item.c.reason == ReasonCode.INCOMPLETE, max(settle_s, grace_s)), else_=settle_s)
    return and_(
        item.c.source_id == source_id,
        item.c.state == ItemState.DISCOVERED,
        item.c.missing_scans == 0,
        looked_s + _CLOCK_SLACK_S >= wait_s,
    )


def _new_work(stable: ColumnElement[bool], champion: str) -> Select[tuple[object, ...]]:
    """One row for the champion and each challenger; an item that returned keeps its work."""
    challenged = exists().where(
        activation.c.bundle_digest == bundle.c.bundle_digest,
        activation.c.role == BundleRole.CHALLENGER,
        activation.c.to_at.is_(None),
    )
    is_champion = bundle.c.bundle_digest == champion
    columns = select(
        item.c.item_id,
        bundle.c.bundle_digest,
        literal(NEW_REQUEST),
        literal(WorkState.READY.value),
        literal(ReasonCode.NEW.value),
        literal(REASONS[ReasonCode.NEW].reason_class.value),
        case((is_champion, CHAMPION_PRIORITY), else_=CHALLENGER_PRIORITY),
    )
    return (
        columns.join_from(item, bundle, or_(is_champion, challenged))
        .where(stable, ~exists().where(work.c.item_id == item.c.item_id))
        .order_by(item.c.item_id)
    )


def _claimable(condition: ColumnElement[bool], limit: int) -> Select[tuple[object, ...]]:
    return (
        select(work.c.work_id, work.c.token, item.c.item_id, item.c.locator, item.c.fingerprint)
        .join(item, item.c.item_id == work.c.item_id)
        .where(condition)
        .order_by(work.c.priority, work.c.work_id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=work)
    )


def _lease(
    connection: Connection, work_ids: Sequence[int], lease: Mapping[str, str | datetime]
) -> None:
    if not work_ids:
        return
    connection.execute(
        update(work)
        .where(work.c.work_id.in_(work_ids))
        .values(
            state=WorkState.LEASED,
            token=work.c.token + 1,
            attempts=work.c.attempts + 1,
            next_at=None,
            stage=None,
            **lease,
        )
    )


def _unit(row: Row[tuple[object, ...]], bundle_digest: str) -> WorkUnit:
    return WorkUnit(
        row.work_id, row.item_id, row.locator, row.fingerprint, row.token + 1, bundle_digest
    )


def _quarantine_spent(
    connection: Connection,
    lost: ColumnElement[bool],
    max_attempts: int,
    moment: datetime,
    run_id: int | None,
) -> None:
    spent = connection.execute(_claimable(and_(lost, work.c.attempts >= max_attempts), 1000)).all()
    if not spent:
        return
    connection.execute(
        update(work)
        .where(work.c.work_id.in_([row.work_id for row in spent]))
        .values(
            state=WorkState.QUARANTINED,
            reason=ReasonCode.RETRIES_SPENT,
            reason_class=REASONS[ReasonCode.RETRIES_SPENT].reason_class,
            lease_until=None,
            finished_at=moment,
        )
    )
    record(connection, run_id, [_spent(row) for row in spent])


def _spent(row: Row[tuple[object, ...]]) -> Event:
    return Event(
        "finished",
        row.item_id,
        row.work_id,
        WorkState.LEASED,
        WorkState.QUARANTINED,
        ReasonCode.RETRIES_SPENT,
    )
