"""What `ecgbatch report` shows of a period: runs, files, results and strata, all of it counted."""

from dataclasses import dataclass
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
    select,
    table,
)

from ecgbatch.reasons import Unknown, known
from ecgbatch.store.columns import UtcTime
from ecgbatch.store.queries import RUN_HEALTH, RunRow
from ecgbatch.store.runs import ACTIVATION, OPERATOR
from ecgbatch.store.tables import activation, result
from ecgbatch.terms import (
    BundleRole,
    Disposition,
    ReasonCode,
    ResultOutcome,
)

_DISPOSITION: TableClause = table(
    "v_disposition",
    column("disposition"),
    column("reason"),
    column("first_seen_at", UtcTime),
    column("acknowledged_at", UtcTime),
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
    columns = RUN_HEALTH.c
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
    columns = RUN_HEALTH.c
    is_telling = (columns.results_written > 0) | (func.coalesce(columns.exit_code, -1) != 0)
    rows = connection.execute(
        select(RUN_HEALTH)
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


def _began(period: Period) -> list[ColumnElement[bool]]:
    columns = RUN_HEALTH.c
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
