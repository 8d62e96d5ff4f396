"""Work for ECGs that have a result already, under a bundle that has not scored them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, exists, insert, literal, select

from ecgbatch.reasons import REASONS
from ecgbatch.store.claims import CHALLENGER_PRIORITY, is_there
from ecgbatch.store.rescore import Scope, in_scope
from ecgbatch.store.tables import NEW_REQUEST, item, result, work
from ecgbatch.terms import ReasonCode, WorkState


@dataclass(frozen=True, slots=True)
class Past:
    """Which ECGs.

    Attributes:
        since: of this date (wall clock) or later; those without one by first sighting.
        scored_since: that got a result at this time (UTC) or later.
    """

    since: datetime | None = None
    scored_since: datetime | None = None


def give_past(connection: Connection, digest: str, past: Past) -> int:
    """Give a bundle work for every current recording that it has no result and no work for.

    One item per recording, that still lies in its place or in the archive. The work comes after
    that of new ECGs, whatever the role of the bundle.

    Returns:
        How many got work.
    """
    chosen = in_scope(Scope(since=past.since), is_there()).subquery()
    own = (result.c.recording_id == item.c.recording_id, result.c.bundle_digest == digest)
    asked = (
        work.c.item_id == item.c.item_id,
        work.c.bundle_digest == digest,
        work.c.request == NEW_REQUEST,
    )
    rows = (
        select(
            item.c.item_id,
            literal(digest),
            literal(NEW_REQUEST),
            literal(WorkState.READY.value),
            literal(ReasonCode.OPERATOR.value),
            literal(REASONS[ReasonCode.OPERATOR].reason_class.value),
            literal(CHALLENGER_PRIORITY),
        )
        .join(chosen, chosen.c.item_id == item.c.item_id)
        .where(chosen.c.place == 1, ~exists().where(*own), ~exists().where(*asked))
        .order_by(item.c.item_id)
    )
    if past.scored_since is not None:
        of_item = result.c.recording_id == item.c.recording_id
        rows = rows.where(exists().where(of_item, result.c.created_at >= past.scored_since))
    names = ["item_id", "bundle_digest", "request", "state", "reason", "reason_class", "priority"]
    made = insert(work).from_select(names, rows).returning(work.c.work_id)
    return len(connection.execute(made).all())
