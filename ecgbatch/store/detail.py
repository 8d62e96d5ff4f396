"""Everything the database knows of one recording, for `show`."""

import re
from dataclasses import dataclass, field, fields
from datetime import datetime

from sqlalchemy import Connection, Row, Select, column, select, table

from ecgbatch.errors import SetupFault
from ecgbatch.reasons import Unknown
from ecgbatch.reasons import known as known_reason
from ecgbatch.records import Facts, Finding
from ecgbatch.store.columns import UtcTime
from ecgbatch.store.tables import bundle, bundle_stratum, finding, recording, result, score, source
from ecgbatch.terms import ANY_VESSEL, Disposition, ReasonCode, ResultOutcome, Stratum, Vessel

_DIGEST = re.compile(r"[0-9a-f]{12,64}")
_NUMBER = re.compile(r"[0-9]{1,18}")

_DISPOSITION = table(
    "v_disposition",
    column("item_id"),
    column("source_id"),
    column("recording_id"),
    column("locator"),
    column("disposition"),
    column("reason"),
    column("first_seen_at", UtcTime),
    column("last_seen_at", UtcTime),
    column("gone_at", UtcTime),
)


@dataclass(frozen=True, slots=True)
class ItemDetail:
    """A place where the recording was seen; `locator` is for operators alone."""

    item_id: int
    source_name: str
    locator: str = field(repr=False)
    disposition: Disposition
    reason: ReasonCode | Unknown | None
    first_seen_at: datetime
    last_seen_at: datetime
    gone_at: datetime | None


@dataclass(frozen=True, slots=True)
class ScoreDetail:
    task: Vessel
    probability: float
    probability_raw: float
    logit: float
    stratum: Stratum | None
    near_cut: bool
    is_experimental: bool


@dataclass(frozen=True, slots=True)
class CutsDetail:
    """Two cuts on the calibrated probability: low below the one, high from the other on.

    Attributes:
        task: a vessel, or `any_vessel`.
    """

    task: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ResultDetail:
    """A result with what made it; `scores` is empty where it was rejected.

    Attributes:
        cuts: of the bundle; none of a task without.
    """

    result_id: int
    bundle_digest: str
    bundle_name: str
    bundle_version: str
    is_clinical: bool
    pipeline_id: str
    outcome: ResultOutcome
    reason: ReasonCode | Unknown | None
    any_vessel_risk: float | None
    any_vessel_stratum: Stratum | None
    outside_intended_use: bool | None
    reader: str | None
    reader_version: str | None
    signal_digest: str | None
    preprocessing_digest: str
    runtime: str
    precision: str
    code_version: str
    library_versions: str
    padded_samples: int | None
    run_id: int
    worker: str
    created_at: datetime
    scores: tuple[ScoreDetail, ...]
    cuts: tuple[CutsDetail, ...]


@dataclass(frozen=True, slots=True)
class RecordDetail:
    """A recording, where it lies, what was found and what it was given, newest result first."""

    recording_id: int
    facts: Facts = field(repr=False)
    superseded_by: int | None
    superseded_at: datetime | None
    superseded_reason: ReasonCode | Unknown | None
    items: tuple[ItemDetail, ...]
    results: tuple[ResultDetail, ...]
    findings: tuple[Finding, ...]


def show(connection: Connection, record: str) -> RecordDetail:
    """All about one recording.

    Args:
        record: a recording_id, or at least 12 hex digits of the file digest.

    Raises:
        SetupFault: RECORD_UNKNOWN, none or more than one.
    """
    row = find_recording(connection, record)
    known = {one.name for one in fields(Facts)} & set(row._mapping)
    reason = row.superseded_reason
    return RecordDetail(
        row.recording_id,
        Facts(**{name: row._mapping[name] for name in known}),
        row.superseded_by,
        row.superseded_at,
        None if reason is None else known_reason(reason),
        _items(connection, row.recording_id),
        _results(connection, row.recording_id),
        _findings(connection, row.recording_id),
    )


def find_recording(connection: Connection, record: str) -> Row[tuple[object, ...]]:
    """The row of `recording` that a person named.

    Raises:
        SetupFault: RECORD_UNKNOWN, none or more than one.
    """
    record = record.strip().lower()
    for pattern, query in (
        (_NUMBER, _by_number),
        (_DIGEST, _by_digest),
    ):
        if pattern.fullmatch(record):
            rows = connection.execute(query(record).limit(2)).all()
            if len(rows) > 1:
                raise SetupFault(ReasonCode.RECORD_UNKNOWN, "more than one: give more digits")
            if rows:
                return rows[0]
    raise SetupFault(ReasonCode.RECORD_UNKNOWN)


