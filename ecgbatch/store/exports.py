"""Exports as runs of the database: when the newest one was, how it ended, and why."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, select

from ecgbatch.reasons import Unknown, known
from ecgbatch.store import runs
from ecgbatch.store.events import Event, record
from ecgbatch.store.tables import event, run
from ecgbatch.terms import ExitCode, ReasonCode

_FAILED = "export_failed"


@dataclass(frozen=True, slots=True)
class ExportRow:
    """An export; `exit_code` is None while it goes on, or if it was killed."""

    run_id: int
    started_at: datetime
    ended_at: datetime | None
    exit_code: int | None
    reason: ReasonCode | Unknown | None

    @property
    def has_failed(self) -> bool:
        return self.exit_code in (ExitCode.UNFIT, ExitCode.INTERNAL)


def start(connection: Connection, worker: str) -> int:
    """A run for an export that begins."""
    return runs.start_run(connection, runs.EXPORT, None, worker)


def end(connection: Connection, run_id: int, exit_code: int, reason: ReasonCode | None) -> None:
    """Close the run; a reason stands in an event of its own."""
    if reason is not None:
        record(connection, run_id, [Event(_FAILED, reason=reason)])
    runs.end_run(connection, run_id, exit_code, {})


def newest(connection: Connection) -> ExportRow | None:
    """The newest export that had its folder: one that found it locked says nothing of it."""
    failed = and_(event.c.run_id == run.c.run_id, event.c.kind == _FAILED)
    had_it = run.c.exit_code.is_(None) | (run.c.exit_code != ExitCode.LOCKED)
    row = connection.execute(
        select(run.c.run_id, run.c.started_at, run.c.ended_at, run.c.exit_code, event.c.reason)
        .select_from(run.outerjoin(event, failed))
        .where(run.c.kind == runs.EXPORT, had_it)
        .order_by(run.c.run_id.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    reason = None if row.reason is None else known(row.reason)
    return ExportRow(row.run_id, row.started_at, row.ended_at, row.exit_code, reason)
