"""Patients under several identifiers: merged, parted and looked up, by pseudonym alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, column, func, select, table, update
from sqlalchemy.dialects import postgresql, sqlite

from ecgbatch.errors import SetupFault
from ecgbatch.store import audit_log
from ecgbatch.store.engine import now
from ecgbatch.store.tables import item, recording
from ecgbatch.store.tables_ledger import patient
from ecgbatch.terms import Disposition, ReasonCode

_ONE_AT_A_TIME = (25443, 2)
"""Two numbers of a PostgreSQL advisory lock: two merges at once could make a circle."""

_DISPOSITION = table("v_disposition", column("recording_id"), column("disposition"))


@dataclass(frozen=True, slots=True)
class PatientRecording:
    """One ECG of a patient; `patient_key` is the one it was read with."""

    recording_id: int
    patient_key: str = field(repr=False)
    acquired_at: datetime | None
    first_seen_at: datetime | None
    dispositions: tuple[Disposition, ...]


@dataclass(frozen=True, slots=True)
class Patient:
    """Everything under one current key, newest ECG first; `keys` are all that lead to it."""

    current_key: str = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)
    recordings: tuple[PatientRecording, ...]


def merge(connection: Connection, source: str, target: str, *, actor: str, why: str) -> int:
    """Show the ECGs of `source`, and of all merged into it, under the current key of `target`.

    Returns:
        How many recordings are shown under another key now. 0 is no error: a merge may be known
        before the first ECG.

    Raises:
        SetupFault: PATIENT_MERGE_REFUSED, both are one patient already, or `source` was merged
            before.
    """
    _serialise(connection)
    goal = current_key(connection, target)
    if current_key(connection, source) != source:
        raise SetupFault(ReasonCode.PATIENT_MERGE_REFUSED, "the first is merged already")
    if goal == source:
        raise SetupFault(ReasonCode.PATIENT_MERGE_REFUSED, "both are one patient")
    moved = _keys(connection, source)
    connection.execute(
        update(patient).where(patient.c.current_key == source).values(current_key=goal)
    )
    _put(
        connection,
        {
            "patient_key": source,
            "current_key": goal,
            "merged_into": target,
            "merged_at": now(connection),
            "merged_by": actor,
            "is_merged": True,
        },
    )
    number = _count(connection, moved)
    audit_log.write(
        connection,
        actor=actor,
        act="patient merge",
        selector=f"patient={source} into={target}",
        reason=why,
        count=number,
    )
    return number


def unmerge(connection: Connection, source: str, *, actor: str, why: str) -> int:
    """Undo the merge of `source`; what was merged into it goes with it.

    Returns:
        How many recordings are shown under their former key again.

    Raises:
        SetupFault: PATIENT_MERGE_REFUSED, it is not merged.
    """
    _serialise(connection)
    parted = (
        update(patient)
        .where(patient.c.patient_key == source, patient.c.is_merged)
        .values(current_key=source, merged_into=None, is_merged=False)
    )
    if connection.execute(parted).rowcount != 1:
        raise SetupFault(ReasonCode.PATIENT_MERGE_REFUSED, "it is not merged")
    moved = _subtree(connection, source)
    connection.execute(
        update(patient).where(patient.c.patient_key.in_(moved)).values(current_key=source)
    )
    number = _count(connection, moved)
    audit_log.write(
        connection,
        actor=actor,
        act="patient unmerge",
        selector=f"patient={source}",
        reason=why,
        count=number,
    )
    return number


def look_up(
    connection: Connection, key: str, *, actor: str, why: str, with_identifier: bool = False
) -> Patient:
    """All recordings of a patient, merges followed; the look itself is audited.

    Args:
        with_identifier: the identifiers are looked at too, and the audit says so.
    """
    current = current_key(connection, key)
    keys = _keys(connection, current)
    found = _recordings(connection, keys)
    audit_log.write(
        connection,
        actor=actor,
        act="patient lookup",
        selector=f"patient={key}{' with identifier' if with_identifier else ''}",
        reason=why,
        count=len(found),
    )
    return Patient(current, keys, found)


def current_key(connection: Connection, key: str) -> str:
    """What the views show for `key`."""
    known = select(patient.c.current_key).where(patient.c.patient_key == key)
    return connection.execute(known).scalar() or key


def _serialise(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(*_ONE_AT_A_TIME)))


def _keys(connection: Connection, current: str) -> tuple[str, ...]:
    """The current key first, then all that lead to it."""
    others = select(patient.c.patient_key).where(
        patient.c.current_key == current, patient.c.patient_key != current
    )
    return (current, *sorted(connection.execute(others).scalars()))


def _subtree(connection: Connection, top: str) -> tuple[str, ...]:
    found, ahead = [top], [top]
    while ahead:
        below = select(patient.c.patient_key).where(patient.c.merged_into.in_(ahead))
        ahead = list(connection.execute(below).scalars())
        found += ahead
    return tuple(found)


def _put(connection: Connection, row: dict[str, object]) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    written = dialect.insert(patient).values(row)
    connection.execute(
        written.on_conflict_do_update(index_elements=["patient_key"], set_=dict(row))
    )


def _count(connection: Connection, keys: Sequence[str]) -> int:
    counted = select(func.count()).where(recording.c.patient_key.in_(keys))
    return int(connection.execute(counted).scalar_one())


def _recordings(connection: Connection, keys: Sequence[str]) -> tuple[PatientRecording, ...]:
    first_seen = select(func.min(item.c.first_seen_at)).where(
        item.c.recording_id == recording.c.recording_id
    )
    rows = connection.execute(
        select(
            recording.c.recording_id,
            recording.c.patient_key,
            recording.c.acquired_at,
            first_seen.scalar_subquery().label("first_seen_at"),
        )
        .where(recording.c.patient_key.in_(keys))
        .order_by(recording.c.acquired_at.desc().nulls_last(), recording.c.recording_id.desc())
    ).all()
    ended = _dispositions(connection, [row.recording_id for row in rows])
    return tuple(
        PatientRecording(
            row.recording_id,
            row.patient_key,
            row.acquired_at,
            row.first_seen_at,
            ended.get(row.recording_id, ()),
        )
        for row in rows
    )


def _dispositions(
    connection: Connection, recordings: Sequence[int]
) -> dict[int, tuple[Disposition, ...]]:
    shown = select(_DISPOSITION.c.recording_id, _DISPOSITION.c.disposition).distinct()
    found: dict[int, set[str]] = {}
    for recording_id, kind in connection.execute(
        shown.where(_DISPOSITION.c.recording_id.in_(recordings))
    ):
        found.setdefault(recording_id, set()).add(kind)
    # In the order of the words, so that `scored` stands before `duplicate`.
    return {key: tuple(one for one in Disposition if one in kinds) for key, kinds in found.items()}
