"""Claims: stable items get work, and a worker leases it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Function,
    Row,
    Select,
    and_,
    case,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from ecgbatch.errors import SetupFault
from ecgbatch.reasons import REASONS
from ecgbatch.records import WorkUnit
from ecgbatch.store.control import is_halted
from ecgbatch.store.engine import WHOLE_TABLES_S, now, take_time
from ecgbatch.store.events import Event, record
from ecgbatch.store.locks import Held, fence
from ecgbatch.store.revision import check_migrated
from ecgbatch.store.seconds import seconds_between
from ecgbatch.store.tables import (
    NEW_REQUEST,
    activation,
    bundle,
    item,
    recording,
    result,
    work,
)
from ecgbatch.terms import BundleRole, ItemState, ReasonCode, WorkState

CHAMPION_PRIORITY = 0
CHALLENGER_PRIORITY = 10
RESCORE_PRIORITY = 20
"""Smaller comes first; from here on it is the lane of re-scorings."""
MAX_LOSSES = 3
"""Workers that an ECG may lose, claimed alone, before it is held to kill them."""

Lane = Literal["new", "rescore"]

_CLOCK_SLACK_S = 0.001
_CHAMPION_LOCK = (25443, 2)
"""Two numbers of a PostgreSQL advisory lock."""
_MANY = 1000


def admit(
    connection: Connection,
    source_id: int,
    settle_s: float,
    grace_s: float,
    *,
    held: Held | None = None,
) -> int:
    """Give work to every item whose two looks agree.

    Two looks at least `settle_s` apart saw the same fingerprint (0: one look is enough). An item
    that is not whole waits `grace_s` longer, then is admitted too, so that reading it says what
    is missing.

    The work is for whoever is champion now, which nobody becomes before this transaction ends;
    challengers get work of their own, later in the queue.

    Args:
        held: the source's lock.

    Returns:
        How many items were admitted.

    Raises:
        SetupFault: LOCK_LOST, another scan has begun since; BUNDLE_NOT_ACTIVE, there is no
            champion. Nothing is written.
    """
    take_time(connection, WHOLE_TABLES_S)
    fence(connection, held)
    champion = held_champion(connection)
    stable = _is_stable(source_id, settle_s, grace_s)
    connection.execute(
        insert(work).from_select(
            ["item_id", "bundle_digest", "request", "state", "reason", "reason_class", "priority"],
            _new_work(stable, champion),
        )
    )
    admission = update(item).where(stable).values(state=ItemState.ADMITTED, reason=None)
    admitted = connection.execute(admission).rowcount
    if admitted >= _MANY and connection.dialect.name == "postgresql":
        # Until then the planner takes the tables for empty, and claims for cheap.
        connection.exec_driver_sql("ANALYZE item, work")
    return admitted


def held_champion(connection: Connection) -> str:
    """The champion's digest; it stays champion until the transaction ends.

    Raises:
        SetupFault: BUNDLE_NOT_ACTIVE, there is none.
    """
    keep_champion(connection, func.pg_advisory_xact_lock_shared)
    row = select(activation.c.bundle_digest).where(
        activation.c.role == BundleRole.CHAMPION, activation.c.to_at.is_(None)
    )
    digest: str | None = connection.execute(row).scalar()
    if digest is None:
        raise SetupFault(ReasonCode.BUNDLE_NOT_ACTIVE)
    return digest


def keep_champion(connection: Connection, lock: Callable[[int, int], Function[Any]]) -> None:
    """Until the transaction ends: shared, no role changes; exclusive, nobody relies on a role.

    A lock on the row would need a right to change it. On SQLite one transaction writes at any
    time.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(lock(*_CHAMPION_LOCK)))


def role_of(connection: Connection, bundle_digest: str) -> BundleRole | None:
    """What a bundle is now: champion, challenger, or neither."""
    active = select(activation.c.role).where(
        activation.c.bundle_digest == bundle_digest, activation.c.to_at.is_(None)
    )
    role = connection.execute(active).scalar()
    return None if role is None else BundleRole(role)


def claimable_by(role: BundleRole) -> list[ColumnElement[bool]]:
    """Conditions on work and item for a bundle of this role.

    A challenger follows: it scores what a champion has a result for, while that recording is
    current and still lies somewhere. So it never is the first to read an ECG, and what kills a
    champion's worker does not kill another one for it.
    """
    conditions = [item.c.state == ItemState.ADMITTED]
    if role is BundleRole.CHAMPION:
        return conditions
    champions = select(activation.c.bundle_digest).where(activation.c.role == BundleRole.CHAMPION)
    is_current = exists().where(
        recording.c.recording_id == item.c.recording_id, recording.c.superseded_at.is_(None)
    )
    is_read = exists().where(
        result.c.recording_id == item.c.recording_id, result.c.bundle_digest.in_(champions)
    )
    return [*conditions, is_there(), is_current, is_read]


