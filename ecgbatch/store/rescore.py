"""Requests to score again: work in a lane of its own, whose results are added to those there."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    column,
    func,
    insert,
    literal,
    or_,
    select,
    table,
    true,
    update,
)

from ecgbatch.reasons import REASONS
from ecgbatch.store.acts import act
from ecgbatch.store.claims import RESCORE_PRIORITY, held_champion, is_there
from ecgbatch.store.events import Event
from ecgbatch.store.tables import item, recording, source, work
from ecgbatch.store.tables_ledger import rescore
from ecgbatch.terms import Disposition, ItemState, ReasonCode, WorkState

_DISPOSITION = table(
    "v_disposition",
    column("item_id"),
    column("recording_id"),
    column("disposition"),
    column("reason"),
)
_READ = (Disposition.SCORED, Disposition.REJECTED, Disposition.DUPLICATE)
_FAILED = (Disposition.FAILED, Disposition.UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is scored again: all that has a result, less what the fields leave out.

    Attributes:
        since: only ECGs of this date (wall clock) or later; those without one by first sighting.
        source_id: only what lies in this source.
        reason: only what was rejected, and also what failed or is unsupported, for this reason.
    """

    since: datetime | None = None
    source_id: int | None = None
    reason: ReasonCode | None = None

    def __str__(self) -> str:
        parts = [
            f"since {self.since.isoformat()}" if self.since else "",
            f"source {self.source_id}" if self.source_id is not None else "",
            f"reason {self.reason}" if self.reason else "",
        ]
        return ", ".join(part for part in parts if part) or "all"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its number, its pieces of work, and ECGs left out because no file is left."""

    rescore_id: int
    units: int
    gone: int


def ask(connection: Connection, scope: Scope, actor: str, why: str) -> Asked:
    """Make work for every recording in the scope, under the champion.

    One item per recording, which still lies in its place or in the archive. Superseded recordings
    are left out.
    Nothing that is there is changed: the views show the newest result, and a re-scoring that
    fails leaves the older one standing.

    Raises:
        SetupFault: BUNDLE_NOT_ACTIVE, nothing scores in this database.
    """
    champion = held_champion(connection)
    with act(connection, actor=actor, why=why, name="rescore", selector=str(scope)) as doing:
        row = {"asked_at": doing.moment, "actor": actor, "why": why, "scope": str(scope)}
        made = insert(rescore).values(**row, bundle_digest=champion, units=0)
        request = int(connection.execute(made.returning(rescore.c.rescore_id)).scalar_one())
        doing.count = _make_work(connection, scope, champion, request)
        counted = update(rescore).where(rescore.c.rescore_id == request)
        connection.execute(counted.values(units=doing.count))
        doing.add([Event("rescore", reason=ReasonCode.OPERATOR)])
        gone = _number_in(connection, scope) - doing.count
    return Asked(request, doing.count, gone)


def source_named(connection: Connection, name: str) -> int | None:
    """The number of the source of this name."""
    found = connection.execute(select(source.c.source_id).where(source.c.name == name)).scalar()
    return None if found is None else int(found)


def _make_work(connection: Connection, scope: Scope, digest: str, request: int) -> int:
    chosen = in_scope(scope, is_there()).subquery()
    rows = (
        select(
            chosen.c.item_id,
            literal(digest),
            literal(str(request)),
            literal(WorkState.READY.value),
            literal(ReasonCode.OPERATOR.value),
            literal(REASONS[ReasonCode.OPERATOR].reason_class.value),
            literal(RESCORE_PRIORITY),
        )
        .where(chosen.c.place == 1)
        .order_by(chosen.c.item_id)
    )
    names = ["item_id", "bundle_digest", "request", "state", "reason", "reason_class", "priority"]
    connection.execute(insert(work).from_select(names, rows))
    # No driver need say how many rows such an insert made.
    made = select(func.count()).where(work.c.request == str(request))
    return int(connection.execute(made).scalar_one())


def _number_in(connection: Connection, scope: Scope) -> int:
    chosen = in_scope(scope, true()).subquery()
    number = select(func.count()).select_from(chosen).where(chosen.c.place == 1)
    return int(connection.execute(number).scalar_one())


def in_scope(scope: Scope, condition: ColumnElement[bool]) -> Select[Any]:
    """Items that show what is wanted; `place` 1 is the one of its recording to be read.

    A copy of a scored file may be read in its place, where it alone is left.
    """
    shown = _DISPOSITION.c
    is_copy = case((shown.disposition == Disposition.DUPLICATE, 1), else_=0)
    # What was never read is a recording of its own; keys are positive.
    of_recording = func.coalesce(shown.recording_id, -shown.item_id)
    failed = shown.disposition.in_(_FAILED)
    # Copies of a file that fails fail each by themselves.
    partition = case((failed, -shown.item_id), else_=of_recording)
    place = func.row_number().over(partition_by=partition, order_by=(is_copy, item.c.item_id))
    return (
        select(item.c.item_id, place.label("place"))
        .select_from(_DISPOSITION)
        .join(item, item.c.item_id == shown.item_id)
        .outerjoin(recording, recording.c.recording_id == shown.recording_id)
        .where(item.c.state == ItemState.ADMITTED, condition, *_conditions(scope))
    )


def _conditions(scope: Scope) -> list[ColumnElement[bool]]:
    shown = _DISPOSITION.c
    conditions: list[ColumnElement[bool]] = [shown.disposition.in_(_READ)]
    if scope.reason is not None:
        of_reason = select(shown.recording_id).where(
            shown.disposition == Disposition.REJECTED, shown.reason == scope.reason
        )
        failed = and_(shown.disposition.in_(_FAILED), shown.reason == scope.reason)
        read = and_(*conditions, shown.recording_id.in_(of_reason))
        conditions = [or_(read, failed)]
    if scope.source_id is not None:
        conditions.append(item.c.source_id == scope.source_id)
    if scope.since is not None:
        undated = and_(
            recording.c.acquired_at.is_(None),
            item.c.first_seen_at >= scope.since.replace(tzinfo=UTC),
        )
        conditions.append(or_(recording.c.acquired_at >= scope.since, undated))
    return conditions
