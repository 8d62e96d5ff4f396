"""The top of the worklist for `ecgbatch report`, and where its ECGs can be read again."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ColumnClause, ColumnElement, Connection, column, func, select, table

from ecgbatch.store.columns import UtcTime, WallClock
from ecgbatch.store.reporting import Period
from ecgbatch.store.tables import item, recording, source
from ecgbatch.terms import Stratum, Vessel

_OF_VESSELS: tuple[ColumnClause[object], ...] = tuple(
    column(f"{what}_{vessel.lower()}") for vessel in Vessel for what in ("risk", "stratum")
)
_WORKLIST = table(
    "v_worklist",
    column("recording_id"),
    column("accession"),
    column("ecg_date", WallClock),
    column("ecg_date_source"),
    column("age_years"),
    column("sex"),
    column("statement_normal", Boolean),
    column("any_vessel_risk"),
    column("high_vessels"),
    column("near_cut", Boolean),
    column("n_earlier"),
    column("earlier_strata"),
    column("scored_at", UtcTime),
    column("is_current_bundle", Boolean),
    *_OF_VESSELS,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of v_worklist; `earlier_strata` is None where the ECG names no patient.

    Attributes:
        vessels: risk and stratum per task; a stratum is None only for an experimental one.
        high_vessels: those that are high and not experimental, as the view words them.
    """

    recording_id: int
    accession: str | None = field(repr=False)
    ecg_date: datetime
    ecg_date_source: str
    age_years: float | None
    sex: str | None
    statement_normal: bool | None
    any_vessel_risk: float
    high_vessels: str
    near_cut: bool
    n_earlier: int | None
    earlier_strata: str | None
    scored_at: datetime
    vessels: Mapping[Vessel, tuple[float, Stratum | None]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a recording was seen; root and locator are for reading alone, never shown."""

    file_digest: str
    kind: str
    root: str = field(repr=False)
    locator: str = field(repr=False)
    fingerprint: str = field(repr=False)


def worklist(connection: Connection, period: Period, limit: int) -> list[Entry]:
    """ECGs scored in the period by the present champion, the highest any-vessel risk first."""
    columns = _WORKLIST.c
    rows = connection.execute(
        select(*(one for one in columns if one.name != "is_current_bundle"))
        .where(*_in(period))
        .order_by(columns.any_vessel_risk.desc(), columns.recording_id)
        .limit(limit)
    )
    return [_entry(dict(row)) for row in rows.mappings()]


def length(connection: Connection, period: Period) -> int:
    """How many ECGs the worklist has in the period."""
    counted = select(func.count()).select_from(_WORKLIST).where(*_in(period))
    return int(connection.execute(counted).scalar_one())


def places(connection: Connection, recording_ids: Collection[int]) -> dict[int, list[Place]]:
    """Where each of these recordings was seen: what was not missed first, the newest first."""
    rows = connection.execute(
        select(
            recording.c.recording_id,
            recording.c.file_digest,
            source.c.kind,
            source.c.root,
            item.c.locator,
            item.c.fingerprint,
        )
        .join(item, item.c.recording_id == recording.c.recording_id)
        .join(source, source.c.source_id == item.c.source_id)
        .where(recording.c.recording_id.in_(recording_ids))
        .order_by(item.c.gone_at.is_not(None), item.c.last_seen_at.desc(), item.c.item_id)
    )
    found: dict[int, list[Place]] = {number: [] for number in recording_ids}
    for number, *place in rows:
        found[number].append(Place(*place))
    return found


def _in(period: Period) -> list[ColumnElement[bool]]:
    columns = _WORKLIST.c
    return [
        columns.scored_at >= period.from_at,
        columns.scored_at < period.to_at,
        columns.is_current_bundle.is_(True),
    ]


def _entry(values: dict[str, Any]) -> Entry:
    vessels = {}
    for vessel in Vessel:
        stratum = values.pop(f"stratum_{vessel.lower()}")
        risk = float(values.pop(f"risk_{vessel.lower()}"))
        vessels[vessel] = (risk, None if stratum is None else Stratum(stratum))
    return Entry(vessels=vessels, **values)
