"""What operators do by hand, each act with its row in `audit`."""

from collections.abc import Sequence

from sqlalchemy import Connection, column, select, table, update

from ecgbatch.store import audit_log
from ecgbatch.store.engine import now
from ecgbatch.store.tables import item
from ecgbatch.terms import Disposition, ReasonCode

_DISPOSITION = table("v_disposition", column("item_id"), column("disposition"), column("reason"))


def acknowledge(
    connection: Connection,
    actor: str,
    reason_text: str,
    code: ReasonCode | None,
    items: Sequence[int],
) -> int:
    """Mark failed and unsupported items as seen, so that they no longer ask for attention.

    An item that is worked again loses the mark.

    Args:
        actor: the operator's account.
        reason_text: why nothing more has to be done.
        code: all items with this reason; None to go by `items` alone.
        items: these items; empty to go by `code` alone.

    Returns:
        How many items were marked; those already acknowledged are left as they are.
    """
    failed = (Disposition.FAILED, Disposition.UNSUPPORTED)
    chosen = select(_DISPOSITION.c.item_id).where(_DISPOSITION.c.disposition.in_(failed))
    if code is not None:
        chosen = chosen.where(_DISPOSITION.c.reason == code)
    if items or code is None:
        chosen = chosen.where(_DISPOSITION.c.item_id.in_(items))
    moment = now(connection)
    marked = connection.execute(
        update(item)
        .where(item.c.item_id.in_(chosen), item.c.acknowledged_at.is_(None))
        .values(acknowledged_at=moment, acknowledged_by=actor, acknowledged_why=reason_text)
    ).rowcount
    selector = [f"code={code}"] if code is not None else []
    selector += [f"items={','.join(map(str, items))}"] if items else []
    audit_log.write(
        connection,
        actor=actor,
        act="acknowledge",
        selector=" ".join(selector),
        reason=reason_text,
        count=marked,
    )
    return marked
