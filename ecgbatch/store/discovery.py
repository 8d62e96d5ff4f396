"""Discovery: sightings become items; what is gone is marked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from ecgbatch.records import Sighting
from ecgbatch.store import linking
from ecgbatch.store.changes import (
    Changes,
    KnownItem,
    Moved,
    members_text,
    plan,
    reason_to_wait,
)
from ecgbatch.store.engine import WHOLE_TABLES_S, now, take_time
from ecgbatch.store.events import Event, record
from ecgbatch.store.linking import Spot
from ecgbatch.store.locks import Held, fence
from ecgbatch.store.tables import item, work
from ecgbatch.terms import FINISHED, ItemState, ReasonCode, WorkState

BATCH = 500
"""Sightings per round of statements."""
_AT_ONCE = 5000
"""Values in one statement: databases allow some ten thousand."""
SCANS_UNTIL_GONE = 3
_MANY_UNLISTED = 200
"""With more folders unseen than a statement should name, a scan misses nothing at all."""


@dataclass(frozen=True, slots=True)
class Noted:
    """How many sightings made an item, and how many changed one that was not read yet."""

    new: int
    changed: int


def note(
    connection: Connection,
    source_id: int,
    sightings: Iterable[Sighting],
    run_id: int | None = None,
    held: Held | None = None,
) -> Noted:
    """Write down what a scan saw; the rules are those of `changes.plan`.

    Args:
        held: the source's lock: two scans of one source never overlap.

    Raises:
        SetupFault: LOCK_LOST, another scan has begun since; nothing is written.
    """
    fence(connection, held)
    moment = now(connection)
    new = changed = 0
    remaining = iter(sightings)
    while batch := tuple(islice(remaining, BATCH)):
        changes = _planned(connection, source_id, batch)
        _write(connection, source_id, moment, changes)
        record(connection, run_id, [_superseded(known) for known in changes.superseded])
        for known in changes.returned:
            record(connection, run_id, _reconsidered(connection, source_id, known, moment))
        new += len(changes.new)
        changed += sum(moved.is_changed for moved in changes.moved)
    return Noted(new, changed)


def _planned(connection: Connection, source_id: int, batch: Sequence[Sighting]) -> Changes:
    """What to write, while nobody can finish work on what changes.

    A worker may finish an item between the look at it and the change: then the change makes a
    new item. On SQLite one transaction writes at any time.
    """
    changes = plan(batch, _known(connection, source_id, batch))
    if connection.dialect.name == "sqlite":
        return changes
    locked: set[int] = set()
    while touched := _touched(changes) - locked:
        of_touched = select(work.c.work_id).where(work.c.item_id.in_(touched))
        connection.execute(of_touched.order_by(work.c.work_id).with_for_update()).all()
        locked |= touched
        changes = plan(batch, _known(connection, source_id, batch))
    return changes


def _touched(changes: Changes) -> set[int]:
    moved = {one.item_id for one in changes.moved}
    return moved | {one.item_id for one in changes.superseded}


def _reconsidered(
    connection: Connection, source_id: int, known: KnownItem, moment: datetime
) -> list[Event]:
    """Bytes that came back are the later ones at their place, and may be current again."""
    if known.recording_id is None:
        return []
    spot = Spot(known.item_id, source_id, known.locator, moment)
    return linking.reconsider(connection, known.recording_id, spot, moment)


def mark_missing(
    connection: Connection,
    source_id: int,
    scan_started_at: datetime,
    run_id: int | None = None,
    held: Held | None = None,
    *,
    unlisted: Sequence[str] = (),
    waiting_only: bool = False,
) -> int:
    """Count a miss for every item not seen since; after three an unread one has vanished.

    An item that was read keeps its state and gets `gone_at`. Call it only after a whole scan of
    a source that was there.

    Args:
        scan_started_at: `engine.now` before the first sighting of the scan.
        held: the source's lock.
        unlisted: folders that were not looked through: nothing below them was missed.
        waiting_only: only what waits for another look was looked for.

    Returns:
        How many items vanished.

    Raises:
        SetupFault: LOCK_LOST, another scan has begun since; nothing is written.
    """
    take_time(connection, WHOLE_TABLES_S)
    fence(connection, held)
    here = (item.c.source_id == source_id, item.c.gone_at.is_(None))
    gone = item.c.missing_scans >= SCANS_UNTIL_GONE
    moment = now(connection)
    if len(unlisted) <= _MANY_UNLISTED:
        missed = (item.c.last_seen_at < scan_started_at, *_looked_for(unlisted, waiting_only))
        connection.execute(
            update(item).where(*here, *missed).values(missing_scans=item.c.missing_scans + 1)
        )
    n_vanished = 0
    unread = select(item.c.item_id).where(*here, gone, _unread()).order_by(item.c.item_id)
    while ids := connection.execute(unread.limit(_AT_ONCE)).scalars().all():
        connection.execute(
            update(item)
            .where(item.c.item_id.in_(ids))
            .values(state=ItemState.VANISHED, reason=ReasonCode.GONE, gone_at=moment)
        )
        record(connection, run_id, [_vanished(item_id) for item_id in ids])
        n_vanished += len(ids)
    connection.execute(update(item).where(*here, gone).values(gone_at=moment))
    return n_vanished


def _looked_for(unlisted: Sequence[str], waiting_only: bool) -> Iterator[ColumnElement[bool]]:
    if waiting_only:
        yield item.c.state == ItemState.DISCOVERED
    if unlisted:
        yield ~or_(*(item.c.locator.startswith(f"{one}/", autoescape=True) for one in unlisted))


def present_items(connection: Connection, source_id: int) -> int:
    """How many items the last scans saw: a scan that suddenly sees none is to be doubted."""
    present = select(func.count()).where(
        item.c.source_id == source_id,
        item.c.gone_at.is_(None),
        item.c.state != ItemState.SUPERSEDED,
    )
    return int(connection.execute(present).scalar_one())


def unstable(connection: Connection, source_id: int) -> int:
    """How many whole items still wait for a second look."""
    waiting = select(func.count()).where(
        item.c.source_id == source_id,
        item.c.state == ItemState.DISCOVERED,
        item.c.reason == ReasonCode.NEW,
        item.c.missing_scans == 0,
    )
    return int(connection.execute(waiting).scalar_one())


def _unread() -> ColumnElement[bool]:
    unfinished = ~exists().where(work.c.item_id == item.c.item_id, work.c.state.in_(FINISHED))
    return item.c.state.in_((ItemState.DISCOVERED, ItemState.ADMITTED)) & unfinished


def _known(
    connection: Connection, source_id: int, batch: Sequence[Sighting]
) -> Iterator[KnownItem]:
    locators = sorted(
        {locator for sighting in batch for locator in (sighting.locator, *sighting.members)}
    )
    for start in range(0, len(locators), _AT_ONCE):
        yield from _known_at(connection, source_id, locators[start : start + _AT_ONCE])


def _known_at(
    connection: Connection, source_id: int, locators: Sequence[str]
) -> Iterator[KnownItem]:
    with_result = (WorkState.SCORED, WorkState.REJECTED, WorkState.DUPLICATE)
    of_item = work.c.item_id == item.c.item_id
    rows = connection.execute(
        select(
            item.c.item_id,
            item.c.locator,
            item.c.fingerprint,
            item.c.state,
            item.c.reason,
            exists().where(of_item, work.c.state.in_(FINISHED)),
            exists().where(of_item, work.c.state.in_(with_result)),
            item.c.changed_at,
            item.c.recording_id,
            item.c.members,
        ).where(item.c.source_id == source_id, item.c.locator.in_(locators))
    )
    for item_id, locator, fingerprint, state, reason, is_read, has_result, *rest in rows:
        yield KnownItem(
            item_id,
            locator,
            fingerprint,
            ItemState(state),
            reason,
            bool(is_read),
            bool(has_result),
            *rest,
        )


def _write(connection: Connection, source_id: int, moment: datetime, changes: Changes) -> None:
    seen = {"last_seen_at": moment, "missing_scans": 0, "gone_at": None}
    if changes.seen:
        connection.execute(update(item).where(item.c.item_id.in_(changes.seen)).values(seen))
    if changes.returned:
        back = [known.item_id for known in changes.returned]
        connection.execute(
            update(item).where(item.c.item_id.in_(back)).values(changed_at=moment, **seen)
        )
    if changes.superseded:
        gone = [known.item_id for known in changes.superseded]
        connection.execute(
            update(item)
            .where(item.c.item_id.in_(gone))
            .values(state=ItemState.SUPERSEDED, reason=ReasonCode.FILE_CHANGED)
        )
    if changes.moved:
        _write_moved(connection, moment, changes.moved)
    if changes.learned:
        learned = [{"b_item_id": key, "b_members": text} for key, text in changes.learned]
        connection.execute(_LEARN, learned)
    if changes.new:
        connection.execute(insert(item), [_row(source_id, moment, one) for one in changes.new])


def _write_moved(connection: Connection, moment: datetime, changes: Sequence[Moved]) -> None:
    seen = {"last_seen_at": moment, "missing_scans": 0, "gone_at": None}
    for is_changed in (True, False):
        moved = [_moved(one) for one in changes if one.is_changed is is_changed]
        if moved:
            clock = {"changed_at": moment} if is_changed else {}
            connection.execute(_MOVE.values(**seen, **clock), moved)
    changed = [one.item_id for one in changes if one.is_changed]
    if changed:
        connection.execute(
            update(work)
            .where(work.c.item_id.in_(changed), work.c.fault_since.is_not(None))
            .values(fault_since=None)
        )


_MOVE = (
    update(item)
    .where(item.c.item_id == bindparam("b_item_id"))
    .values(
        locator=bindparam("b_locator"),
        fingerprint=bindparam("b_fingerprint"),
        state=bindparam("b_state"),
        reason=bindparam("b_reason"),
        members=bindparam("b_members"),
    )
)
_LEARN = (
    update(item)
    .where(item.c.item_id == bindparam("b_item_id"))
    .values(members=bindparam("b_members"))
)


def _moved(moved: Moved) -> dict[str, str | int | None]:
    return {
        "b_item_id": moved.item_id,
        "b_locator": moved.locator,
        "b_fingerprint": moved.fingerprint,
        "b_state": moved.state,
        "b_reason": moved.reason,
        "b_members": moved.members,
    }


def _row(source_id: int, moment: datetime, sighting: Sighting) -> dict[str, object]:
    return {
        "source_id": source_id,
        "locator": sighting.locator,
        "fingerprint": sighting.fingerprint,
        "state": ItemState.DISCOVERED,
        "reason": reason_to_wait(sighting),
        "first_seen_at": moment,
        "changed_at": moment,
        "last_seen_at": moment,
        "members": members_text(sighting),
    }


def _superseded(known: KnownItem) -> Event:
    return Event(
        "superseded",
        known.item_id,
        from_state=known.state,
        to_state=ItemState.SUPERSEDED,
        reason=ReasonCode.FILE_CHANGED,
    )


def _vanished(item_id: int) -> Event:
    return Event("vanished", item_id, to_state=ItemState.VANISHED, reason=ReasonCode.GONE)
