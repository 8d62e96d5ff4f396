"""Bundles as the database knows them, and which of them scores."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, exists, func, insert, or_, select, update

from ecgbatch.errors import SetupFault
from ecgbatch.reasons import REASONS
from ecgbatch.store.claims import CHAMPION_PRIORITY, keep_champion
from ecgbatch.store.engine import now
from ecgbatch.store.events import Event, record
from ecgbatch.store.runs import ACTIVATION, end_run, start_run
from ecgbatch.store.tables import NEW_REQUEST, activation, bundle, bundle_stratum, work
from ecgbatch.terms import FINISHED, BundleRole, ExitCode, ReasonCode, Stratum, WorkState


@dataclass(frozen=True, slots=True)
class BundleRow:
    """A bundle; `location` is a hint, whoever opens it checks the digest."""

    digest: str
    name: str
    version: str
    is_clinical: bool
    location: str | None = None


@dataclass(frozen=True, slots=True)
class StratumRow:
    """One stratum of a task or of any vessel: cuts on the calibrated probability, 0..1.

    Attributes:
        share, npv, incidence: 0..1 with 95 % confidence intervals, None where not known.
        is_synthetic: these figures come from synthetic data.
    """

    task: str
    stratum: Stratum
    cut_from: float
    cut_to: float
    is_synthetic: bool
    share: float | None = None
    npv: float | None = None
    npv_from: float | None = None
    npv_to: float | None = None
    incidence: float | None = None
    incidence_from: float | None = None
    incidence_to: float | None = None


def champion(connection: Connection) -> BundleRow | None:
    """The bundle that scores in this database, or None before the first one."""
    row = connection.execute(
        select(bundle)
        .join(activation, activation.c.bundle_digest == bundle.c.bundle_digest)
        .where(activation.c.role == BundleRole.CHAMPION, activation.c.to_at.is_(None))
    ).first()
    if row is None:
        return None
    return BundleRow(row.bundle_digest, row.name, row.version, row.is_clinical, row.location)


def known(connection: Connection, digest: str) -> BundleRow | None:
    """The bundle of this digest, active or not."""
    row = connection.execute(select(bundle).where(bundle.c.bundle_digest == digest)).first()
    if row is None:
        return None
    return BundleRow(row.bundle_digest, row.name, row.version, row.is_clinical, row.location)


def register(connection: Connection, row: BundleRow, strata: Sequence[StratumRow]) -> None:
    """Write a bundle down; one already known only gets its new location."""
    if known(connection, row.digest) is not None:
        connection.execute(
            update(bundle).where(bundle.c.bundle_digest == row.digest).values(location=row.location)
        )
        return
    values = asdict(row)
    digest = values.pop("digest")
    connection.execute(insert(bundle).values(bundle_digest=digest, **values))
    if strata:
        rows = [{"bundle_digest": digest, **asdict(one)} for one in strata]
        connection.execute(insert(bundle_stratum), rows)


def activate(
    connection: Connection,
    digest: str,
    role: BundleRole,
    *,
    by: str,
    why: str,
    golden_report: str | None,
    first_use: bool,
    run_id: int | None = None,
) -> None:
    """Make a registered bundle champion or challenger; nothing happens if it is that already.

    A new champion ends the old one's activation and takes over first scorings and re-scorings
    that have not finished; leases on them are void.

    Args:
        by: the operator's account.
        golden_report: how the golden ECGs were reproduced, as text.
        first_use: the bundle became champion because the database had none.
        run_id: the run that does it; None opens and closes one of its own.

    Raises:
        SetupFault: BUNDLE_MISSING, not registered; BUNDLE_NOT_CLINICAL, a demonstration beside
            a clinical champion.
    """
    keep_champion(connection, func.pg_advisory_xact_lock)
    row = known(connection, digest)
    if row is None:
        raise SetupFault(ReasonCode.BUNDLE_MISSING, "not registered in this database")
    before = champion(connection)
    if before is not None and before.is_clinical and not row.is_clinical:
        raise SetupFault(ReasonCode.BUNDLE_NOT_CLINICAL, "the champion is clinical")
    if _is_active(connection, digest, role):
        return
    if role is BundleRole.CHAMPION:
        _end(connection, BundleRole.CHAMPION, None if before is None else before.digest)
        _end(connection, BundleRole.CHALLENGER, digest)
        if before is not None:
            _take_over(connection, digest)
    connection.execute(
        insert(activation).values(
            bundle_digest=digest,
            role=role,
            from_at=now(connection),
            by=by,
            why=why,
            golden_report=golden_report,
        )
    )
    kind = "first_use" if first_use else "activated"
    own_run = start_run(connection, ACTIVATION, None, by) if run_id is None else run_id
    record(connection, own_run, [Event(kind, to_state=role)])
    if run_id is None:
        end_run(connection, own_run, ExitCode.DONE, {})


def _is_active(connection: Connection, digest: str, role: BundleRole) -> bool:
    roles = connection.execute(
        select(activation.c.role).where(
            activation.c.bundle_digest == digest, activation.c.to_at.is_(None)
        )
    ).scalars()
    # A champion has all of a challenger's work already.
    return role in (active := set(roles)) or BundleRole.CHAMPION in active


def _end(connection: Connection, role: BundleRole, digest: str | None) -> None:
    connection.execute(
        update(activation)
        .where(
            activation.c.role == role,
            activation.c.bundle_digest == digest,
            activation.c.to_at.is_(None),
        )
        .values(to_at=now(connection))
    )


def _take_over(connection: Connection, new: str) -> None:
    """Move the unfinished work of every bundle that is not active; of one item at most one.

    Where the new champion has its own first scoring, that one comes first.
    """
    connection.execute(
        update(work)
        .where(work.c.bundle_digest == new, work.c.request == NEW_REQUEST)
        .values(priority=CHAMPION_PRIORITY)
    )
    theirs = work.alias()
    own = exists().where(
        theirs.c.item_id == work.c.item_id,
        theirs.c.bundle_digest == new,
        theirs.c.request == NEW_REQUEST,
    )
    still = select(activation.c.bundle_digest).where(activation.c.to_at.is_(None))
    idle = work.alias()
    later = exists().where(
        idle.c.item_id == work.c.item_id,
        idle.c.request == NEW_REQUEST,
        idle.c.state.not_in(FINISHED),
        idle.c.bundle_digest.not_in(still),
        idle.c.work_id > work.c.work_id,
    )
    connection.execute(
        update(work)
        .where(
            work.c.bundle_digest != new,
            work.c.bundle_digest.not_in(still),
            work.c.state.not_in(FINISHED),
            or_(work.c.request != NEW_REQUEST, ~own & ~later),
        )
        .values(
            bundle_digest=new,
            state=WorkState.READY,
            reason=ReasonCode.NEW,
            reason_class=REASONS[ReasonCode.NEW].reason_class,
            token=work.c.token + 1,
            losses=0,
            is_alone=False,
            lease_until=None,
            next_at=None,
            fault_since=None,
        )
    )
