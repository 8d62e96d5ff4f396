"""Which alarms hold, and which of them this service has to tell: one service each, once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from sqlalchemy import Connection, and_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from ecgbatch.store.engine import now
from ecgbatch.store.tables_ledger import alert

RISE = 2
"""An alarm is told again when it is so many times what was told last."""


class Phase(StrEnum):
    BEGINS = "begins"
    RISES = "rises"
    HOLDS = "holds"
    ENDS = "ends"


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be told of an alarm.

    Attributes:
        since_at: when it began.
    """

    name: str
    phase: Phase
    since_at: datetime


@dataclass(frozen=True, slots=True)
class _Told:
    since_at: datetime
    sent_at: datetime
    size: int


def due(told: int, size: int, waited: timedelta, after: timedelta) -> Phase | None:
    """Whether an alarm that holds is to be told again, and as what.

    Args:
        told: its size when it was last told.
        size: now; 1 of an alarm that has none.
        waited: since it was last told.
        after: it is told again after so long, whatever its size.
    """
    if size >= RISE * told:
        return Phase.RISES
    return Phase.HOLDS if waited >= after else None


_UNTOLD = timedelta(days=7)


def name_of(alarm: str, host: str | None, judged_by: Sequence[object]) -> str:
    """The name of an alarm's row: services that judge it by other settings have another row.

    Args:
        host: where only a service on this host can judge it.
        judged_by: the settings that decide whether it holds.
    """
    digest = sha256(repr(tuple(judged_by)).encode()).hexdigest()[:8] if judged_by else ""
    return alarm + (f"@{host}" if host else "") + (f"#{digest}" if digest else "")


def forget(
    connection: Connection, own: Collection[str], repeat_s: float, *, is_alone: bool
) -> None:
    """End, untold, alarms that no service judges any more: its settings or its host are others.

    Args:
        own: names that the caller judges.
        is_alone: whether no other service lives; otherwise they have to be untold for long.
    """
    long_ago = now(connection) - max(_UNTOLD, timedelta(seconds=3 * repeat_s))
    is_left = true() if is_alone else alert.c.sent_at <= long_ago
    connection.execute(
        update(alert)
        .where(alert.c.count > 0, alert.c.name.not_in(own), is_left)
        .values(count=0, sent_at=None)
    )


def decide(
    connection: Connection,
    holding: Mapping[str, int],
    judged: Collection[str],
    repeat_s: float,
) -> list[Change]:
    """Write down which alarms hold, and say which of them are this caller's to tell.

    A row is changed by one service alone, and whoever changed it tells. Ended alarms stay as rows
    with a count of 0.

    Args:
        holding: names of the alarms that hold, with their sizes.
        judged: names of those that this service can judge; others are left as they are.
        repeat_s: an alarm that still holds is told again after so many seconds.
    """
    moment = now(connection)
    changes = []
    for name in sorted(judged):
        if name in holding:
            size = holding[name]
            change = _begun(connection, name, moment, size) or _repeated(
                connection, name, moment, size, timedelta(seconds=repeat_s)
            )
        else:
            change = _ended(connection, name)
        if change is not None:
            changes.append(change)
    return changes


def holding(connection: Connection) -> list[Change]:
    """The alarms that hold now, oldest first, without what tells services' settings apart."""
    columns = alert.c
    rows = select(columns.name, columns.since_at).where(columns.count > 0)
    return [
        Change(row.name.partition("#")[0], Phase.HOLDS, row.since_at)
        for row in connection.execute(rows.order_by(columns.since_at, columns.name))
    ]


def _begun(connection: Connection, name: str, moment: datetime, size: int) -> Change | None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    values = {"since_at": moment, "sent_at": moment, "count": size}
    begun = connection.execute(
        dialect.insert(alert)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values, where=alert.c.count == 0)
        .returning(alert.c.name)
    )
    return Change(name, Phase.BEGINS, moment) if begun.first() else None


def _repeated(
    connection: Connection, name: str, moment: datetime, size: int, after: timedelta
) -> Change | None:
    row = _row(connection, name)
    if row is None:
        return None
    phase = due(row.size, size, moment - row.sent_at, after)
    if phase is None:
        return None
    # If another service has told it meanwhile, nothing is left to update.
    is_untold = and_(alert.c.count == row.size, alert.c.sent_at <= row.sent_at)
    told = connection.execute(
        update(alert).where(alert.c.name == name, is_untold).values(sent_at=moment, count=size)
    )
    return Change(name, phase, row.since_at) if told.rowcount == 1 else None


def _ended(connection: Connection, name: str) -> Change | None:
    row = _row(connection, name)
    if row is None:
        return None
    ended = connection.execute(
        update(alert).where(alert.c.name == name, alert.c.count > 0).values(count=0, sent_at=None)
    )
    return Change(name, Phase.ENDS, row.since_at) if ended.rowcount == 1 else None


def _row(connection: Connection, name: str) -> _Told | None:
    columns = select(alert.c.since_at, alert.c.sent_at, alert.c.count)
    row = connection.execute(columns.where(alert.c.name == name, alert.c.count > 0)).first()
    return None if row is None else _Told(*row)
