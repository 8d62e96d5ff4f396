"""What `ecgbatch report` shows of a period: runs, files, results and strata, all of it counted."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Date,
    Integer,
    TableClause,
    Text,
    case,
    cast,
    column,
    func,
    literal,
    select,
    table,
    union_all,
)

from ecgbatch.reasons import Unknown, known
from ecgbatch.store.columns import UtcTime
from ecgbatch.store.queries import RunRow
from ecgbatch.store.runs import ACTIVATION, OPERATOR
from ecgbatch.store.tables import activation, bundle, bundle_stratum, result, score
from ecgbatch.terms import (
    ANY_VESSEL,
    BundleRole,
    Disposition,
    ReasonCode,
    ResultOutcome,
    Stratum,
    Vessel,
)

BINS = 20
"""Bins of the risk distribution, of equal width over 0..1."""

_HEALTH: TableClause = table(
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
_DISPOSITION: TableClause = table(
    "v_disposition",
    column("disposition"),
    column("reason"),
    column("first_seen_at", UtcTime),
    column("acknowledged_at", UtcTime),
)
_STRATA: TableClause = table(
    "v_strata_daily",
    column("scored_on", Date),
    column("bundle_digest"),
    column("task"),
    column("stratum"),
    column("n_ecgs", Integer),
)
_GATES: TableClause = table(
    "v_gate_rates",
    column("read_on", Date),
    column("check_name"),
    column("reason"),
    column("refuses", Boolean),
    column("lead"),
    column("n_findings", Integer),
    column("n_results", Integer),
)
_LATEST: TableClause = table(
    "v_latest_risk",
    *(column(f"risk_{vessel.lower()}") for vessel in Vessel),
    column("any_vessel_risk"),
    column("scored_at", UtcTime),
    column("bundle_digest"),
)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, UTC, both ends included."""

    since: date
    until: date

    @property
    def from_at(self) -> datetime:
        return datetime.combine(self.since, time(), UTC)

    @property
    def to_at(self) -> datetime:
        """The moment after its last."""
        return datetime.combine(self.until + timedelta(days=1), time(), UTC)

    @property
    def n_days(self) -> int:
        return (self.until - self.since).days + 1


@dataclass(frozen=True, slots=True)
class HourCount:
    """Results of one outcome that were written within one hour (UTC)."""

    hour: datetime
    outcome: ResultOutcome
    results: int


@dataclass(frozen=True, slots=True)
class RunCount:
    """Runs of one kind that ended alike; `exit_code` is None while they go on or were killed.

    Attributes:
        duration_s: of all together, s; 0 where none has ended.
        longest_s: of the longest, s.
    """

    kind: str
    exit_code: int | None
    canary: str | None
    runs: int
    results: int
    duration_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class ItemCount:
    """Files with one disposition for one reason; `unacknowledged` of them wait for a person."""

    disposition: Disposition
    reason: ReasonCode | Unknown | None
    items: int
    unacknowledged: int


@dataclass(frozen=True, slots=True)
class GateCount:
    """What a check found on one or all leads, over the period."""

    check: str
    reason: ReasonCode | Unknown
    refuses: bool
    findings: int


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
    """A bundle whose scores are shown, as the database knows it."""

    digest: str
    name: str
    version: str
    is_clinical: bool
    is_champion: bool
    location: str | None = field(repr=False)
    experimental: frozenset[str]
    strata: Mapping[tuple[str, Stratum], StratumFacts] = field(repr=False)


def hours(connection: Connection, period: Period) -> list[HourCount]:
    """Results of present and former champions by the hour in which they were written."""
    hour = _hour(connection)
    champions = select(activation.c.bundle_digest).where(activation.c.role == BundleRole.CHAMPION)
    rows = connection.execute(
        select(hour, result.c.outcome, func.count())
        .where(
            result.c.created_at >= period.from_at,
            result.c.created_at < period.to_at,
            result.c.bundle_digest.in_(champions),
        )
        .group_by(hour, result.c.outcome)
        .order_by(hour, result.c.outcome)
    )
    return [
        HourCount(datetime.fromisoformat(f"{hour}:00+00:00"), ResultOutcome(outcome), number)
        for hour, outcome, number in rows
    ]


