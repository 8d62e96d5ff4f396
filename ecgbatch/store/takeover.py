"""Unfinished work goes over to a new champion, so that nothing that was admitted is lost."""

from sqlalchemy import Connection, case, exists, or_, select, update

from ecgbatch.reasons import REASONS
from ecgbatch.store.claims import CHALLENGER_PRIORITY, CHAMPION_PRIORITY
from ecgbatch.store.tables import NEW_REQUEST, activation, item, result, work
from ecgbatch.terms import FINISHED, BundleRole, ReasonCode, WorkState


def take_over(connection: Connection, new: str) -> None:
    """Move the unfinished work of former champions; of one item at most one.

    Where the new champion has its own first scoring, that one comes first. What it was asked for
    as a challenger and has not done comes before new ECGs only where no champion has read it yet.

    Args:
        new: its digest; the old champion's activation has ended.
    """
    is_shown = exists().where(
        item.c.item_id == work.c.item_id, result.c.recording_id == item.c.recording_id
    )
    connection.execute(
        update(work)
        .where(
            work.c.bundle_digest == new,
            work.c.request == NEW_REQUEST,
            work.c.state.not_in(FINISHED),
        )
        .values(priority=case((is_shown, CHALLENGER_PRIORITY), else_=CHAMPION_PRIORITY))
    )
    theirs = work.alias()
    own = exists().where(
        theirs.c.item_id == work.c.item_id,
        theirs.c.bundle_digest == new,
        theirs.c.request == NEW_REQUEST,
    )
    still = select(activation.c.bundle_digest).where(activation.c.to_at.is_(None))
    # What a challenger left undone is nobody's: the ECG has its champion's result.
    former = select(activation.c.bundle_digest).where(activation.c.role == BundleRole.CHAMPION)
    idle = work.alias()
    later = exists().where(
        idle.c.item_id == work.c.item_id,
        idle.c.request == NEW_REQUEST,
        idle.c.state.not_in(FINISHED),
        idle.c.bundle_digest.not_in(still),
        idle.c.bundle_digest.in_(former),
        idle.c.work_id > work.c.work_id,
    )
    connection.execute(
        update(work)
        .where(
            work.c.bundle_digest != new,
            work.c.bundle_digest.not_in(still),
            work.c.bundle_digest.in_(former),
            work.c.state.not_in(FINISHED),
            or_(work.c.request != NEW_REQUEST, ~own & ~later),
        )
        .values(
            bundle_digest=new,
            state=WorkState.READY,
            reason=ReasonCode.NEW,
            reason_class=REASONS[ReasonCode.NEW].reason_class,
            token=work.c.token + 1,
            losses=0,
            is_alone=False,
            lease_until=None,
            next_at=None,
            fault_since=None,
        )
    )
