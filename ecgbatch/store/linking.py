"""Finds the other exports of an acquisition and writes which one is current."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    ScalarSelect,
    Select,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from ecgbatch.records import Facts
from ecgbatch.store.acquisition import Place, Verdict, Version, is_same_acquisition, order, place
from ecgbatch.store.events import Event
from ecgbatch.store.tables import activation, item, recording, result
from ecgbatch.store.tables_ledger import supersession
from ecgbatch.terms import BundleRole, ItemState, ReasonCode, ResultOutcome


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the item lies that is being placed, and when its bytes came to lie there."""

    item_id: int
    source_id: int
    locator: str
    changed_at: datetime


def serialise(connection: Connection, facts: Facts) -> None:
    """Let two workers finish exports of one acquisition after one another, not at once.

    On SQLite only one transaction writes at any time.
    """
    lock_keys(connection, keys_of(facts))


def keys_of(facts: Facts) -> set[str | None]:
    """What two exports of one acquisition, or two copies of one file, have in common."""
    return {facts.acquisition_key, facts.ecg_id, facts.signal_digest, facts.file_digest}


def lock_keys(connection: Connection, keys: set[str | None]) -> None:
    """`serialise` for keys; those of many recordings at once, so that nobody waits in a circle."""
    wanted = sorted(key for key in keys if key is not None)
    if wanted and connection.dialect.name != "sqlite":
        connection.exec_driver_sql(_LOCK, (wanted,))


_LOCK = """
SELECT pg_advisory_xact_lock(number) FROM (
  SELECT DISTINCT hashtext(key) AS number FROM unnest(%s::text[]) AS key ORDER BY number
) AS sorted
"""
"""hashtext() is PostgreSQL's own. In its order, the same for every worker."""


def version(facts: Facts, recording_id: int, spot: Spot, *, is_scored: bool) -> Version:
    """The export being finished, as linking sees it."""
    return Version(
        recording_id,
        acquisition_key=facts.acquisition_key,
        patient_key=facts.patient_key,
        ecg_id=facts.ecg_id,
        signal_digest=facts.signal_digest,
        edit_at=None if facts.edit_at is None else facts.edit_at.replace(tzinfo=None),
        edit_status=facts.edit_status,
        is_scored=is_scored,
        here=(spot.changed_at, spot.item_id),
    )


def rivals(connection: Connection, new: Version, spot: Spot) -> tuple[Version, ...]:
    """The versions of the same acquisition that are current or in conflict.

    A version that was superseded stands for the one that superseded it. One that failed is none,
    nor is one that an operator has ignored wherever it lies; no way leads through it.
    """
    candidates = _versions(spot).where(
        recording.c.recording_id != new.recording_id,
        _may_be_linked(new, spot),
        or_(
            exists().where(result.c.recording_id == recording.c.recording_id),
            recording.c.superseded_at.is_not(None),
        ),
        _is_not_ignored(),
    )
    rows: Sequence[Row[tuple[object, ...]]] = connection.execute(candidates).all()
    rows = [row for row in rows if is_same_acquisition(new, _version(row))]
    own = _versions(spot).where(recording.c.recording_id == _superseder(new), _is_not_ignored())
    rows = [*rows, *connection.execute(own)]
    found: dict[int, Version] = {}
    visited = {new.recording_id}
    while rows:
        visited.update(row.recording_id for row in rows)
        found |= {row.recording_id: _version(row) for row in rows if not _is_superseded(row)}
        ahead = {row.superseded_by for row in rows if _is_superseded(row)} - visited
        follow = _versions(spot).where(recording.c.recording_id.in_(ahead), _is_not_ignored())
        rows = connection.execute(follow).all() if ahead else []
    return tuple(found.values())


def _is_not_ignored() -> ColumnElement[bool]:
    return exists().where(
        item.c.recording_id == recording.c.recording_id, item.c.state != ItemState.IGNORED
    )


