"""What a piece of work becomes: what its reading says, weighed against what the ledger knows."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, select

from ecgbatch.reasons import REASONS
from ecgbatch.records import (
    Facts,
    Finish,
    NotYet,
    Provenance,
    Quarantined,
    Rejected,
    RetryLater,
    Scored,
    WorkUnit,
)
from ecgbatch.store import linking, recordings
from ecgbatch.store.acquisition import Place, place
from ecgbatch.store.events import Event
from ecgbatch.store.linking import Spot
from ecgbatch.store.tables import NEW_REQUEST, recording
from ecgbatch.terms import Disposition, ItemState, ReasonClass, ReasonCode, WorkState

_RETURNABLE = (ReasonCode.SAME_ACQUISITION, ReasonCode.PATIENT_CORRECTED)


@dataclass(frozen=True, slots=True)
class Held:
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
class End:
    """What the work becomes, and what is shown for the item."""

    state: WorkState
    reason: ReasonCode | None
    shown: Finish
    recording_id: int | None = None
    stage: str | None = None
    events: tuple[Event, ...] = ()


def _note(connection: Connection, held: Held, facts: Facts) -> int:
    return recordings.note_recording(connection, facts, held.first_seen_at)


def failed(connection: Connection, held: Held, outcome: Quarantined | NotYet | RetryLater) -> End:
    """Set aside for a person."""
    known = None if held.is_beside or isinstance(outcome, RetryLater) else outcome.facts
    if known is None:
        return set_aside(outcome, None)
    # Whoever has looked whether these bytes are known writes them before anybody else.
    linking.lock_keys(connection, {known.file_digest})
    return set_aside(outcome, _note(connection, held, known))


def set_aside(outcome: Quarantined | NotYet | RetryLater, recording_id: int | None) -> End:
    """The end of what a person has to look at."""
    unsupported = REASONS[outcome.reason].reason_class is ReasonClass.FORMAT
    shown = Disposition.UNSUPPORTED if unsupported else Disposition.FAILED
    return End(
        WorkState.QUARANTINED,
        outcome.reason,
        Finish(shown, outcome.reason),
        recording_id,
        outcome.stage,
    )


def beside(
    connection: Connection, held: Held, outcome: Scored | Rejected, provenance: Provenance
) -> End:
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
        return failed(connection, held, Quarantined(None, ReasonCode.FILE_CHANGED, "finish"))
    recordings.note_findings(connection, recording_id, outcome.findings, provenance.settings_digest)
    if recordings.check_same(
        connection, recording_id, digest, provenance.pipeline_id, outcome
    ) or recordings.has_result(connection, recording_id, digest):
        return _duplicate(recording_id, None)
    _add_result(connection, held, recording_id, outcome, provenance)
    return ended(recording_id, outcome, None)


def complete(
    connection: Connection, held: Held, outcome: Scored | Rejected, provenance: Provenance
) -> End:
    """A champion's reading: the recording, its place among its acquisition's exports, a result."""
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
            return ended(recording_id, outcome, None, events)
    if known:
        return _duplicate(recording_id, superseded)
    if superseded is None:
        return _first_of_recording(connection, held, recording_id, outcome, provenance)
    if is_first and superseded is not ReasonCode.IDENTITY_CONFLICT:
        return _unscored(recording_id, superseded)
    _add_result(connection, held, recording_id, outcome, provenance)
    return ended(recording_id, outcome, superseded)


def _brought_back(
    connection: Connection, held: Held, recording_id: int, outcome: Scored | Rejected
) -> tuple[Event, ...]:
    """Old bytes may be the newest again, where they have come to lie now; else no events."""
    is_scored = isinstance(outcome, Scored)
    new = linking.version(outcome.facts, recording_id, held.spot, is_scored=is_scored)
    return tuple(linking.bring_back(connection, new, held.spot, held.moment))


def _first_of_recording(
    connection: Connection,
    held: Held,
    recording_id: int,
    outcome: Scored | Rejected,
    provenance: Provenance,
) -> End:
    """Place the recording among the exports of its acquisition; only a loser is not written."""
    is_scored = isinstance(outcome, Scored)
    new = linking.version(outcome.facts, recording_id, held.spot, is_scored=is_scored)
    verdict = place(new, linking.rivals(connection, new, held.spot))
    events = tuple(linking.write(connection, recording_id, verdict, held.moment))
    if verdict.place is Place.SUPERSEDED:
        return _unscored(recording_id, verdict.reason or ReasonCode.SAME_ACQUISITION, events)
    _add_result(connection, held, recording_id, outcome, provenance)
    return ended(recording_id, outcome, verdict.reason, events)


def _add_result(
    connection: Connection,
    held: Held,
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


def _duplicate(recording_id: int, superseded: ReasonCode | None) -> End:
    shown = (
        Finish(Disposition.DUPLICATE, ReasonCode.SAME_BYTES)
        if superseded is None
        else Finish(Disposition.SUPERSEDED, superseded)
    )
    return End(WorkState.DUPLICATE, ReasonCode.SAME_BYTES, shown, recording_id)


def _unscored(recording_id: int, reason: ReasonCode, events: tuple[Event, ...] = ()) -> End:
    shown = Finish(Disposition.SUPERSEDED, reason)
    return End(WorkState.DUPLICATE, reason, shown, recording_id, events=events)


def ended(
    recording_id: int,
    outcome: Scored | Rejected,
    superseded: ReasonCode | None,
    events: tuple[Event, ...] = (),
) -> End:
    """The end of what was read and has its result."""
    reason = outcome.reason if isinstance(outcome, Rejected) else None
    state = WorkState.SCORED if reason is None else WorkState.REJECTED
    shown = Finish(Disposition(state), reason)
    if superseded is not None:
        shown = Finish(Disposition.SUPERSEDED, superseded)
    return End(state, reason, shown, recording_id, events=events)