def runs(connection: Connection, period: Period) -> list[RunCount]:
    """Runs that began in the period, by kind, exit code and canary."""
    columns = _HEALTH.c
    alike = (columns.kind, columns.exit_code, columns.canary)
    rows = connection.execute(
        select(
            *alike,
            func.count(),
            func.sum(columns.results_written),
            func.coalesce(func.sum(columns.duration_s), 0.0),
            func.coalesce(func.max(columns.duration_s), 0.0),
        )
        .where(*_began(period))
        .group_by(*alike)
        .order_by(*alike)
    )
    return [
        RunCount(kind, exit_code, canary, number, int(results), float(total), float(longest))
        for kind, exit_code, canary, number, results, total, longest in rows
    ]


def newest_runs(connection: Connection, period: Period, limit: int) -> list[RunRow]:
    """The last runs that began in the period and wrote a result, or did not end well."""
    columns = _HEALTH.c
    is_telling = (columns.results_written > 0) | (func.coalesce(columns.exit_code, -1) != 0)
    rows = connection.execute(
        select(_HEALTH)
        .where(*_began(period), is_telling)
        .order_by(columns.run_id.desc())
        .limit(limit)
    )
    return [RunRow(**row) for row in rows.mappings()]


def items(connection: Connection, period: Period) -> list[ItemCount]:
    """What became of the files that were first seen in the period."""
    columns = _DISPOSITION.c
    is_open = case((columns.acknowledged_at.is_(None), 1), else_=0)
    alike = (columns.disposition, columns.reason)
    rows = connection.execute(
        select(*alike, func.count(), func.sum(is_open))
        .where(columns.first_seen_at >= period.from_at, columns.first_seen_at < period.to_at)
        .group_by(*alike)
        .order_by(columns.disposition, func.count().desc(), columns.reason)
    )
    return [
        ItemCount(
            Disposition(disposition), None if reason is None else known(reason), number, is_open
        )
        for disposition, reason, number, is_open in rows
    ]


def gates(connection: Connection, period: Period) -> list[GateCount]:
    """What the checks found on the ECGs read in the period, most frequent first."""
    columns = _GATES.c
    alike = (columns.check_name, columns.reason, columns.refuses)
    number = func.sum(columns.n_findings)
    rows = connection.execute(
        select(*alike, number)
        .where(columns.read_on >= period.since, columns.read_on <= period.until)
        .group_by(*alike)
        .order_by(number.desc(), *alike)
    )
    return [
        GateCount(check, known(reason), bool(refuses), int(findings))
        for check, reason, refuses, findings in rows
    ]


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
    champion = connection.execute(
        select(activation.c.bundle_digest).where(
            activation.c.role == BundleRole.CHAMPION, activation.c.to_at.is_(None)
        )
    ).scalar()
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
            row.location,
            _experimental(connection, row.bundle_digest),
            _stated(connection, row.bundle_digest),
        )
        for row in rows
    ]


def _began(period: Period) -> list[ColumnElement[bool]]:
    columns = _HEALTH.c
    return [
        columns.started_at >= period.from_at,
        columns.started_at < period.to_at,
        columns.kind.not_in((ACTIVATION, OPERATOR)),
    ]


def _hour(connection: Connection) -> ColumnElement[str]:
    """`2026-11-27T08`, the hour of a result (UTC)."""
    if connection.dialect.name == "sqlite":
        return func.substr(cast(result.c.created_at, Text), 1, 13)
    return func.to_char(func.timezone("UTC", result.c.created_at), 'YYYY-MM-DD"T"HH24')


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