def _by_number(record: str) -> Select[tuple[object, ...]]:
    return select(recording).where(recording.c.recording_id == int(record))


def _by_digest(record: str) -> Select[tuple[object, ...]]:
    # A range instead of LIKE: the index serves it on both databases.
    digest = recording.c.file_digest
    return select(recording).where(digest >= record, digest <= record.ljust(64, "f"))


def _items(connection: Connection, recording_id: int) -> tuple[ItemDetail, ...]:
    rows = connection.execute(
        select(_DISPOSITION, source.c.name)
        .join(source, source.c.source_id == _DISPOSITION.c.source_id)
        .where(_DISPOSITION.c.recording_id == recording_id)
        .order_by(_DISPOSITION.c.item_id)
    )
    return tuple(
        ItemDetail(
            row.item_id,
            row.name,
            row.locator,
            Disposition(row.disposition),
            None if row.reason is None else known_reason(row.reason),
            row.first_seen_at,
            row.last_seen_at,
            row.gone_at,
        )
        for row in rows
    )


def _results(connection: Connection, recording_id: int) -> tuple[ResultDetail, ...]:
    rows = connection.execute(
        select(
            result,
            bundle.c.name.label("bundle_name"),
            bundle.c.version.label("bundle_version"),
            bundle.c.is_clinical,
        )
        .join(bundle, bundle.c.bundle_digest == result.c.bundle_digest)
        .where(result.c.recording_id == recording_id)
        .order_by(result.c.created_at.desc(), result.c.result_id.desc())
    ).all()
    return tuple(_result(connection, row) for row in rows)


def _result(connection: Connection, row: Row[tuple[object, ...]]) -> ResultDetail:
    values = dict(row._mapping)
    for left_out in ("recording_id", "work_id"):
        del values[left_out]
    values["outcome"] = ResultOutcome(row.outcome)
    values["reason"] = None if row.reason is None else known_reason(row.reason)
    stratum = row.any_vessel_stratum
    values["any_vessel_stratum"] = None if stratum is None else Stratum(stratum)
    return ResultDetail(
        scores=_scores(connection, row.result_id),
        cuts=_cuts(connection, row.bundle_digest),
        **values,
    )


def _scores(connection: Connection, result_id: int) -> tuple[ScoreDetail, ...]:
    rows = connection.execute(select(score).where(score.c.result_id == result_id)).all()
    by_task = {Vessel(row.task): score_detail(row) for row in rows}
    return tuple(by_task[vessel] for vessel in Vessel if vessel in by_task)


def score_detail(row: Row[tuple[object, ...]]) -> ScoreDetail:
    """A row of `score`."""
    return ScoreDetail(
        Vessel(row.task),
        row.probability,
        row.probability_raw,
        row.logit,
        None if row.stratum is None else Stratum(row.stratum),
        row.near_cut,
        row.is_experimental,
    )


def _cuts(connection: Connection, bundle_digest: str) -> tuple[CutsDetail, ...]:
    """As the bundle was registered with them; a digest has one set of cuts for ever."""
    rows = connection.execute(
        select(bundle_stratum.c.task, bundle_stratum.c.cut_from, bundle_stratum.c.cut_to).where(
            bundle_stratum.c.bundle_digest == bundle_digest,
            bundle_stratum.c.stratum == Stratum.INTERMEDIATE,
        )
    )
    by_task = {row.task: CutsDetail(row.task, row.cut_from, row.cut_to) for row in rows}
    return tuple(by_task[task] for task in (*Vessel, ANY_VESSEL) if task in by_task)


def _findings(connection: Connection, recording_id: int) -> tuple[Finding, ...]:
    rows = connection.execute(
        select(finding)
        .where(finding.c.recording_id == recording_id)
        .order_by(finding.c.scoring_version, finding.c.finding_id)
    )
    return tuple(
        Finding(
            row.check_name,
            ReasonCode(row.reason),
            row.lead or None,
            row.value,
            row.limit_value,
            row.refuses,
        )
        for row in rows
    )
