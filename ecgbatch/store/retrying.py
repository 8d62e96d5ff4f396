"""Finished work made ready again: an operator asks for it, or what stood before it is gone."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, column, exists, select, table, update

from ecgbatch.errors import SetupFault
from ecgbatch.reasons import REASONS
from ecgbatch.store import bundles
from ecgbatch.store.acts import Choice, act_on, batches, chosen
from ecgbatch.store.events import Event
from ecgbatch.store.tables import NEW_REQUEST, item, work
from ecgbatch.terms import Disposition, ItemState, ReasonCode, WorkState

_FAILED = (Disposition.FAILED, Disposition.UNSUPPORTED)
_FAILURES = table(
    "v_failures", column("item_id"), column("work_id"), column("disposition"), column("reason")
)


def retry(connection: Connection, choice: Choice) -> int:
    """Make failed and unsupported work ready again, its attempts and losses forgotten.

    What failed under a former champion is tried under the present one. An acknowledgement stays
    until the item has been worked.

    Returns:
        How many pieces of work are ready again.

    Raises:
        SetupFault: BUNDLE_NOT_ACTIVE, nothing scores in this database.
    """
    champion = bundles.champion(connection)
    if champion is None:
        raise SetupFault(ReasonCode.BUNDLE_NOT_ACTIVE)
    columns = _FAILURES.c
    failed = select(columns.work_id).where(
        columns.disposition.in_(_FAILED), chosen(choice, columns.item_id, columns.reason)
    )
    with act_on(connection, choice, "retry") as doing:
        work_ids = list(connection.execute(failed.order_by(columns.work_id)).scalars())
        for batch in batches(work_ids):
            events = made_ready(connection, batch, WorkState.QUARANTINED, champion.digest)
            doing.add(events)
            doing.count += len(events)
    return doing.count


def made_ready(
    connection: Connection, work_ids: Sequence[int], before: WorkState, champion: str
) -> list[Event]:
    """Make finished work ready under the champion; what other work of the champion covers stays.

    Returns:
        One event for each, for the caller to record.
    """
    of_these = (work.c.work_id.in_(work_ids), work.c.state == before)
    own = work.alias()
    covered = exists().where(
        own.c.item_id == work.c.item_id,
        own.c.bundle_digest == champion,
        own.c.request == NEW_REQUEST,
    )
    former = (work.c.bundle_digest != champion, work.c.request == NEW_REQUEST, ~covered)
    connection.execute(update(work).where(*of_these, *former).values(bundle_digest=champion))
    is_worked = exists().where(item.c.item_id == work.c.item_id, item.c.state == ItemState.ADMITTED)
    rows = connection.execute(
        update(work)
        .where(*of_these, work.c.bundle_digest == champion, is_worked)
        .values(
            state=WorkState.READY,
            reason=ReasonCode.OPERATOR,
            reason_class=REASONS[ReasonCode.OPERATOR].reason_class,
            attempts=0,
            losses=0,
            is_alone=False,
            stage=None,
            fault_since=None,
            finished_at=None,
        )
        .returning(work.c.work_id, work.c.item_id)
    )
    return [_retried(row, before) for row in rows]


def _retried(row: Row[Any], before: WorkState) -> Event:
    return Event("retried", row.item_id, row.work_id, before, WorkState.READY, ReasonCode.OPERATOR)
