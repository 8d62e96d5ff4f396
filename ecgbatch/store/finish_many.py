"""Many pieces of work ended in one transaction, each as `finish` would have ended it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from ecgbatch.errors import EcgbatchError, LeaseLost
from ecgbatch.records import Finish, Outcome, Provenance, Quarantined, WorkUnit
from ecgbatch.store.finish import UNREADABLE_S, finish
from ecgbatch.terms import ReasonCode


@dataclass(frozen=True, slots=True)
class Ended:
    """A leased unit and what became of it."""

    unit: WorkUnit
    outcome: Outcome


def finish_many(
    connection: Connection,
    ended: Sequence[Ended],
    provenance: Provenance,
    grace_s: float,
    *,
    unreadable_s: float = UNREADABLE_S,
) -> list[Finish | None]:
    """End leased units in the caller's transaction: committed together or not at all.

    The rows are those that `finish` writes for one after the other. A unit whose lease is
    another's meanwhile is left out; one that gave another risk before is set aside
    (`nondeterministic`), and both leave the others as they are.

    Args:
        grace_s, unreadable_s: as of `finish`.

    Returns:
        How each ended, in the order of `ended`; None where the lease was lost.

    Raises:
        EcgbatchError: INTERNAL_FAULT, a value that the tables refuse.
    """
    return [_one(connection, one, provenance, grace_s, unreadable_s) for one in ended]


def _one(
    connection: Connection, one: Ended, provenance: Provenance, grace_s: float, unreadable_s: float
) -> Finish | None:
    try:
        with connection.begin_nested():
            return finish(
                connection, one.unit, one.outcome, provenance, grace_s, unreadable_s=unreadable_s
            )
    except LeaseLost:
        return None
    except EcgbatchError as fault:
        if fault.reason is not ReasonCode.NONDETERMINISTIC:
            raise
    doubtful = Quarantined(None, ReasonCode.NONDETERMINISTIC, "finish")
    with connection.begin_nested():
        return finish(connection, one.unit, doubtful, provenance, grace_s)
