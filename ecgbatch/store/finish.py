"""The end of a piece of work: state, recording, findings and result in one transaction."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import assert_never

from sqlalchemy import Connection, select, update

from ecgbatch.errors import LeaseLost
from ecgbatch.reasons import REASONS
from ecgbatch.records import (
    Finish,
    NotYet,
    Outcome,
    Provenance,
    Quarantined,
    Rejected,
    RetryLater,
    Scored,
    WorkUnit,
)
from ecgbatch.store.claims import role_of
from ecgbatch.store.endings import End, Held, beside, complete, failed
from ecgbatch.store.engine import now
from ecgbatch.store.events import Event, record
from ecgbatch.store.linking import Spot
from ecgbatch.store.tables import item, work
from ecgbatch.terms import BundleRole, Disposition, ItemState, ReasonCode, WorkState

_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 3600.0
UNREADABLE_S = 86_400.0
_UNREADABLE = (
    ReasonCode.READ_FAILED,
    ReasonCode.CHANGED_WHILE_READING,
    ReasonCode.OUT_OF_MEMORY,
)


def finish(
    connection: Connection,
    unit: WorkUnit,
    outcome: Outcome,
    provenance: Provenance,
    grace_s: float,
    *,
    unreadable_s: float = UNREADABLE_S,
) -> Finish:
    """Write how a leased unit ended, if this worker still holds it.

    All of it belongs to the caller's transaction: committed together or not at all.

    Args:
        grace_s: how long an incomplete file may stay unchanged before it has failed.
        unreadable_s: how long a file that cannot be read is tried again before it has failed.

    Raises:
        LeaseLost: another worker has it; roll back and drop the unit.
        EcgbatchError: NONDETERMINISTIC, the same bytes gave another risk under the same key.
    """
    held = _hold(connection, unit, provenance.run_id)
    if held.fingerprint != unit.fingerprint:
        # A scan saw newer bytes meanwhile: what was read is no longer what lies there.
        return _put_back(connection, held, RetryLater(ReasonCode.CHANGED_WHILE_READING, "read"))
    match outcome:
        case Scored() | Rejected():
            weigh = beside if held.is_beside else complete
            return _close(connection, held, weigh(connection, held, outcome, provenance))
        case Quarantined():
            return _close(connection, held, failed(connection, held, outcome))
        case NotYet():
            is_spent = held.moment - held.spot.changed_at >= timedelta(seconds=grace_s)
        case RetryLater():
            is_spent = _is_given_up(held, outcome.reason, unreadable_s)
        case _:
            assert_never(outcome)
    if not is_spent:
        return _put_back(connection, held, outcome)
    return _close(connection, held, failed(connection, held, outcome))


def _hold(connection: Connection, unit: WorkUnit, run_id: int) -> Held:
    """Fence first: an update that only the holder of the lease can make."""
    fenced = connection.execute(
        update(work)
        .where(
            work.c.work_id == unit.work_id,
            work.c.token == unit.token,
            work.c.bundle_digest == unit.bundle_digest,
            work.c.state == WorkState.LEASED,
        )
        .values(token=unit.token)
        .returning(work.c.request, work.c.fault_since)
    ).first()
    if fenced is None:
        raise LeaseLost(ReasonCode.INTERRUPTED, f"work {unit.work_id}")
    row = connection.execute(
        select(item).where(item.c.item_id == unit.item_id).with_for_update()
    ).one()
    return Held(
        unit,
        fenced.request,
        Spot(row.item_id, row.source_id, row.locator, row.changed_at),
        row.recording_id,
        role_of(connection, unit.bundle_digest) is not BundleRole.CHAMPION,
        ItemState(row.state),
        row.fingerprint,
        row.first_seen_at,
        fenced.fault_since,
        now(connection),
        run_id,
    )


def _put_back(connection: Connection, held: Held, outcome: NotYet | RetryLater) -> Finish:
    """Wait, without an attempt spent: an incomplete file for the next run, a fault for a while."""
    wait_s = 0.0 if isinstance(outcome, NotYet) else backoff_s(held.unit)
    shown = Finish(Disposition.WAITING, outcome.reason)
    end = End(WorkState.RETRY_WAIT, outcome.reason, shown, stage=outcome.stage)
    connection.execute(
        update(work)
        .where(work.c.work_id == held.unit.work_id)
        .values(
            attempts=work.c.attempts - 1,
            losses=0,
            fault_since=_fault_since(held, outcome.reason),
            next_at=held.moment + timedelta(seconds=wait_s),
            **work_values(end),
        )
    )
    record(connection, held.run_id, [_event("put_back", held, end)])
    return shown


def _fault_since(held: Held, reason: ReasonCode) -> datetime | None:
    return (held.fault_since or held.moment) if reason in _UNREADABLE else None


def _is_given_up(held: Held, reason: ReasonCode, unreadable_s: float) -> bool:
    if reason not in _UNREADABLE or held.fault_since is None:
        return False
    return held.moment - held.fault_since >= timedelta(seconds=unreadable_s)


def backoff_s(unit: WorkUnit) -> float:
    """Seconds to wait after a fault of the surroundings: 5 s doubled per claim, at most 1 h.

    Spread by half to one and a half, by work and claim, so that a queue does not come back at
    one moment.
    """
    longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(unit.token - 1, 20))
    digest = sha256(f"{unit.work_id} {unit.token}".encode()).digest()
    return longest * (0.5 + int.from_bytes(digest[:4], "big") / 2**32)


def _close(connection: Connection, held: Held, end: End) -> Finish:
    """Write the end of the work; an earlier acknowledgement does not cover it."""
    connection.execute(
        update(work)
        .where(work.c.work_id == held.unit.work_id)
        .values(finished_at=held.moment, fault_since=None, **work_values(end))
    )
    if not held.is_beside:
        _write_item(connection, held, end)
    record(connection, held.run_id, [_event("finished", held, end), *end.events])
    return end.shown


def _write_item(connection: Connection, held: Held, end: End) -> None:
    values: dict[str, object] = {
        "acknowledged_at": None,
        "acknowledged_by": None,
        "acknowledged_why": None,
    }
    if end.recording_id is not None:
        values["recording_id"] = end.recording_id
    if held.item_state is not ItemState.IGNORED:
        values |= {"state": ItemState.ADMITTED, "reason": None}
    connection.execute(update(item).where(item.c.item_id == held.unit.item_id).values(values))


def work_values(end: End) -> dict[str, object]:
    """What the end of work changes in its row, whether it is finished or waits."""
    reason_class = None if end.reason is None else REASONS[end.reason].reason_class
    return {
        "state": end.state,
        "reason": end.reason,
        "reason_class": reason_class,
        "stage": end.stage,
        "lease_until": None,
    }


def _event(kind: str, held: Held, end: End) -> Event:
    return Event(
        kind, held.unit.item_id, held.unit.work_id, WorkState.LEASED, end.state, end.reason
    )
