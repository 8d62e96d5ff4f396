"""The end of a piece of work: state, recording, findings and result in one transaction."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import assert_never

from sqlalchemy import Connection, select, update

from ecgbatch.errors import LeaseLost
from ecgbatch.reasons import REASONS
from ecgbatch.records import (
    Facts,
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
from ecgbatch.store import linking, recordings
from ecgbatch.store.acquisition import Place, place
from ecgbatch.store.claims import role_of
from ecgbatch.store.engine import now
from ecgbatch.store.events import Event, record
from ecgbatch.store.linking import Spot
from ecgbatch.store.tables import NEW_REQUEST, item, recording, work
from ecgbatch.terms import (
    BundleRole,
    Disposition,
    ItemState,
    ReasonClass,
    ReasonCode,
    WorkState,
)

_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 3600.0
UNREADABLE_S = 86_400.0
_RETURNABLE = (ReasonCode.SAME_ACQUISITION, ReasonCode.PATIENT_CORRECTED)
_UNREADABLE = (
    ReasonCode.READ_FAILED,
    ReasonCode.CHANGED_WHILE_READING,
    ReasonCode.OUT_OF_MEMORY,
)


@dataclass(frozen=True, slots=True)
class _Held:
    """The unit as the ledger has it, under this transaction's lock.

    Attributes:
        recording_id: of the item, as its champion's newest reading found it.
        is_beside: the bundle is not the champion: nothing but its result is written.
    """

    unit: WorkUnit
    request: str
    spot: Spot
    recording_id: int | None
    is_beside: bool
    item_state: ItemState
    fingerprint: str
    first_seen_at: datetime
    fault_since: datetime | None
    moment: datetime
    run_id: int


@dataclass(frozen=True, slots=True)
class _End:
    """What the work becomes, and what is shown for the item."""

    state: WorkState
    reason: ReasonCode | None
    shown: Finish
    recording_id: int | None = None
    stage: str | None = None
    events: tuple[Event, ...] = ()


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
            complete = _beside if held.is_beside else _complete
            return _close(connection, held, complete(connection, held, outcome, provenance))
        case Quarantined():
            return _close(connection, held, _failed(connection, held, outcome))
        case NotYet():
            is_spent = held.moment - held.spot.changed_at >= timedelta(seconds=grace_s)
        case RetryLater():
            is_spent = _is_given_up(held, outcome.reason, unreadable_s)
        case _:
            assert_never(outcome)
    if not is_spent:
        return _put_back(connection, held, outcome)
    return _close(connection, held, _failed(connection, held, outcome))


def _hold(connection: Connection, unit: WorkUnit, run_id: int) -> _Held:
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
    return _Held(
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


def _put_back(connection: Connection, held: _Held, outcome: NotYet | RetryLater) -> Finish:
    """Wait, without an attempt spent: an incomplete file for the next run, a fault for a while."""
    wait_s = 0.0 if isinstance(outcome, NotYet) else backoff_s(held.unit)
    shown = Finish(Disposition.WAITING, outcome.reason)
    end = _End(WorkState.RETRY_WAIT, outcome.reason, shown, stage=outcome.stage)
    connection.execute(
        update(work)
        .where(work.c.work_id == held.unit.work_id)
        .values(
            attempts=work.c.attempts - 1,
            losses=0,
            fault_since=_fault_since(held, outcome.reason),
            next_at=held.moment + timedelta(seconds=wait_s),
            **_work_values(end),
        )
    )
    record(connection, held.run_id, [_event("put_back", held, end)])
    return shown


def _fault_since(held: _Held, reason: ReasonCode) -> datetime | None:
    return (held.fault_since or held.moment) if reason in _UNREADABLE else None


def _is_given_up(held: _Held, reason: ReasonCode, unreadable_s: float) -> bool:
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


def _note(connection: Connection, held: _Held, facts: Facts) -> int:
    return recordings.note_recording(connection, facts, held.first_seen_at)


def _failed(
    connection: Connection, held: _Held, outcome: Quarantined | NotYet | RetryLater
) -> _End:
    known = None if held.is_beside or isinstance(outcome, RetryLater) else outcome.facts
    recording_id = None if known is None else _note(connection, held, known)
    unsupported = REASONS[outcome.reason].reason_class is ReasonClass.FORMAT
    shown = Disposition.UNSUPPORTED if unsupported else Disposition.FAILED
    return _End(
        WorkState.QUARANTINED,
        outcome.reason,
        Finish(shown, outcome.reason),
        recording_id,
        outcome.stage,
    )


def _beside(
    connection: Connection, held: _Held, outcome: Scored | Rejected, provenance: Provenance
) -> _End:
    """A challenger's result, of the very bytes that a champion has read.

    What the recording is, which export of its acquisition is current and what is shown of the
    item were said by the champion's reading; nothing of that is written here.
    """
    linking.serialise(connection, outcome.facts)
    digest = held.unit.bundle_digest
    known = select(recording.c.recording_id).where(
        recording.c.recording_id == held.recording_id,
        recording.c.file_digest == outcome.facts.file_digest,
    )
    recording_id: int | None = connection.execute(known).scalar()
    if recording_id is None:
        return _failed(connection, held, Quarantined(None, ReasonCode.FILE_CHANGED, "finish"))
    recordings.note_findings(connection, recording_id, outcome.findings, provenance.settings_digest)
    if recordings.check_same(
        connection, recording_id, digest, provenance.pipeline_id, outcome
    ) or recordings.has_result(connection, recording_id, digest):
        return _duplicate(recording_id, None)
    _add_result(connection, held, recording_id, outcome, provenance)
    return _ended(recording_id, outcome, None)


def _complete(
    connection: Connection, held: _Held, outcome: Scored | Rejected, provenance: Provenance
) -> _End:
    linking.serialise(connection, outcome.facts)
    recording_id = _note(connection, held, outcome.facts)
    recordings.note_findings(connection, recording_id, outcome.findings, provenance.settings_digest)
    digest = held.unit.bundle_digest
    is_same = recordings.check_same(
        connection, recording_id, digest, provenance.pipeline_id, outcome
    )
    is_first = held.request == NEW_REQUEST
    known = is_same or (is_first and recordings.has_result(connection, recording_id, digest))
    superseded = _superseded_reason(connection, recording_id)
    if is_first and superseded in _RETURNABLE:
        events = _brought_back(connection, held, recording_id, outcome)
        if events and known:
            return replace(_duplicate(recording_id, None), events=events)
        if events:
            _add_result(connection, held, recording_id, outcome, provenance)
            return _ended(recording_id, outcome, None, events)
    if known:
        return _duplicate(recording_id, superseded)
    if superseded is None:
        return _first_of_recording(connection, held, recording_id, outcome, provenance)
    if is_first and superseded is not ReasonCode.IDENTITY_CONFLICT:
        return _unscored(recording_id, superseded)
    _add_result(connection, held, recording_id, outcome, provenance)
    return _ended(recording_id, outcome, superseded)


def _brought_back(
    connection: Connection, held: _Held, recording_id: int, outcome: Scored | Rejected
) -> tuple[Event, ...]:
    """Old bytes may be the newest again, where they have come to lie now; else no events."""
    is_scored = isinstance(outcome, Scored)
    new = linking.version(outcome.facts, recording_id, held.spot, is_scored=is_scored)
    return tuple(linking.bring_back(connection, new, held.spot, held.moment))


def _first_of_recording(
    connection: Connection,
    held: _Held,
    recording_id: int,
    outcome: Scored | Rejected,
    provenance: Provenance,
) -> _End:
    """Place the recording among the exports of its acquisition; only a loser is not written."""
    is_scored = isinstance(outcome, Scored)
    new = linking.version(outcome.facts, recording_id, held.spot, is_scored=is_scored)
    verdict = place(new, linking.rivals(connection, new, held.spot))
    events = tuple(linking.write(connection, recording_id, verdict, held.moment))
    if verdict.place is Place.SUPERSEDED:
        return _unscored(recording_id, verdict.reason or ReasonCode.SAME_ACQUISITION, events)
    _add_result(connection, held, recording_id, outcome, provenance)
    return _ended(recording_id, outcome, verdict.reason, events)


def _add_result(
    connection: Connection,
    held: _Held,
    recording_id: int,
    outcome: Scored | Rejected,
    provenance: Provenance,
) -> None:
    recordings.add_result(
        connection,
        recording_id,
        outcome,
        bundle_digest=held.unit.bundle_digest,
        work_id=held.unit.work_id,
        provenance=provenance,
        moment=held.moment,
    )


def _superseded_reason(connection: Connection, recording_id: int) -> ReasonCode | None:
    reason = connection.execute(
        select(recording.c.superseded_reason).where(recording.c.recording_id == recording_id)
    ).scalar_one()
    return None if reason is None else ReasonCode(reason)


def _duplicate(recording_id: int, superseded: ReasonCode | None) -> _End:
    shown = (
        Finish(Disposition.DUPLICATE, ReasonCode.SAME_BYTES)
        if superseded is None
        else Finish(Disposition.SUPERSEDED, superseded)
    )
    return _End(WorkState.DUPLICATE, ReasonCode.SAME_BYTES, shown, recording_id)


def _unscored(recording_id: int, reason: ReasonCode, events: tuple[Event, ...] = ()) -> _End:
    shown = Finish(Disposition.SUPERSEDED, reason)
    return _End(WorkState.DUPLICATE, reason, shown, recording_id, events=events)


def _ended(
    recording_id: int,
    outcome: Scored | Rejected,
    superseded: ReasonCode | None,
    events: tuple[Event, ...] = (),
) -> _End:
    reason = outcome.reason if isinstance(outcome, Rejected) else None
    state = WorkState.SCORED if reason is None else WorkState.REJECTED
    shown = Finish(Disposition(state), reason)
    if superseded is not None:
        shown = Finish(Disposition.SUPERSEDED, superseded)
    return _End(state, reason, shown, recording_id, events=events)


def _close(connection: Connection, held: _Held, end: _End) -> Finish:
    """Write the end of the work; an earlier acknowledgement does not cover it."""
    connection.execute(
        update(work)
        .where(work.c.work_id == held.unit.work_id)
        .values(finished_at=held.moment, fault_since=None, **_work_values(end))
    )
    if not held.is_beside:
        _write_item(connection, held, end)
    record(connection, held.run_id, [_event("finished", held, end), *end.events])
    return end.shown


def _write_item(connection: Connection, held: _Held, end: _End) -> None:
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


def _work_values(end: _End) -> dict[str, object]:
    reason_class = None if end.reason is None else REASONS[end.reason].reason_class
    return {
        "state": end.state,
        "reason": end.reason,
        "reason_class": reason_class,
        "stage": end.stage,
        "lease_until": None,
    }


def _event(kind: str, held: _Held, end: _End) -> Event:
    return Event(
        kind, held.unit.item_id, held.unit.work_id, WorkState.LEASED, end.state, end.reason
    )
