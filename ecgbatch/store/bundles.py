"""Bundles as the database knows them, and which of them scores."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from ecgbatch.errors import SetupFault
from ecgbatch.store.acts import act, short_run
from ecgbatch.store.claims import keep_champion
from ecgbatch.store.engine import now
from ecgbatch.store.events import Event
from ecgbatch.store.leases import void
from ecgbatch.store.past import Past, give_past
from ecgbatch.store.tables import activation, bundle, bundle_stratum
from ecgbatch.store.takeover import take_over
from ecgbatch.terms import BundleRole, ReasonCode, Stratum

_EVENTS = {
    "activate": "activated",
    "promote": "promoted",
    "rollback": "rolled_back",
    "retire": "retired",
}
"""An operator's act, and the kind of its event."""


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


@dataclass(frozen=True, slots=True)
class Change:
    """What an activation changed.

    Attributes:
        is_new: the bundle did not have the role before.
        given: ECGs of the past that it got work for.
    """

    is_new: bool
    given: int


def champion(connection: Connection) -> BundleRow | None:
    """The bundle that scores in this database, or None before the first one."""
    return next(iter(_active(connection, BundleRole.CHAMPION)), None)


def challengers(connection: Connection) -> list[BundleRow]:
    """The bundles that score beside the champion and are not shown, the oldest first."""
    return _active(connection, BundleRole.CHALLENGER)


def former_champion(connection: Connection) -> BundleRow | None:
    """The bundle that was champion before the present one."""
    newest = (
        select(bundle)
        .join(activation, activation.c.bundle_digest == bundle.c.bundle_digest)
        .where(activation.c.role == BundleRole.CHAMPION, activation.c.to_at.is_not(None))
        .order_by(activation.c.to_at.desc(), activation.c.activation_id.desc())
        .limit(1)
    )
    row = connection.execute(newest).first()
    return None if row is None else _row(row)


def known(connection: Connection, digest: str) -> BundleRow | None:
    """The bundle of this digest, active or not."""
    row = connection.execute(select(bundle).where(bundle.c.bundle_digest == digest)).first()
    return None if row is None else _row(row)


def all_known(connection: Connection) -> list[BundleRow]:
    """Every bundle that was ever registered."""
    rows = connection.execute(select(bundle).order_by(bundle.c.name, bundle.c.version))
    return [_row(row) for row in rows]


def _active(connection: Connection, role: BundleRole) -> list[BundleRow]:
    rows = connection.execute(
        select(bundle)
        .join(activation, activation.c.bundle_digest == bundle.c.bundle_digest)
        .where(activation.c.role == role, activation.c.to_at.is_(None))
        .order_by(activation.c.activation_id)
    )
    return [_row(row) for row in rows]


def _row(row: Row[Any]) -> BundleRow:
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
    first_use: bool = False,
    act_name: str = "activate",
    past: Past | None = None,
) -> Change:
    """Make a registered bundle champion or challenger; nothing happens if it is that already.

    A new champion ends the old one's activation and takes over first scorings and re-scorings
    that have not finished; leases on them are void. What it scored as a challenger is kept and
    shown. A clinical champion ends demonstrations that were challengers.

    Args:
        by: the operator's account.
        golden_report: how the golden ECGs were reproduced, as text.
        first_use: the bundle became champion because the database had none; no operator's act.
        act_name: what the operator asked for, as `audit` has it.
        past: also give it work for these ECGs, which have a result already.

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
    is_new = not _is_active(connection, digest, role)
    if not is_new and past is None:
        return Change(is_new=False, given=0)
    old = "none" if before is None else before.digest
    selector = f"{role} {digest}, champion before {old}, golden {golden_report or 'none'}"
    own_run = (
        short_run(connection, by)
        if first_use
        else act(connection, actor=by, why=why, name=act_name, selector=selector)
    )
    with own_run as doing:
        if is_new and role is BundleRole.CHAMPION:
            _dethrone(connection, before, row)
        if is_new:
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
            doing.add([Event("first_use" if first_use else _EVENTS[act_name], to_state=role)])
        given = 0 if past is None else give_past(connection, digest, past)
        doing.count = int(is_new) + given
    return Change(is_new, given)


def promote(
    connection: Connection, digest: str, *, by: str, why: str, golden_report: str | None
) -> BundleRow:
    """Make a challenger the champion.

    Returns:
        The champion before.

    Raises:
        SetupFault: BUNDLE_NOT_ACTIVE, it is no challenger, or challenges nobody.
    """
    keep_champion(connection, func.pg_advisory_xact_lock)
    before = champion(connection)
    if before is None or digest not in {one.digest for one in challengers(connection)}:
        raise SetupFault(ReasonCode.BUNDLE_NOT_ACTIVE, "it is no challenger any more")
    activate(
        connection,
        digest,
        BundleRole.CHAMPION,
        by=by,
        why=why,
        golden_report=golden_report,
        act_name="promote",
    )
    return before


def roll_back(
    connection: Connection, digest: str, *, by: str, why: str, golden_report: str | None
) -> Change:
    """Make a former champion the champion again; what it scored is shown at once.

    ECGs that were scored since it last was champion, and not by it, get work behind new ones.

    Raises:
        SetupFault: as `activate`.
    """
    ended = select(func.max(activation.c.to_at)).where(
        activation.c.bundle_digest == digest, activation.c.role == BundleRole.CHAMPION
    )
    left_at = connection.execute(ended).scalar()
    return activate(
        connection,
        digest,
        BundleRole.CHAMPION,
        by=by,
        why=why,
        golden_report=golden_report,
        act_name="rollback",
        past=None if left_at is None else Past(scored_since=left_at),
    )


def retire(connection: Connection, digest: str, *, by: str, why: str) -> bool:
    """End a challenger's activation: it claims nothing more; its results stay.

    Returns:
        False if it was no challenger.
    """
    keep_champion(connection, func.pg_advisory_xact_lock)
    if digest not in {one.digest for one in challengers(connection)}:
        return False
    selector = f"{BundleRole.CHALLENGER} {digest}"
    with act(connection, actor=by, why=why, name="retire", selector=selector) as doing:
        _end(connection, BundleRole.CHALLENGER, digest)
        void(connection, digest)
        doing.add([Event(_EVENTS["retire"], from_state=BundleRole.CHALLENGER)])
        doing.count = 1
    return True


def _dethrone(connection: Connection, before: BundleRow | None, new: BundleRow) -> None:
    """Make room for a new champion."""
    _end(connection, BundleRole.CHALLENGER, new.digest)
    if new.is_clinical:
        # A demonstration never scores into a database whose champion is clinical.
        for one in challengers(connection):
            if not one.is_clinical:
                _end(connection, BundleRole.CHALLENGER, one.digest)
                void(connection, one.digest)
    if before is not None:
        _end(connection, BundleRole.CHAMPION, before.digest)
        take_over(connection, new.digest)
        void(connection, before.digest)


def _is_active(connection: Connection, digest: str, role: BundleRole) -> bool:
    roles = connection.execute(
        select(activation.c.role).where(
            activation.c.bundle_digest == digest, activation.c.to_at.is_(None)
        )
    ).scalars()
    # A champion has all of a challenger's work already.
    return role in (active := set(roles)) or BundleRole.CHAMPION in active


def _end(connection: Connection, role: BundleRole, digest: str) -> None:
    connection.execute(
        update(activation)
        .where(
            activation.c.role == role,
            activation.c.bundle_digest == digest,
            activation.c.to_at.is_(None),
        )
        .values(to_at=now(connection))
    )
