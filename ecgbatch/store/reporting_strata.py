"""Risks and strata of a period for `ecgbatch report`, and the bundles that they are of."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    Integer,
    TableClause,
    case,
    cast,
    column,
    func,
    literal,
    select,
    table,
    union_all,
)

from ecgbatch.store.columns import UtcTime
from ecgbatch.store.reporting import Period
from ecgbatch.store.tables import activation, bundle, bundle_stratum, result, score
from ecgbatch.terms import ANY_VESSEL, BundleRole, ResultOutcome, Stratum, Vessel

BINS = 20
"""Bins of the risk distribution, of equal width over 0..1."""

_STRATA: TableClause = table(
    "v_strata_daily",
    column("scored_on", Date),
    column("bundle_digest"),
    column("task"),
    column("stratum"),
    column("n_ecgs", Integer),
)
_LATEST: TableClause = table(
    "v_latest_risk",
    *(column(f"risk_{vessel.lower()}") for vessel in Vessel),
    column("any_vessel_risk"),
    column("scored_at", UtcTime),
    column("bundle_digest"),
)


@dataclass(frozen=True, slots=True)
class DayStratum:
    """ECGs shown with one stratum of one task; None: an experimental task without cuts."""

    day: date
    bundle_digest: str
    task: str
    stratum: Stratum | None
    ecgs: int


@dataclass(frozen=True, slots=True)
class Bin:
    """ECGs whose risk lies in bin `place` of `BINS`."""

    bundle_digest: str
    task: str
    place: int
    ecgs: int


@dataclass(frozen=True, slots=True)
class StratumFacts:
    """A stratum as its bundle states it; shares 0..1, intervals of 95 %, None: not known."""

    task: str
    stratum: Stratum
    cut_from: float
    cut_to: float
    share: float | None
    npv: tuple[float, float, float] | None
    incidence: tuple[float, float, float] | None
    is_synthetic: bool


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """A bundle whose scores are shown, as the database knows it; `since` when it is champion."""

    digest: str
    name: str
    version: str
    is_clinical: bool
    is_champion: bool
    since: datetime | None
    location: str | None = field(repr=False)
    experimental: frozenset[str]
    strata: Mapping[tuple[str, Stratum], StratumFacts] = field(repr=False)


def strata(connection: Connection, period: Period) -> list[DayStratum]:
    """Strata of the ECGs that were scored in the period, by day, bundle and task."""
    columns = _STRATA.c
    rows = connection.execute(
        select(_STRATA)
        .where(columns.scored_on >= period.since, columns.scored_on <= period.until)
        .order_by(columns.scored_on, columns.bundle_digest, columns.task, columns.stratum)
    )
    return [
        DayStratum(day, digest, task, None if stratum is None else Stratum(stratum), number)
        for day, digest, task, stratum, number in rows
    ]


def bins(connection: Connection, period: Period) -> list[Bin]:
    """How the risks of the same ECGs are distributed."""
    columns = _LATEST.c
    # Named once, so that the view is gone through once for all tasks.
    shown = (
        select(_LATEST)
        .where(columns.scored_at >= period.from_at, columns.scored_at < period.to_at)
        .cte("shown")
    )
    risks = {vessel.value: shown.c[f"risk_{vessel.lower()}"] for vessel in Vessel}
    risks[ANY_VESSEL] = shown.c.any_vessel_risk
    placed = union_all(
        *(
            select(
                shown.c.bundle_digest,
                literal(task).label("task"),
                _bin(connection, risk).label("place"),
            )
            for task, risk in risks.items()
        )
    ).subquery()
    counted = select(*placed.c, func.count().label("ecgs")).group_by(*placed.c).order_by(*placed.c)
    return [
        Bin(row.bundle_digest, row.task, row.place, row.ecgs) for row in connection.execute(counted)
    ]


def bundles(connection: Connection, digests: Collection[str]) -> list[BundleFacts]:
    """These bundles and the champion, the champion first, then by name."""
    found = connection.execute(
        select(activation.c.bundle_digest, activation.c.from_at).where(
            activation.c.role == BundleRole.CHAMPION, activation.c.to_at.is_(None)
        )
    ).first()
    champion, since = (None, None) if found is None else found
    wanted = {*digests, *(() if champion is None else (champion,))}
    rows = connection.execute(
        select(bundle)
        .where(bundle.c.bundle_digest.in_(wanted))
        .order_by(
            case((bundle.c.bundle_digest == champion, 0), else_=1),
            bundle.c.name,
            bundle.c.version,
            bundle.c.bundle_digest,
        )
    ).all()
    return [
        BundleFacts(
            row.bundle_digest,
            row.name,
            row.version,
            row.is_clinical,
            row.bundle_digest == champion,
            since if row.bundle_digest == champion else None,
            row.location,
            _experimental(connection, row.bundle_digest),
            _stated(connection, row.bundle_digest),
        )
        for row in rows
    ]


def _bin(connection: Connection, risk: ColumnElement[float]) -> ColumnElement[int]:
    """0..BINS-1; a risk of 1 lies in the last."""
    scaled = risk * BINS
    # A cast rounds on PostgreSQL and cuts off on SQLite, which may lack floor.
    whole = cast(scaled if connection.dialect.name == "sqlite" else func.floor(scaled), Integer)
    return case((whole >= BINS, BINS - 1), else_=whole)


def _experimental(connection: Connection, digest: str) -> frozenset[str]:
    """The tasks that a bundle calls experimental; every one of its results says the same."""
    newest = (
        select(func.max(result.c.result_id))
        .where(result.c.bundle_digest == digest, result.c.outcome == ResultOutcome.SCORED)
        .scalar_subquery()
    )
    tasks = select(score.c.task).where(score.c.result_id == newest, score.c.is_experimental)
    return frozenset(connection.execute(tasks).scalars())


def _stated(connection: Connection, digest: str) -> dict[tuple[str, Stratum], StratumFacts]:
    rows = connection.execute(
        select(bundle_stratum).where(bundle_stratum.c.bundle_digest == digest)
    )
    return {
        (row.task, Stratum(row.stratum)): StratumFacts(
            row.task,
            Stratum(row.stratum),
            row.cut_from,
            row.cut_to,
            row.share,
            _estimate(row.npv, row.npv_from, row.npv_to),
            _estimate(row.incidence, row.incidence_from, row.incidence_to),
            row.is_synthetic,
        )
        for row in rows
    }


def _estimate(
    value: float | None, lower: float | None, upper: float | None
) -> tuple[float, float, float] | None:
    """Value, lower, upper; None where one of them is not known."""
    return None if value is None or lower is None or upper is None else (value, lower, upper)
