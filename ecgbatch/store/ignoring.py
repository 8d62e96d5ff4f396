"""Items that an operator takes out of the work, and takes up again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    ScalarSelect,
    and_,
    column,
    exists,
    func,
    or_,
    select,
    table,
    update,
)

from ecgbatch.reasons import REASONS
from ecgbatch.store import bundles, linking
from ecgbatch.store.acts import Choice, act_on, batches, chosen
from ecgbatch.store.events import Event
from ecgbatch.store.linking import Spot
from ecgbatch.store.retrying import made_ready
from ecgbatch.store.tables import NEW_REQUEST, item, recording, result, work
from ecgbatch.terms import Disposition, ItemState, ReasonCode, WorkState

_BY_CODE = (
    Disposition.FAILED,
    Disposition.UNSUPPORTED,
    Disposition.WAITING,
    Disposition.REJECTED,
    Disposition.VANISHED,
)
_KEPT = (Disposition.SCORED, Disposition.IGNORED)
_DISPOSITION = table("v_disposition", column("item_id"), column("disposition"), column("reason"))


def ignore(connection: Connection, choice: Choice) -> int:
    """Take items out of the work: they are not claimed, and stand against no other export.

    A lease on one of them is void. An ignored rival ends an identity conflict, and what it had
    superseded is current again if nothing else stands before it. Scored items stay as they are:
    their risk is in the views.

    Args:
        choice: by code these are items that wait, failed, are unsupported, rejected or vanished;
            by number also duplicates and superseded ones.

    Returns:
        How many items are ignored now that were not before.
    """
    columns = _DISPOSITION.c
    may_be = (
        columns.disposition.not_in(_KEPT)
        if choice.code is None
        else columns.disposition.in_(_BY_CODE)
    )
    wanted = select(columns.item_id).where(may_be, chosen(choice, columns.item_id, columns.reason))
    ignored: list[int] = []
    with act_on(connection, choice, "ignore") as doing:
        item_ids = list(connection.execute(wanted.order_by(columns.item_id)).scalars())
        for batch in batches(item_ids):
            _hold_work(connection, batch)
            rows = _items(connection, batch)
            # Asked again: some may have been scored until they were held.
            still = wanted.where(columns.item_id.in_(batch))
            still_wanted = set(connection.execute(still).scalars())
            rows = [row for row in rows if row.item_id in still_wanted]
            _ignore(connection, [row.item_id for row in rows])
            doing.add(_moved("ignored", row, ItemState.IGNORED) for row in rows)
            ignored += [row.item_id for row in rows]
        doing.count = len(ignored)
        for batch in batches(ignored):
            rows = _items(connection, batch)
            placed = _placed(connection, rows)
            for row in rows:
                if row.recording_id in placed:
                    doing.add(_give_way(connection, row, doing.moment))
    return doing.count


def undo_ignore(connection: Connection, choice: Choice) -> int:
    """Take items up again where they were; one never admitted is looked at anew.

    One whose place has had other bytes since is superseded, unless it has a result. A recording
    is placed again among the exports of its acquisition: a conflict that had ended begins again.

    Returns:
        How many items are no longer ignored.
    """
    with act_on(connection, choice, "ignore --undo") as doing:
        for batch in batches(sorted(set(choice.items))):
            rows = [row for row in _items(connection, batch) if row.state == ItemState.IGNORED]
            for row in rows:
                doing.add([_moved("taken_up", row, _take_up(connection, row, doing.moment))])
            placed = _placed(connection, rows)
            for row in rows:
                if row.recording_id in placed:
                    doing.add(_stand_again(connection, row, doing.moment))
            doing.count += len(rows)
    return doing.count


def _hold_work(connection: Connection, item_ids: Sequence[int]) -> None:
    """First the work, then the item, as a finish does; nothing of it is claimed meanwhile."""
    held = select(work.c.work_id).where(work.c.item_id.in_(item_ids)).order_by(work.c.work_id)
    connection.execute(held.with_for_update()).all()


def _items(connection: Connection, item_ids: Sequence[int]) -> Sequence[Row[Any]]:
    rows = select(item).where(item.c.item_id.in_(item_ids)).order_by(item.c.item_id)
    return connection.execute(rows.with_for_update()).all()


def _moved(kind: str, row: Row[Any], after: ItemState) -> Event:
    return Event(kind, row.item_id, None, row.state, after, ReasonCode.OPERATOR)


def _ignore(connection: Connection, item_ids: Sequence[int]) -> None:
    connection.execute(
        update(item)
        .where(item.c.item_id.in_(item_ids))
        .values(state=ItemState.IGNORED, reason=ReasonCode.OPERATOR)
    )
    connection.execute(
        update(work)
        .where(work.c.item_id.in_(item_ids), work.c.state == WorkState.LEASED)
        .values(
            state=WorkState.READY,
            reason=ReasonCode.OPERATOR,
            reason_class=REASONS[ReasonCode.OPERATOR].reason_class,
            token=work.c.token + 1,
            lease_until=None,
        )
    )


def _give_way(connection: Connection, row: Row[Any], moment: datetime) -> list[Event]:
    """Let those stand that the ignored recording stood against, unless it lies elsewhere too."""
    if _spot_of(connection, row.recording_id) is not None:
        return []
    events: list[Event] = []
    for other_id in linking.linked_with(connection, row.recording_id, _spot(row)):
        spot = _spot_of(connection, other_id)
        if spot is not None:
            events += linking.reconsider(connection, other_id, spot, moment)
            events += _reopened(connection, other_id)
    return events


def _stand_again(connection: Connection, row: Row[Any], moment: datetime) -> list[Event]:
    events = linking.place_again(connection, row.recording_id, _spot(row), moment)
    return events + _reopened(connection, row.recording_id)


def _placed(connection: Connection, rows: Sequence[Row[Any]]) -> set[int]:
    """The recordings that have a place in their acquisition: one that failed has none."""
    known = exists().where(result.c.recording_id == recording.c.recording_id)
    found = select(recording.c.recording_id).where(
        recording.c.recording_id.in_({row.recording_id for row in rows} - {None}),
        or_(recording.c.superseded_at.is_not(None), known),
    )
    return set(connection.execute(found).scalars())


def _reopened(connection: Connection, recording_id: int) -> list[Event]:
    """An export that was superseded unscored is worked, now that it is current."""
    champion = bundles.champion(connection)
    unscored = select(work.c.work_id).where(
        work.c.item_id == _newest_item(recording_id),
        work.c.state == WorkState.DUPLICATE,
        work.c.request == NEW_REQUEST,
        exists().where(
            recording.c.recording_id == recording_id, recording.c.superseded_at.is_(None)
        ),
        ~exists().where(result.c.recording_id == recording_id),
    )
    work_ids = list(connection.execute(unscored).scalars())
    if champion is None or not work_ids:
        return []
    return made_ready(connection, work_ids, WorkState.DUPLICATE, champion.digest)


def _newest_item(recording_id: int) -> ScalarSelect[Any]:
    return (
        select(func.max(item.c.item_id))
        .where(item.c.recording_id == recording_id, item.c.state != ItemState.IGNORED)
        .scalar_subquery()
    )


def _spot(row: Row[Any]) -> Spot:
    return Spot(row.item_id, row.source_id, row.locator, row.changed_at)


def _spot_of(connection: Connection, recording_id: int) -> Spot | None:
    """Where a recording lies, at its newest; None if it is ignored wherever it lies."""
    newest = select(item).where(item.c.item_id == _newest_item(recording_id))
    row = connection.execute(newest).first()
    return None if row is None else _spot(row)


def _take_up(connection: Connection, row: Row[Any], moment: datetime) -> ItemState:
    """The state that an item goes back to; what was not admitted starts its looks anew."""
    state, reason = _state_before(connection, row)
    values: dict[str, object] = {"state": state, "reason": reason}
    values |= {"missing_scans": 0, "gone_at": None}
    if state is ItemState.DISCOVERED:
        values["changed_at"] = moment
    connection.execute(update(item).where(item.c.item_id == row.item_id).values(values))
    return state


def _state_before(connection: Connection, row: Row[Any]) -> tuple[ItemState, ReasonCode | None]:
    of_item = work.c.item_id == row.item_id
    with_result = (WorkState.SCORED, WorkState.REJECTED, WorkState.DUPLICATE)
    later = and_(
        item.c.source_id == row.source_id,
        item.c.locator == row.locator,
        item.c.item_id > row.item_id,
    )
    known = connection.execute(
        select(
            exists().where(of_item).label("has_work"),
            exists().where(of_item, work.c.state.in_(with_result)).label("has_result"),
            exists().where(later).label("is_replaced"),
        )
    ).one()
    if known.is_replaced and not known.has_result:
        return ItemState.SUPERSEDED, ReasonCode.FILE_CHANGED
    if known.has_work:
        return ItemState.ADMITTED, None
    return ItemState.DISCOVERED, ReasonCode.NEW
