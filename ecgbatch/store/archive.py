"""What has its result and may go into the archive, and what went."""

import json
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, Engine, exists, select, update

from ecgbatch.store.engine import now, transaction
from ecgbatch.store.events import Event, record
from ecgbatch.store.locks import Held, fence
from ecgbatch.store.tables import activation, item, recording, work
from ecgbatch.terms import FINISHED, ItemState, WorkState

_PAGE = 200
_WITH_RESULT = (WorkState.SCORED, WorkState.REJECTED, WorkState.DUPLICATE)

Row = tuple[int, str, str, tuple[str, ...], str]
"""Item, locator, fingerprint, names of the other members, digest."""


def to_archive(engine: Engine, source_id: int, *, moves: bool) -> Iterator[list[Row]]:
    """Page by page: scored, rejected or a duplicate, nothing left to do, still at its place.

    Args:
        moves: what was copied before is moved all the same.
    """
    of_item = work.c.item_id == item.c.item_id
    is_due = [
        item.c.source_id == source_id,
        item.c.state == ItemState.ADMITTED,
        item.c.gone_at.is_(None),
        exists().where(of_item, work.c.state.in_(_WITH_RESULT)),
        # Work of a bundle that scores no more never ends.
        ~exists().where(
            of_item,
            work.c.state.not_in(FINISHED),
            work.c.bundle_digest == activation.c.bundle_digest,
            activation.c.to_at.is_(None),
        ),
    ]
    if not moves:
        is_due.append(item.c.archived_at.is_(None))
    columns = (item.c.item_id, item.c.locator, item.c.fingerprint, item.c.members)
    after = 0
    while True:
        page = (
            select(*columns, recording.c.file_digest)
            .join(recording, recording.c.recording_id == item.c.recording_id)
            .where(*is_due, item.c.item_id > after)
            .order_by(item.c.item_id)
            .limit(_PAGE)
        )
        with transaction(engine) as connection:
            rows = connection.execute(page).all()
        if not rows:
            return
        yield [
            (row.item_id, row.locator, row.fingerprint, _names(row.members), row.file_digest)
            for row in rows
        ]
        after = rows[-1].item_id


def _names(members: str | None) -> tuple[str, ...]:
    return tuple(json.loads(members)) if members else ()


def archived(
    connection: Connection,
    item_ids: Sequence[int],
    run_id: int,
    held: Held | None,
    *,
    moves: bool,
) -> None:
    """Write down what lies in the archive; what was moved is gone from its place, not missing.

    Raises:
        SetupFault: LOCK_LOST, another scan has begun since; nothing is written.
    """
    fence(connection, held)
    moment = now(connection)
    gone = {"gone_at": moment} if moves else {}
    connection.execute(
        update(item).where(item.c.item_id.in_(item_ids)).values(archived_at=moment, **gone)
    )
    record(connection, run_id, [Event("archived", item_id) for item_id in item_ids])