def write(connection: Connection, new_id: int, verdict: Verdict, moment: datetime) -> list[Event]:
    """Write a verdict onto the recordings; the events are for the caller to record."""
    events: list[Event] = []
    if verdict.place is Place.CONFLICT:
        reason = ReasonCode.IDENTITY_CONFLICT
        _supersede(connection, new_id, verdict.conflicts[0], reason, moment)
        for other_id in verdict.conflicts:
            events += _supersede(connection, other_id, new_id, reason, moment)
        return events
    current_id = new_id if verdict.current_id is None else verdict.current_id
    for other_id, reason in verdict.superseded:
        events += _supersede(connection, other_id, current_id, reason, moment)
    if verdict.reason is not None:
        events += _supersede(connection, new_id, current_id, verdict.reason, moment)
    return events


def reconsider(
    connection: Connection, recording_id: int, spot: Spot, moment: datetime
) -> list[Event]:
    """Place a superseded recording again, because its bytes came back, or an operator decided.

    It is current again if it is the newest now; a conflict ends if the patients no longer differ
    or the other one is ignored. Otherwise nothing changes.

    Returns:
        The events, for the caller to record.
    """
    own = _versions(spot).where(recording.c.recording_id == recording_id)
    row = connection.execute(own).one()
    if row.superseded_at is None:
        return []
    lock_keys(connection, {row.acquisition_key, row.ecg_id, row.signal_digest, row.file_digest})
    new = _version(row)
    if not new.is_in_conflict:
        return bring_back(connection, new, spot, moment)
    new, others = _afresh(new), tuple(map(_afresh, rivals(connection, new, spot)))
    verdict = place(new, others)
    if verdict.place is Place.CONFLICT:
        return []
    involved = (recording_id, *(other.recording_id for other in others))
    events = [event for one in involved for event in _restore(connection, one, moment)]
    return events + write(connection, recording_id, verdict, moment)


def linked_with(connection: Connection, recording_id: int, spot: Spot) -> list[int]:
    """The recordings that a recording stands against or before, by number."""
    own = connection.execute(_versions(spot).where(recording.c.recording_id == recording_id)).one()
    linked = {one.recording_id for one in rivals(connection, _version(own), spot)}
    behind = select(recording.c.recording_id).where(recording.c.superseded_by == recording_id)
    return sorted(linked | set(connection.execute(behind).scalars()))


def place_again(
    connection: Connection, recording_id: int, spot: Spot, moment: datetime
) -> list[Event]:
    """Place a recording that an operator no longer ignores among those that stand now.

    A conflict that ended because it was ignored begins again.
    """
    own = _versions(spot).where(recording.c.recording_id == recording_id)
    row = connection.execute(own).one()
    lock_keys(connection, {row.acquisition_key, row.ecg_id, row.signal_digest, row.file_digest})
    new = _version(row)
    if _is_superseded(row):
        return bring_back(connection, new, spot, moment)
    others = rivals(connection, new, spot)
    verdict = place(_afresh(new), others)
    if new.is_in_conflict and verdict.place is Place.CONFLICT and _all_in_conflict(others):
        return []
    return _restore(connection, recording_id, moment) + write(
        connection, recording_id, verdict, moment
    )


def _all_in_conflict(others: Sequence[Version]) -> bool:
    return all(other.is_in_conflict for other in others)


def bring_back(connection: Connection, new: Version, spot: Spot, moment: datetime) -> list[Event]:
    """Make a superseded recording current again if it is the newer of all now; they give way."""
    others = rivals(connection, new, spot)
    verdict = place(new, others)
    if verdict.place is not Place.CURRENT or any(order(new, other) <= 0 for other in others):
        return []
    events = _restore(connection, new.recording_id, moment)
    return events + write(connection, new.recording_id, verdict, moment)


def _afresh(one: Version) -> Version:
    return replace(one, is_in_conflict=False)


