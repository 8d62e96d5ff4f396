"""Which bundles a database knows, what each of them is now, and how a challenger gets on."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, and_, case, func, select

from ecgbatch.reasons import Unknown, known
from ecgbatch.store import overview
from ecgbatch.store.bundles import BundleRow, challengers
from ecgbatch.store.events import Event, record
from ecgbatch.store.runs import CHALLENGER
from ecgbatch.store.tables import activation, bundle, event, result, run
from ecgbatch.terms import BundleRole, ReasonCode

_UNFIT = "challenger_unfit"
_FIT = "challenger_fit"


@dataclass(frozen=True, slots=True)
class Tenure:
    """One activation of a bundle; `to_at` is None while it lasts."""

    digest: str
    name: str
    version: str
    is_clinical: bool
    role: BundleRole
    from_at: datetime
    to_at: datetime | None
    by: str
    why: str
    golden_report: str | None


@dataclass(frozen=True, slots=True)
class Challenge:
    """How a challenger gets on.

    Attributes:
        waiting: ECGs that it could score now.
        results: what it has scored or rejected.
        unfit_since: since when it cannot be used by the worker that tried last; None: it can.
        reason: why not.
    """

    bundle: BundleRow = field(repr=False)
    waiting: int
    results: int
    unfit_since: datetime | None = None
    reason: ReasonCode | Unknown | None = None


def tenures(connection: Connection) -> list[Tenure]:
    """Every activation: those that last first, the champion before challengers, then newest."""
    is_over = case((activation.c.to_at.is_(None), 0), else_=1)
    is_beside = case((activation.c.role == BundleRole.CHAMPION, 0), else_=1)
    rows = connection.execute(
        select(
            bundle.c.bundle_digest,
            bundle.c.name,
            bundle.c.version,
            bundle.c.is_clinical,
            activation.c.role,
            activation.c.from_at,
            activation.c.to_at,
            activation.c.by,
            activation.c.why,
            activation.c.golden_report,
        )
        .join(activation, activation.c.bundle_digest == bundle.c.bundle_digest)
        .order_by(
            is_over,
            case((activation.c.to_at.is_(None), is_beside), else_=0),
            activation.c.activation_id.desc(),
        )
    )
    return [
        Tenure(digest, name, version, is_clinical, BundleRole(role), *rest)
        for digest, name, version, is_clinical, role, *rest in rows
    ]


def challenges(connection: Connection) -> list[Challenge]:
    """One for each challenger, the oldest first."""
    return [_challenge(connection, one) for one in challengers(connection)]


def note_fitness(
    connection: Connection, run_id: int, digest: str, reason: ReasonCode | None
) -> None:
    """Write down, as the first event of a run, that a challenger cannot be used, or can again."""
    if reason is not None:
        record(connection, run_id, [Event(_UNFIT, to_state=digest, reason=reason)])
    elif _trouble(connection, digest)[0] is not None:
        record(connection, run_id, [Event(_FIT, to_state=digest)])


def _challenge(connection: Connection, one: BundleRow) -> Challenge:
    waiting = overview.due(connection, None, one.digest)
    counted = select(func.count()).where(result.c.bundle_digest == one.digest)
    results = int(connection.execute(counted).scalar_one())
    return Challenge(one, waiting, results, *_trouble(connection, one.digest))


def _trouble(
    connection: Connection, digest: str
) -> tuple[datetime | None, ReasonCode | Unknown | None]:
    # By run: an index finds the first events of the challengers' runs, and nothing finds a kind.
    newest = (
        select(event.c.kind, event.c.event_at, event.c.reason)
        .join(run, and_(run.c.run_id == event.c.run_id, event.c.seq == 1))
        .where(
            run.c.kind == CHALLENGER,
            event.c.kind.in_((_UNFIT, _FIT)),
            event.c.to_state == digest,
        )
        .order_by(run.c.run_id.desc())
        .limit(1)
    )
    row = connection.execute(newest).first()
    if row is None or row.kind == _FIT:
        return None, None
    return row.event_at, known(row.reason)
