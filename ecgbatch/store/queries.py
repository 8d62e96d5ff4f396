"""What the database says, as typed rows: for `status`, `show` and whoever prints results."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import (
    Boolean,
    Connection,
    Row,
    TableClause,
    case,
    column,
    func,
    select,
    table,
)

from ecgbatch.reasons import Unknown, known
from ecgbatch.store.columns import UtcTime, WallClock
from ecgbatch.store.detail import show
from ecgbatch.store.runs import ACTIVATION, CHALLENGER, EXPORT, OPERATOR, VERIFY
from ecgbatch.terms import Disposition, ReasonCode, Stratum, Vessel

__all__ = [
    "Failure",
    "LatestRisk",
    "RunRow",
    "VesselRisk",
    "attention",
    "dispositions",
    "failures",
    "last_runs",
    "latest_risks",
    "show",
]

_FAILURES: TableClause = table(
    "v_failures",
    column("item_id"),
    column("source_id"),
    column("source_name"),
    column("locator"),
    column("recording_id"),
    column("request"),
    column("disposition"),
    column("reason"),
    column("stage"),
    column("first_seen_at", UtcTime),
    column("acknowledged_at", UtcTime),
)
_DISPOSITION: TableClause = table(
    "v_disposition", column("disposition"), column("acknowledged_at", UtcTime)
)
_OF_VESSELS = tuple(
    column(f"{what}_{vessel.lower()}", Boolean if what == "near_cut" else None)
    for vessel in Vessel
    for what in ("risk", "stratum", "near_cut")
)
_LATEST: TableClause = table(
    "v_latest_risk",
    column("recording_id"),
    column("patient_key"),
    column("ecg_date", WallClock),
    column("ecg_date_source"),
    column("device"),
    column("age_years"),
    column("sex"),
    column("outside_intended_use", Boolean),
    column("any_vessel_risk"),
    column("any_vessel_stratum"),
    column("scored_at", UtcTime),
    column("bundle_name"),
    column("bundle_version"),
    column("is_clinical", Boolean),
    column("is_current_bundle", Boolean),
    *_OF_VESSELS,
)
RUN_HEALTH: TableClause = table(
    "v_run_health",
    column("run_id"),
    column("kind"),
    column("source_id"),
    column("worker"),
    column("started_at", UtcTime),
    column("ended_at", UtcTime),
    column("duration_s"),
    column("exit_code"),
    column("canary"),
    column("results_written"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that needs, or needed, somebody's attention; `locator` is for operators alone."""

    item_id: int
    source_id: int
    source_name: str
    locator: str = field(repr=False)
    recording_id: int | None
    request: str | None
    disposition: Disposition
    reason: ReasonCode | Unknown
    stage: str | None
    first_seen_at: datetime
    acknowledged_at: datetime | None


@dataclass(frozen=True, slots=True)
class VesselRisk:
    """One task of a result; `stratum` is None only for an experimental task without cuts."""

    probability: float
    stratum: Stratum | None
    near_cut: bool


@dataclass(frozen=True, slots=True)
class LatestRisk:
    """One row of v_latest_risk; `ecg_date` is a wall clock without a zone."""

    recording_id: int
    patient_key: str | None = field(repr=False)
    ecg_date: datetime
    ecg_date_source: str
    device: str | None
    age_years: float | None
    sex: str | None
    outside_intended_use: bool | None
    vessels: Mapping[Vessel, VesselRisk]
    any_vessel_risk: float
    any_vessel_stratum: Stratum
    scored_at: datetime
    bundle_name: str
    bundle_version: str
    is_clinical: bool
    is_current_bundle: bool


@dataclass(frozen=True, slots=True)
class RunRow:
    """One row of v_run_health; `duration_s` is None while the run goes on or was killed."""

    run_id: int
    kind: str
    source_id: int | None
    worker: str
    started_at: datetime
    ended_at: datetime | None
    duration_s: float | None
    exit_code: int | None
    canary: str | None
    results_written: int


def dispositions(connection: Connection) -> dict[Disposition, int]:
    """Items by disposition, 0 where there is none; `ledger.balance` also checks the sum."""
    counted = select(_DISPOSITION.c.disposition, func.count()).group_by(_DISPOSITION.c.disposition)
    found = {name: number for name, number in connection.execute(counted) if name is not None}
    return {one: found.get(one, 0) for one in Disposition}


def attention(connection: Connection) -> int:
    """Failed and unsupported items that nobody has acknowledged."""
    open_items = select(func.count()).where(
        _DISPOSITION.c.disposition.in_((Disposition.FAILED, Disposition.UNSUPPORTED)),
        _DISPOSITION.c.acknowledged_at.is_(None),
    )
    return int(connection.execute(open_items).scalar_one())


def failures(
    connection: Connection,
    kinds: Collection[Disposition] | None = None,
    code: ReasonCode | None = None,
) -> list[Failure]:
    """What v_failures shows: unacknowledged ones first, then by disposition and item.

    Args:
        kinds: only these dispositions; None for all.
        code: only with this reason; None for all.
    """
    columns = _FAILURES.c
    rows = select(_FAILURES).order_by(
        case((columns.acknowledged_at.is_(None), 0), else_=1),
        columns.disposition,
        columns.item_id,
    )
    if kinds is not None:
        rows = rows.where(columns.disposition.in_(kinds))
    if code is not None:
        rows = rows.where(columns.reason == code)
    return [_failure(row) for row in connection.execute(rows)]


def latest_risks(connection: Connection, limit: int | None = None) -> list[LatestRisk]:
    """The newest rows of v_latest_risk by the date of the ECG; None is all of them."""
    newest = select(_LATEST).order_by(_LATEST.c.ecg_date.desc(), _LATEST.c.recording_id.desc())
    return [_latest(row) for row in connection.execute(newest.limit(limit))]


def last_runs(connection: Connection, limit: int) -> list[RunRow]:
    """The newest runs, newest first: no challenger's, no replay, no export, no act's."""
    newest = (
        select(RUN_HEALTH)
        .where(RUN_HEALTH.c.kind.not_in((ACTIVATION, CHALLENGER, EXPORT, OPERATOR, VERIFY)))
        .order_by(RUN_HEALTH.c.run_id.desc())
        .limit(limit)
    )
    return [RunRow(**row) for row in connection.execute(newest).mappings()]


def _failure(row: Row[tuple[object, ...]]) -> Failure:
    return Failure(
        row.item_id,
        row.source_id,
        row.source_name,
        row.locator,
        row.recording_id,
        row.request,
        Disposition(row.disposition),
        known(row.reason),
        row.stage,
        row.first_seen_at,
        row.acknowledged_at,
    )


def _latest(row: Row[tuple[object, ...]]) -> LatestRisk:
    values = dict(row._mapping)
    vessels = {vessel: _vessel(values, vessel) for vessel in Vessel}
    values["any_vessel_stratum"] = Stratum(values["any_vessel_stratum"])
    return LatestRisk(vessels=vessels, **values)


def _vessel(values: dict[str, object], vessel: Vessel) -> VesselRisk:
    name = vessel.lower()
    stratum = values.pop(f"stratum_{name}")
    return VesselRisk(
        float(str(values.pop(f"risk_{name}"))),
        None if stratum is None else Stratum(str(stratum)),
        bool(values.pop(f"near_cut_{name}")),
    )