def is_there() -> ColumnElement[bool]:
    """The file of an item still lies in its place, or in the archive and is read there."""
    return or_(item.c.gone_at.is_(None), item.c.archived_at == item.c.gone_at)


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
    lane: Lane = "new",
    max_losses: int = MAX_LOSSES,
    is_holding: bool = False,
) -> list[WorkUnit]:
    """Lease work: one whose worker was lost, alone, else up to `limit` that are due.

    Commit before any byte is read, so that a crash counts. What has lost `max_losses` workers
    while it was the only thing they held is quarantined. Nothing is leased while the ledger is
    halted, or for a bundle that is neither champion nor challenger any more; a challenger gets
    what `claimable_by` leaves it.

    Args:
        source_id: only of this source; None for all.
        as_of: work that waits is due if its time came before this; None is now. A run that
            passes its own start meets nothing twice.
        lane: `new` for first scorings, `rescore` for those that an operator asked for.
        is_holding: the worker still holds other work. Then nothing is leased where there is work
            that was lost, for that is claimed alone: ask again when nothing is held.

    Raises:
        SetupFault: DATABASE_REVISION, the database was migrated under a running worker.
    """
    check_migrated(connection)
    # A role that ends meanwhile would leave a lease that nobody takes over.
    keep_champion(connection, func.pg_advisory_xact_lock_shared)
    role = role_of(connection, bundle_digest)
    if is_halted(connection) or role is None:
        return []
    moment = now(connection)
    here = [work.c.bundle_digest == bundle_digest, _in(lane), *claimable_by(role)]
    if source_id is not None:
        here.append(item.c.source_id == source_id)
    lost = and_(*here, work.c.state == WorkState.LEASED, work.c.lease_until < moment)
    rows = list(connection.execute(_claimable(lost, 1)))
    if rows and is_holding:
        return []
    if rows:
        spent = _quarantine_spent(connection, lost, max_losses, moment, run_id)
        if role is BundleRole.CHAMPION:
            _unacknowledge(connection, spent)
        rows = list(connection.execute(_claimable(lost, 1)))
        record(connection, run_id, [_lost(row) for row in rows])
    if not rows:
        # One state at a time, in the order of an index: with OR all of a queue would be sorted.
        ready = and_(*here, work.c.state == WorkState.READY)
        due = work.c.next_at <= (as_of or moment)
        waited = and_(*here, work.c.state == WorkState.RETRY_WAIT, due)
        rows = list(connection.execute(_claimable(ready, limit)))
        if len(rows) < limit:
            rows += connection.execute(_claimable(waited, limit - len(rows)))
    lease: dict[str, str | datetime] = {
        "pipeline_id": pipeline_id,
        "worker": worker,
        "leased_at": moment,
        "lease_until": moment + timedelta(seconds=lease_s),
    }
    is_alone = len(rows) == 1 and not is_holding
    _lease(connection, [row.work_id for row in rows], lease, is_alone=is_alone)
    return [_unit(row, bundle_digest) for row in rows]


def _in(lane: Lane) -> ColumnElement[bool]:
    """By priority, which the index of claims has, and not by request, which it has not."""
    if lane == "rescore":
        return work.c.priority >= RESCORE_PRIORITY
    return work.c.priority < RESCORE_PRIORITY


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
    columns = (work.c.work_id, work.c.token, work.c.request, work.c.is_alone, work.c.losses)
    of_item = (item.c.item_id, item.c.source_id, item.c.locator, item.c.fingerprint)
    return (
        select(*columns, *of_item)
        .join(item, item.c.item_id == work.c.item_id)
        .where(condition)
        .order_by(work.c.priority, work.c.work_id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=work)
    )


def _lease(
    connection: Connection,
    work_ids: Sequence[int],
    lease: Mapping[str, str | datetime],
    *,
    is_alone: bool,
) -> None:
    """A lease lost while it was its worker's only one counts against the ECG, no other does."""
    if not work_ids:
        return
    was_lost_alone = and_(work.c.state == WorkState.LEASED, work.c.is_alone)
    connection.execute(
        update(work)
        .where(work.c.work_id.in_(work_ids))
        .values(
            state=WorkState.LEASED,
            token=work.c.token + 1,
            attempts=work.c.attempts + 1,
            losses=case((was_lost_alone, work.c.losses + 1), else_=work.c.losses),
            is_alone=is_alone,
            next_at=None,
            stage=None,
            **lease,
        )
    )


def _unit(row: Row[tuple[object, ...]], bundle_digest: str) -> WorkUnit:
    return WorkUnit(
        row.work_id,
        row.item_id,
        row.locator,
        row.fingerprint,
        row.token + 1,
        bundle_digest,
        row.source_id,
        row.request,
    )


def _quarantine_spent(
    connection: Connection,
    lost: ColumnElement[bool],
    max_losses: int,
    moment: datetime,
    run_id: int | None,
) -> list[int]:
    """Set aside what has lost too many workers; returns the items."""
    is_spent = and_(lost, work.c.is_alone, work.c.losses + 1 >= max_losses)
    spent = connection.execute(_claimable(is_spent, _MANY)).all()
    if not spent:
        return []
    connection.execute(
        update(work)
        .where(work.c.work_id.in_([row.work_id for row in spent]))
        .values(
            state=WorkState.QUARANTINED,
            reason=ReasonCode.CRASH_LOOP,
            reason_class=REASONS[ReasonCode.CRASH_LOOP].reason_class,
            losses=work.c.losses + 1,
            lease_until=None,
            finished_at=moment,
        )
    )
    record(connection, run_id, [step for row in spent for step in (_lost(row), _spent(row))])
    return [row.item_id for row in spent]


def _unacknowledge(connection: Connection, item_ids: Sequence[int]) -> None:
    if item_ids:
        connection.execute(
            update(item)
            .where(item.c.item_id.in_(item_ids))
            .values(acknowledged_at=None, acknowledged_by=None, acknowledged_why=None)
        )


def _lost(row: Row[tuple[object, ...]]) -> Event:
    kind = "lost_alone" if row.is_alone else "lost"
    return Event(kind, row.item_id, row.work_id, WorkState.LEASED, WorkState.LEASED)


def _spent(row: Row[tuple[object, ...]]) -> Event:
    return Event(
        "finished",
        row.item_id,
        row.work_id,
        WorkState.LEASED,
        WorkState.QUARANTINED,
        ReasonCode.CRASH_LOOP,
    )
