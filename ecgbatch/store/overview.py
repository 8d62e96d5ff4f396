"""Small questions that a run and `status` ask: is there work, is there anything, what is why."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, and_, column, exists, func, or_, select, table

from ecgbatch.reasons import Unknown, known
from ecgbatch.store.claims import claimable_by, role_of
from ecgbatch.store.engine import now
from ecgbatch.store.tables import item, recording, work
from ecgbatch.terms import Disposition, ReasonCode, WorkState

_DISPOSITION = table(
    "v_disposition",
    column("item_id"),
    column("locator"),
    column("disposition"),
    column("reason"),
)


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many items have a disposition for a reason."""

    disposition: Disposition
    reason: ReasonCode | Unknown
    items: int


@dataclass(frozen=True, slots=True)
class Stuck:
    """An item that waits because something is amiss; `locator` is for operators alone."""

    item_id: int
    locator: str = field(repr=False)
    disposition: Disposition
    reason: ReasonCode | Unknown


def stuck(connection: Connection) -> list[Stuck]:
    """What waits for another reason than being new or next: incomplete, unreadable, changing."""
    ordinary = (ReasonCode.NEW, ReasonCode.INTERRUPTED, ReasonCode.OPERATOR)
    columns = _DISPOSITION.c
    rows = connection.execute(
        select(columns.item_id, columns.locator, columns.disposition, columns.reason)
        .where(columns.disposition == Disposition.WAITING, columns.reason.not_in(ordinary))
        .order_by(columns.item_id)
    )
    return [
        Stuck(item_id, locator, Disposition(kind), known(why))
        for item_id, locator, kind, why in rows
    ]


def has_recordings(connection: Connection) -> bool:
    return bool(connection.execute(select(exists().select_from(recording))).scalar_one())


def a_patient_key(connection: Connection) -> str | None:
    """Any patient key of the database; all are of one kind."""
    known = select(recording.c.patient_key).where(recording.c.patient_key.is_not(None)).limit(1)
    return connection.execute(known).scalar()


def due(
    connection: Connection,
    source_id: int | None,
    bundle_digest: str,
    as_of: datetime | None = None,
    at_most: int | None = None,
) -> int:
    """How many units a claim could lease, of both lanes, expired leases included.

    For a bundle that is neither champion nor challenger any more that is none.

    Args:
        source_id: only of this source; None for all.
        as_of: as of `claims.claim`.
        at_most: count no further.
    """
    role = role_of(connection, bundle_digest)
    if role is None:
        return 0
    moment = now(connection)
    waiting = and_(work.c.state == WorkState.RETRY_WAIT, work.c.next_at <= (as_of or moment))
    lost = and_(work.c.state == WorkState.LEASED, work.c.lease_until < moment)
    here = [] if source_id is None else [item.c.source_id == source_id]
    units = (
        select(work.c.work_id)
        .select_from(work.join(item, item.c.item_id == work.c.item_id))
        .where(
            work.c.bundle_digest == bundle_digest,
            *claimable_by(role),
            *here,
            or_(work.c.state == WorkState.READY, waiting, lost),
        )
    )
    counted = select(func.count()).select_from(units.limit(at_most).subquery())
    return int(connection.execute(counted).scalar_one())


def reasons(connection: Connection) -> list[ReasonCount]:
    """Every disposition that has a reason, with its reasons, most frequent first."""
    number = func.count()
    rows = connection.execute(
        select(_DISPOSITION.c.disposition, _DISPOSITION.c.reason, number)
        .where(_DISPOSITION.c.reason.is_not(None))
        .group_by(_DISPOSITION.c.disposition, _DISPOSITION.c.reason)
        .order_by(_DISPOSITION.c.disposition, number.desc(), _DISPOSITION.c.reason)
    )
    return [ReasonCount(Disposition(kind), known(why), items) for kind, why, items in rows]
