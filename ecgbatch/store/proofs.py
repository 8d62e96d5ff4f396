"""What canaries and replays say of this database: is what is computed here still what it was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    exists,
    func,
    insert,
    not_,
    select,
)

from ecgbatch.store.engine import now
from ecgbatch.store.replays import which_are_current
from ecgbatch.store.runs import CHALLENGER
from ecgbatch.store.tables import item, result, run
from ecgbatch.store.tables_ledger import verification
from ecgbatch.terms import Canary, ReplayOutcome, ReplayStage

_NAMED = 10
"""So many of the recordings that differ are named."""
_RUNS = 1000
"""So many runs are looked back for canaries,"""
_RECENT = timedelta(days=1)
"""and so long: a machine that has not scored since then says nothing of today."""


@dataclass(frozen=True, slots=True)
class CanaryRow:
    """The newest canary; `outcome` is a word of `terms.Canary`, or a newer version's."""

    outcome: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Proofs:
    """Canaries of the newest runs, and the newest replay of every result that was replayed.

    Attributes:
        unfit_machines: whose newest canary of the last day differs.
        verified: results by the outcome of their newest replay.
        verified_at: when one was last computed again.
        differing: current results whose newest replay differs. Not those whose file the ledger
            knows to have been replaced at its place.
        differing_recordings: the recordings of the first of these.
    """

    canary: CanaryRow | None = None
    unfit_machines: int = 0
    verified: Mapping[ReplayOutcome, int] = field(default_factory=dict)
    verified_at: datetime | None = None
    differing: int = 0
    differing_recordings: tuple[int, ...] = ()


def read(connection: Connection) -> Proofs:
    """All of it."""
    canary, unfit = _canaries(connection)
    newest = select(func.max(verification.c.verified_at))
    found = differing(connection)
    return Proofs(
        canary,
        unfit,
        _verified(connection),
        connection.execute(newest).scalar(),
        len(found),
        tuple(islice(found.values(), _NAMED)),
    )


def keep(
    connection: Connection,
    run_id: int,
    result_id: int,
    outcome: ReplayOutcome,
    *,
    stage: ReplayStage | None,
    difference: float | None,
    code_version: str,
) -> None:
    """Write down what came of computing a result again.

    Args:
        stage: the first that differs.
        difference: the largest on a logit, where logits were computed.
    """
    connection.execute(
        insert(verification).values(
            result_id=result_id,
            run_id=run_id,
            verified_at=now(connection),
            outcome=outcome,
            stage=stage,
            difference=difference,
            code_version=code_version,
        )
    )


def differing(connection: Connection) -> dict[int, int]:
    """Current results whose newest replay differs, by number, each with its recording.

    See `Proofs.differing`.
    """
    found = select(verification.c.result_id).where(
        _is_newest(),
        verification.c.outcome == ReplayOutcome.DIFFERS,
        not_(and_(verification.c.stage == ReplayStage.BYTES, _is_replaced())),
    )
    return dict(sorted(which_are_current(connection, found).items()))


def _canaries(connection: Connection) -> tuple[CanaryRow | None, int]:
    """The newest, and how many machines are unfit by their own newest one.

    A challenger's says nothing of the champion: it is put aside, and `standing` tells of it.
    """
    columns = select(run.c.run_id, run.c.kind, run.c.worker, run.c.canary, run.c.started_at)
    newest_runs = columns.order_by(run.c.run_id.desc()).limit(_RUNS).subquery()
    sent = select(newest_runs).where(
        newest_runs.c.canary != Canary.NOT_SENT, newest_runs.c.kind != CHALLENGER
    )
    rows = connection.execute(sent.order_by(newest_runs.c.run_id.desc())).all()
    since = now(connection) - _RECENT
    of_machine: dict[str, str] = {}
    for row in rows:
        if row.started_at >= since:
            of_machine.setdefault(row.worker.partition("/")[0], row.canary)
    unfit = sum(outcome != Canary.PASSED for outcome in of_machine.values())
    return (CanaryRow(rows[0].canary, rows[0].started_at) if rows else None), unfit


def _verified(connection: Connection) -> dict[ReplayOutcome, int]:
    counted = select(verification.c.outcome, func.count()).where(_is_newest())
    numbers = dict.fromkeys(ReplayOutcome, 0)
    for outcome, number in connection.execute(counted.group_by(verification.c.outcome)):
        numbers[ReplayOutcome(outcome)] = number
    return numbers


def _is_newest() -> ColumnElement[bool]:
    """No later replay of the same result is there."""
    later = verification.alias()
    return ~exists().where(
        later.c.result_id == verification.c.result_id,
        later.c.verification_id > verification.c.verification_id,
    )


def _is_replaced() -> ColumnElement[bool]:
    """Whether a later item is known at a place of the recording: another file took its name."""
    later = item.alias()
    return exists().where(
        result.c.result_id == verification.c.result_id,
        item.c.recording_id == result.c.recording_id,
        later.c.source_id == item.c.source_id,
        later.c.locator == item.c.locator,
        later.c.item_id > item.c.item_id,
    )
