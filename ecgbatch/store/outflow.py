"""What `export` reads: new results, and recordings that changed after their result was exported."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    and_,
    column,
    exists,
    func,
    or_,
    select,
    table,
)

from ecgbatch.store.engine import WHOLE_TABLES_S, take_time, transaction
from ecgbatch.store.tables import activation, bundle, event, item, recording, result, score
from ecgbatch.store.tables_ledger import patient
from ecgbatch.terms import Vessel

Row = dict[str, Any]
Range = tuple[int, int]
BATCH = 2_000
_LISTED = 100
"""Ranges in one statement."""

_LOCKS = table(
    "pg_locks",
    *(column(name) for name in ("database", "relation", "mode", "virtualtransaction")),
)
_DATABASES = table("pg_database", column("oid"), column("datname"))


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How far one can read, and who was writing when that was so.

    Attributes:
        writers: the open transactions that hold a writer's lock on a table below; None where
            they cannot be seen, as on a standby.
    """

    result_id: int
    event_id: int
    writers: frozenset[str] | None


def ceiling(connection: Connection) -> Ceiling:
    """The highest numbers committed, and then the writers: in this order, before `snapshot`.

    A number below that is missing in a later snapshot was taken before the writers were listed:
    its transaction is one of them, or it was rolled back.
    """
    highest = select(
        select(func.max(result.c.result_id)).scalar_subquery(),
        select(func.max(event.c.event_id)).scalar_subquery(),
    )
    result_id, event_id = connection.execute(highest).one()
    return Ceiling(result_id or 0, event_id or 0, _writers(connection))


def _writers(connection: Connection) -> frozenset[str] | None:
    if connection.dialect.name == "sqlite":
        # One transaction writes at a time, and what it rolled back never had a number.
        return frozenset()
    if connection.execute(select(func.pg_is_in_recovery())).scalar_one():
        return None
    here = select(_DATABASES.c.oid).where(_DATABASES.c.datname == func.current_database())
    relations = [func.to_regclass(one.name) for one in (result, event)]
    holders = select(_LOCKS.c.virtualtransaction).where(
        _LOCKS.c.mode == "RowExclusiveLock",
        _LOCKS.c.database == here.scalar_subquery(),
        _LOCKS.c.relation.in_(relations),
    )
    return frozenset(connection.execute(holders).scalars())


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """One transaction in which everything is as at its first statement."""
    is_postgres = engine.dialect.name == "postgresql"
    still = engine.execution_options(isolation_level="REPEATABLE READ") if is_postgres else engine
    with transaction(still) as connection:
        take_time(connection, WHOLE_TABLES_S)
        yield connection


def identity(connection: Connection) -> str | None:
    """What tells this database from others: its first activation; None before there is one."""
    first = select(activation.c.bundle_digest, activation.c.from_at, activation.c.by)
    row = connection.execute(first.order_by(activation.c.activation_id).limit(1)).first()
    return None if row is None else _digest(row.bundle_digest, row.from_at, row.by)


def anchor(connection: Connection, result_id: int) -> str | None:
    """What stands under a number; another after a restore from a backup, or None."""
    found = select(result.c.recording_id, result.c.pipeline_id, result.c.created_at).where(
        result.c.result_id == result_id
    )
    row = connection.execute(found).first()
    return None if row is None else _digest(row.recording_id, row.pipeline_id, row.created_at)


def _digest(*values: object) -> str:
    texts = (one.isoformat() if isinstance(one, datetime) else str(one) for one in values)
    return sha256("\0".join(texts).encode()).hexdigest()


def results(connection: Connection, ranges: Sequence[Range], limit: int) -> Iterator[list[Row]]:
    """Results with scores, bundle and recording, in batches by number; at most `limit`."""
    for conditions in _conditions(result.c.result_id, ranges):
        rows = _results().where(conditions).order_by(result.c.result_id).limit(limit)
        for batch in _batches(connection, rows):
            limit -= len(batch)
            yield batch


def missing(connection: Connection, key: str, above: int, top: int) -> tuple[Range, ...]:
    """Numbers in `above < number <= top` that are not there, as ranges.

    Args:
        key: `result_id` or `event_id`.
    """
    number = _key(key)
    before = func.lag(number, 1, above).over(order_by=number).label("before")
    there = select(number.label("number"), before).where(number > above, number <= top).subquery()
    holes = select(there.c.before + 1, there.c.number - 1).where(
        there.c.number - there.c.before > 1
    )
    rows = connection.execute(holes.order_by(there.c.number))
    return tuple((first, last) for first, last in rows)


def present(connection: Connection, key: str, ranges: Sequence[Range]) -> list[int]:
    """The numbers within the ranges that are there."""
    number = _key(key)
    return [
        found
        for conditions in _conditions(number, ranges)
        for found in connection.execute(select(number).where(conditions)).scalars()
    ]


