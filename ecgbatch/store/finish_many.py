"""Many pieces of work ended in one transaction, each as `finish` would have ended it."""

from collections.abc import Sequence

from sqlalchemy import Connection

from ecgbatch.errors import EcgbatchError, LeaseLost
from ecgbatch.records import Finish, Provenance, Quarantined
from ecgbatch.store.batch import Ended, Entangled, Plain, hold
from ecgbatch.store.finish import UNREADABLE_S, finish
from ecgbatch.store.finish_plain import finish_plain
from ecgbatch.terms import ReasonCode

__all__ = ["Ended", "finish_many"]


def finish_many(
    connection: Connection,
    ended: Sequence[Ended],
    provenance: Provenance,
    grace_s: float,
    *,
    unreadable_s: float = UNREADABLE_S,
) -> list[Finish | None]:
    """End leased units in the caller's transaction: committed together or not at all.

    The rows are those that `finish` writes for one after the other, and in that order. Plain ones
    are written together, all others by `finish` itself. A unit whose lease is another's meanwhile
    is left out; one that gave another risk before is set aside (`nondeterministic`), and both
    leave the others as they are.

    Args:
        grace_s, unreadable_s: as of `finish`.

    Returns:
        How each ended, in the order of `ended`; None where the lease was lost.

    Raises:
        EcgbatchError: INTERNAL_FAULT, a value that the tables refuse.
    """
    finishes: list[Finish | None] = [None] * len(ended)
    together: dict[int, Plain] = {}

    def write() -> None:
        if together:
            written = finish_plain(connection, list(together.values()), provenance)
            for number, shown in zip(together, written, strict=True):
                finishes[number] = shown
            together.clear()

    for number, one in enumerate(hold(connection, ended)):
        if isinstance(one, Plain):
            together[number] = one
        elif one is not None:
            # It may be linked with one of those, and must see it written.
            write()
            finishes[number] = _one(connection, one, provenance, grace_s, unreadable_s)
    write()
    return finishes


def _one(
    connection: Connection,
    one: Entangled,
    provenance: Provenance,
    grace_s: float,
    unreadable_s: float,
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
