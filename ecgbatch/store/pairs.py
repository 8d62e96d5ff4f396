"""What two bundles said of the same ECGs, side by side."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, func, literal, or_, select, union_all

from ecgbatch.store.engine import take_time
from ecgbatch.store.tables import item, recording, result, score
from ecgbatch.store.tables_ledger import patient
from ecgbatch.terms import ANY_VESSEL, ResultOutcome, Stratum


@dataclass(frozen=True, slots=True)
class Pair:
    """One task of one ECG under both bundles; a stratum is None where a task has no cuts.

    Attributes:
        patient_key: the current one, so that merged patients are one; None if not known.
        champion_risk, challenger_risk: calibrated probabilities, 0..1.
    """

    recording_id: int
    patient_key: str | None = field(repr=False)
    task: str
    champion_risk: float
    challenger_risk: float
    champion_stratum: Stratum | None
    challenger_stratum: Stratum | None


def pairs(
    connection: Connection, champion: str, challenger: str, since: datetime | None = None
) -> Iterator[Pair]:
    """Every task of every current recording whose newest result under each bundle is scored.

    As `v_bundle_comparison` counts them, in the order of recordings.

    Args:
        since: only ECGs of this date (wall clock) or later; those without one by first sighting.
    """
    take_time(connection)
    theirs, ours = _newest(champion).subquery("x"), _newest(challenger).subquery("y")
    mine, other = score.alias(), score.alias()
    both = (
        recording.c.superseded_at.is_(None),
        theirs.c.place == 1,
        ours.c.place == 1,
        theirs.c.outcome == ResultOutcome.SCORED,
        ours.c.outcome == ResultOutcome.SCORED,
    )
    key = func.coalesce(patient.c.current_key, recording.c.patient_key).label("patient_key")
    joined = (
        recording.join(theirs, theirs.c.recording_id == recording.c.recording_id)
        .join(ours, ours.c.recording_id == recording.c.recording_id)
        .outerjoin(patient, patient.c.patient_key == recording.c.patient_key)
    )
    vessels: Select[Any] = (
        select(
            recording.c.recording_id,
            key,
            mine.c.task,
            mine.c.probability.label("champion_risk"),
            other.c.probability.label("challenger_risk"),
            mine.c.stratum.label("champion_stratum"),
            other.c.stratum.label("challenger_stratum"),
        )
        .select_from(
            joined.join(mine, mine.c.result_id == theirs.c.result_id).join(
                other, and_(other.c.result_id == ours.c.result_id, other.c.task == mine.c.task)
            )
        )
        .where(*both)
    )
    any_vessel: Select[Any] = (
        select(
            recording.c.recording_id,
            key,
            literal(ANY_VESSEL).label("task"),
            theirs.c.any_vessel_risk,
            ours.c.any_vessel_risk,
            theirs.c.any_vessel_stratum,
            ours.c.any_vessel_stratum,
        )
        .select_from(joined)
        .where(*both)
    )
    if since is not None:
        vessels, any_vessel = _later(vessels, since), _later(any_vessel, since)
    both_kinds = union_all(vessels, any_vessel).subquery()
    columns = both_kinds.c
    rows = connection.execute(select(both_kinds).order_by(columns.recording_id, columns.task))
    for recording_id, patient_key, task, before, after, stratum, other_stratum in rows:
        strata = (_stratum(stratum), _stratum(other_stratum))
        yield Pair(recording_id, patient_key, task, before, after, *strata)


def _newest(digest: str) -> Select[tuple[object, ...]]:
    place = func.row_number().over(
        partition_by=result.c.recording_id,
        order_by=(result.c.created_at.desc(), result.c.result_id.desc()),
    )
    return select(result, place.label("place")).where(result.c.bundle_digest == digest)


def _later(query: Select[Any], since: datetime) -> Select[Any]:
    first_seen = exists().where(
        item.c.recording_id == recording.c.recording_id,
        item.c.first_seen_at >= since.replace(tzinfo=UTC),
    )
    undated = and_(recording.c.acquired_at.is_(None), first_seen)
    return query.where(or_(recording.c.acquired_at >= since, undated))


def _stratum(word: str | None) -> Stratum | None:
    return None if word is None else Stratum(word)