def changed(connection: Connection, events: Sequence[Range], exported: int) -> Iterator[list[Row]]:
    """The state of recordings that the events touched and that have a result up to `exported`.

    Every change of a recording has an event in its transaction.
    """
    has_result = exists().where(
        result.c.recording_id == recording.c.recording_id, result.c.result_id <= exported
    )
    for conditions in _conditions(event.c.event_id, events):
        touched = select(item.c.recording_id).join(event, event.c.item_id == item.c.item_id)
        rows = select(recording.c.recording_id, *_FACTS).where(
            recording.c.recording_id.in_(touched.where(conditions)), has_result
        )
        yield from _batches(connection, rows.order_by(recording.c.recording_id))


def activations(connection: Connection) -> list[Row]:
    """Which bundle had which role when."""
    rows = (
        select(
            activation.c.activation_id,
            *_BUNDLE,
            activation.c.role,
            activation.c.from_at,
            activation.c.to_at,
        )
        .join(bundle, bundle.c.bundle_digest == activation.c.bundle_digest)
        .order_by(activation.c.activation_id)
    )
    return [dict(row) for row in connection.execute(rows).mappings()]


def patient_keys(connection: Connection) -> list[Row]:
    """Pseudonyms that are shown under another one, since an operator merged them."""
    rows = select(patient.c.patient_key, patient.c.current_key).where(
        patient.c.current_key != patient.c.patient_key
    )
    return [
        dict(row) for row in connection.execute(rows.order_by(patient.c.patient_key)).mappings()
    ]


_BUNDLE = (
    bundle.c.bundle_digest,
    bundle.c.name.label("bundle_name"),
    bundle.c.version.label("bundle_version"),
    bundle.c.is_clinical,
)
_FIRST_SEEN = (
    select(func.min(item.c.first_seen_at))
    .where(item.c.recording_id == recording.c.recording_id)
    .scalar_subquery()
)
_FACTS = (
    recording.c.file_digest,
    recording.c.patient_key,
    recording.c.accession,
    recording.c.order_number,
    recording.c.ecg_id,
    recording.c.acquired_at,
    _FIRST_SEEN.label("first_seen_at"),
    recording.c.acquired_zone,
    recording.c.age_years,
    recording.c.sex,
    recording.c.device,
    recording.c.site,
    recording.c.statement_normal,
    recording.c.format,
    recording.c.sampling_frequency,
    recording.c.n_samples,
    recording.c.superseded_by,
    recording.c.superseded_at,
    recording.c.superseded_reason,
)
_OF_RESULT = (
    *("result_id", "recording_id", "outcome", "reason", "any_vessel_risk", "any_vessel_stratum"),
    *("outside_intended_use", "created_at", "run_id", "worker", "pipeline_id", "reader"),
    *("reader_version", "signal_digest", "preprocessing_digest", "runtime", "precision"),
    *("code_version", "library_versions", "padded_samples"),
)
_OF_SCORE = {
    "risk": "probability",
    "stratum": "stratum",
    "near_cut": "near_cut",
    "is_experimental": "is_experimental",
    "probability_raw": "probability_raw",
    "logit": "logit",
}


def _results() -> Select[Any]:
    joined: Any = result.join(bundle, bundle.c.bundle_digest == result.c.bundle_digest).join(
        recording, recording.c.recording_id == result.c.recording_id
    )
    columns: list[ColumnElement[Any]] = [result.c[name] for name in _OF_RESULT]
    for vessel in Vessel:
        of = score.alias(vessel.lower())
        joined = joined.outerjoin(
            of, and_(of.c.result_id == result.c.result_id, of.c.task == vessel.value)
        )
        columns += [
            of.c[name].label(f"{shown}_{vessel.lower()}") for shown, name in _OF_SCORE.items()
        ]
    return select(*columns, *_BUNDLE, *_FACTS).select_from(joined)


def _batches(connection: Connection, rows: Select[Any]) -> Iterator[list[Row]]:
    # From a cursor of the server's: the memory of one batch, however many rows there are.
    found = connection.execute(rows, execution_options={"yield_per": BATCH})
    for batch in found.mappings().partitions():
        yield [_dated(dict(row)) for row in batch]


def _dated(row: Row) -> Row:
    """As the views date an ECG: by its own clock, else by when the file was first seen (UTC)."""
    acquired: datetime | None = row.pop("acquired_at")
    seen: datetime | None = row.pop("first_seen_at")
    first_seen = None if seen is None else seen.astimezone(UTC).replace(tzinfo=None)
    source = "first_seen_at" if acquired is None else "acquired_at"
    return {**row, "ecg_date": acquired or first_seen, "ecg_date_source": source}


def _key(name: str) -> ColumnElement[int]:
    of: Table = {"result_id": result, "event_id": event}[name]
    return of.c[name]


def _conditions(
    number: ColumnElement[int], ranges: Sequence[Range]
) -> Iterator[ColumnElement[bool]]:
    for start in range(0, len(ranges), _LISTED):
        yield or_(*(number.between(*one) for one in ranges[start : start + _LISTED]))