def _restore(connection: Connection, recording_id: int, moment: datetime) -> list[Event]:
    restored = connection.execute(
        update(recording)
        .where(recording.c.recording_id == recording_id, recording.c.superseded_at.is_not(None))
        .values(superseded_by=None, superseded_at=None, superseded_reason=None)
    )
    if restored.rowcount == 0:
        return []
    connection.execute(
        update(supersession)
        .where(supersession.c.recording_id == recording_id, supersession.c.to_at.is_(None))
        .values(to_at=moment)
    )
    item_id = _newest_item(connection, recording_id)
    return [Event("restored", item_id, from_state="superseded", to_state="current")]


def _supersede(
    connection: Connection, old_id: int, by_id: int, reason: ReasonCode, moment: datetime
) -> list[Event]:
    written = connection.execute(
        update(recording)
        .where(recording.c.recording_id == old_id, recording.c.superseded_at.is_(None))
        .values(superseded_by=by_id, superseded_at=moment, superseded_reason=reason)
    )
    if written.rowcount == 0:
        return []
    connection.execute(
        insert(supersession).values(
            recording_id=old_id, superseded_by=by_id, reason=reason, from_at=moment
        )
    )
    kind = "superseded" if reason is ReasonCode.SAME_ACQUISITION else reason.value
    item_id = _newest_item(connection, old_id)
    return [Event(kind, item_id, to_state="superseded", reason=reason)]


def _newest_item(connection: Connection, recording_id: int) -> int | None:
    newest = select(func.max(item.c.item_id)).where(item.c.recording_id == recording_id)
    item_id: int | None = connection.execute(newest).scalar_one()
    return item_id


def _superseder(new: Version) -> ScalarSelect[int | None]:
    """What took the place of a version that comes back; no index may find it from here."""
    row = recording.alias()
    superseder = select(row.c.superseded_by).where(row.c.recording_id == new.recording_id)
    return superseder.scalar_subquery()


def _versions(spot: Spot) -> Select[tuple[object, ...]]:
    here = (
        item.c.recording_id == recording.c.recording_id,
        item.c.source_id == spot.source_id,
        item.c.locator == spot.locator,
    )
    here_at = select(func.max(item.c.changed_at)).where(*here).scalar_subquery()
    here_id = select(func.max(item.c.item_id)).where(*here).scalar_subquery()
    champions = select(activation.c.bundle_digest).where(activation.c.role == BundleRole.CHAMPION)
    scored = exists().where(
        result.c.recording_id == recording.c.recording_id,
        result.c.outcome == ResultOutcome.SCORED,
        result.c.bundle_digest.in_(champions),
    )
    return select(
        recording,
        here_at.label("here_at"),
        here_id.label("here_id"),
        scored.label("is_scored"),
    )


def _may_be_linked(new: Version, spot: Spot) -> ColumnElement[bool]:
    """Whatever an index finds; `is_same_acquisition` decides."""
    at_spot = select(item.c.recording_id).where(
        item.c.source_id == spot.source_id,
        item.c.locator == spot.locator,
        item.c.recording_id.is_not(None),
    )
    equal: list[ColumnElement[bool]] = [recording.c.recording_id.in_(at_spot)]
    if new.acquisition_key is not None:
        equal.append(recording.c.acquisition_key == new.acquisition_key)
    if new.ecg_id is not None:
        equal.append(recording.c.ecg_id == new.ecg_id)
    if new.signal_digest is not None:
        equal.append(recording.c.signal_digest == new.signal_digest)
    return or_(*equal)


def _version(row: Row[tuple[object, ...]]) -> Version:
    return Version(
        row.recording_id,
        acquisition_key=row.acquisition_key,
        patient_key=row.patient_key,
        ecg_id=row.ecg_id,
        signal_digest=row.signal_digest,
        edit_at=row.edit_at,
        edit_status=row.edit_status,
        is_scored=bool(row.is_scored),
        here=None if row.here_id is None else (row.here_at, row.here_id),
        is_in_conflict=row.superseded_reason == ReasonCode.IDENTITY_CONFLICT,
    )


def _is_superseded(row: Row[tuple[object, ...]]) -> bool:
    in_conflict = row.superseded_reason == ReasonCode.IDENTITY_CONFLICT
    return row.superseded_at is not None and not in_conflict
