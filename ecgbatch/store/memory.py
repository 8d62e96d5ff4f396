"""What a source may ask of earlier looks, and what a look leaves behind."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, or_, select, update

from ecgbatch.store.engine import transaction
from ecgbatch.store.locks import Held, fence
from ecgbatch.store.tables import item, source, work
from ecgbatch.terms import FINISHED, ItemState

_PAGE = 500


def recall(
    connection: Connection, source_id: int, locators: Sequence[str]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """The other members of known records, by locator and the first member's own fingerprint."""
    rows = connection.execute(
        select(item.c.locator, item.c.fingerprint, item.c.members).where(
            item.c.source_id == source_id,
            item.c.locator.in_(locators),
            item.c.members.is_not(None),
        )
    )
    return {
        (row.locator, row.fingerprint.partition(";")[0]): tuple(json.loads(row.members))
        for row in rows
    }


def waiting(engine: Engine, source_id: int, before: datetime) -> Iterator[str]:
    """Locators of items that were not read yet and not seen since `before`."""
    after = 0
    while True:
        page = (
            select(item.c.item_id, item.c.locator)
            .where(
                item.c.source_id == source_id,
                _is_unread(),
                item.c.last_seen_at < before,
                item.c.item_id > after,
            )
            .order_by(item.c.item_id)
            .limit(_PAGE)
        )
        with transaction(engine) as connection:
            rows = connection.execute(page).all()
        if not rows:
            return
        yield from (row.locator for row in rows)
        after = rows[-1].item_id


def _is_unread() -> ColumnElement[bool]:
    """Until it has been read, a change at its place is a change of the item."""
    finished = exists().where(work.c.item_id == item.c.item_id, work.c.state.in_(FINISHED))
    is_admitted = and_(item.c.state == ItemState.ADMITTED, ~finished)
    return or_(item.c.state == ItemState.DISCOVERED, is_admitted)


def watermark(connection: Connection, source_id: int) -> str | None:
    kept = select(source.c.watermark).where(source.c.source_id == source_id)
    found: str | None = connection.execute(kept).scalar_one()
    return found


def keep_watermark(connection: Connection, source_id: int, text: str, held: Held | None) -> None:
    """Where the next look begins; only at the end of a whole one.

    Raises:
        SetupFault: LOCK_LOST, another scan has begun since; nothing is written.
    """
    fence(connection, held)
    mine = source.c.source_id == source_id
    connection.execute(update(source).where(mine).values(watermark=text))
