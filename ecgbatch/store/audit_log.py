"""The audit table: who did what by hand, in one hash chain over all of it."""

from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from ecgbatch.store import chain
from ecgbatch.store.engine import now
from ecgbatch.store.tables import audit

SEED = chain.seed("audit")

_ONE_AT_A_TIME = (25443, 1)
"""Two numbers of a PostgreSQL advisory lock; on SQLite one transaction writes at any time."""


def write(
    connection: Connection, *, actor: str, act: str, selector: str, reason: str, count: int
) -> None:
    """Append one act; it belongs to the caller's transaction, as what it describes does.

    Args:
        actor: the operator's account.
        act: the command, for example `acknowledge`.
        selector: what it was applied to, as item numbers, codes or pseudonyms.
        reason: why, in the operator's words.
        count: how many rows it changed.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(*_ONE_AT_A_TIME)))
    newest = select(audit.c.hash).order_by(audit.c.audit_id.desc()).limit(1)
    before = connection.execute(newest).scalar() or SEED
    moment = now(connection)
    connection.execute(
        insert(audit).values(
            act_at=moment,
            actor=actor,
            act=act,
            selector=selector,
            reason=reason,
            count=count,
            prev_hash=before,
            hash=hash_of(before, moment, (actor, act, selector, reason), count),
        )
    )


def hash_of(before: str, moment: datetime, texts: tuple[str, str, str, str], count: int) -> str:
    """The hash of one row; `texts` are actor, act, selector and reason."""
    return chain.link(before, (moment, *texts, count))
