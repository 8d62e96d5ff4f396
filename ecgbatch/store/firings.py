"""Due times of the scans, each taken by one service."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Exists, and_, exists, literal, or_, update
from sqlalchemy.dialects import postgresql, sqlite

from ecgbatch.store.engine import now
from ecgbatch.store.runs import SCAN
from ecgbatch.store.tables import run
from ecgbatch.store.tables_ledger import firing, heartbeat
from ecgbatch.terms import ExitCode

SUCCESSES = (ExitCode.DONE, ExitCode.ATTENTION)
"""Exit codes of a scan that looked at everything."""


def take(
    connection: Connection, schedule: str, due_at: datetime, worker: str, *, repeats: bool = False
) -> bool:
    """Take a due time, if no service has yet.

    Args:
        schedule: equal for all services that share the timetable.
        worker: this service, unlike any other before or beside it.
        repeats: what this service has itself taken before is taken again; its timetable says the
            same time twice only after the machine's clock went back.

    Returns:
        Whether the scan is this service's to run.
    """
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    moment = now(connection)
    taken = connection.execute(
        dialect.insert(firing)
        .values(schedule=schedule, due_at=due_at, worker=worker, fired_at=moment)
        .on_conflict_do_update(
            index_elements=["schedule", "due_at"],
            set_={"fired_at": moment},
            where=and_(firing.c.worker == worker, literal(repeats)),
        )
        .returning(firing.c.worker)
    )
    return taken.first() is not None


def take_over(
    connection: Connection,
    schedule: str,
    due_at: datetime,
    worker: str,
    *,
    source_id: int,
    silent_s: float,
) -> bool:
    """Take a due time again whose scan failed, or whose service died before its end.

    Args:
        source_id: whose scans count as this schedule's.
        silent_s: a service without a heartbeat for so long is dead.

    Returns:
        Whether the scan is this service's to run; False too if nobody has taken it yet.
    """
    moment = now(connection)
    free = or_(firing.c.worker == worker, ~_lives(moment - timedelta(seconds=silent_s)))
    taken = connection.execute(
        update(firing)
        .where(_is(schedule, due_at), ~_was_scanned(source_id), free)
        .values(worker=worker, fired_at=moment)
    )
    return taken.rowcount == 1


def _is(schedule: str, due_at: datetime) -> ColumnElement[bool]:
    return and_(firing.c.schedule == schedule, firing.c.due_at == due_at)


def _was_scanned(source_id: int) -> Exists:
    return exists().where(
        run.c.source_id == source_id,
        run.c.kind.in_((SCAN, "run-once")),
        run.c.exit_code.in_(SUCCESSES),
        run.c.ended_at >= firing.c.fired_at,
    )


def _lives(since: datetime) -> Exists:
    return exists().where(heartbeat.c.worker == firing.c.worker, heartbeat.c.seen_at >= since)
