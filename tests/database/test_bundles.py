"""Bundles: one champion, demonstrations kept away from clinical ones, work that moves along."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from ecgbatch.errors import LeaseLost, SetupFault
from ecgbatch.store import bundles, ledger
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.tables import activation, bundle_stratum, event, work
from ecgbatch.terms import BundleRole, Disposition, ReasonCode
from tests.support.ledger import CHAMPION, OTHER, STRATA, Site, activate, facts, scored, sighting

NEXT = BundleRow(OTHER, "next", "2", is_clinical=False, location="/bundles/next")


def test_database_without_activation_has_no_champion(connection: Connection) -> None:
    bundles.register(connection, NEXT, STRATA)

    assert bundles.champion(connection) is None
    assert bundles.known(connection, OTHER) == NEXT
    assert bundles.known(connection, CHAMPION) is None


def test_registered_strata_are_kept(connection: Connection) -> None:
    bundles.register(connection, NEXT, STRATA)

    rows = connection.execute(select(func.count()).select_from(bundle_stratum)).scalar_one()
    assert rows == 15


def test_registering_again_only_moves_the_location(connection: Connection) -> None:
    bundles.register(connection, NEXT, STRATA)
    bundles.register(connection, replace(NEXT, location="/elsewhere", name="renamed"), STRATA)

    assert bundles.known(connection, OTHER) == replace(NEXT, location="/elsewhere")


def test_bundle_that_is_not_registered_cannot_be_activated(inbox: Site) -> None:
    with pytest.raises(SetupFault) as caught:
        activate(inbox.connection, OTHER)

    assert caught.value.reason is ReasonCode.BUNDLE_MISSING


def test_new_champion_ends_the_old_one_s_activation(inbox: Site) -> None:
    bundles.register(inbox.connection, NEXT, ())
    activate(inbox.connection, OTHER)

    champion = bundles.champion(inbox.connection)
    assert champion is not None
    assert champion.digest == OTHER
    rows = inbox.connection.execute(
        select(activation.c.bundle_digest, activation.c.to_at.is_(None)).order_by(
            activation.c.activation_id
        )
    ).all()
    assert [(digest, bool(is_open)) for digest, is_open in rows] == [
        (CHAMPION, False),
        (OTHER, True),
    ]


def test_activating_the_champion_again_changes_nothing(inbox: Site) -> None:
    activate(inbox.connection, CHAMPION)

    rows = inbox.connection.execute(select(func.count()).select_from(activation)).scalar_one()
    assert rows == 1


def test_challenger_that_is_promoted_is_no_challenger_any_more(inbox: Site) -> None:
    bundles.register(inbox.connection, NEXT, ())
    activate(inbox.connection, OTHER, BundleRole.CHALLENGER)
    activate(inbox.connection, OTHER)

    still_open = select(activation.c.role).where(activation.c.to_at.is_(None))
    assert inbox.connection.execute(still_open).scalars().all() == [BundleRole.CHAMPION]


def test_database_refuses_a_second_champion(inbox: Site) -> None:
    bundles.register(inbox.connection, NEXT, ())
    row = dict(inbox.connection.execute(select(activation)).mappings().one())
    del row["activation_id"]

    with pytest.raises(IntegrityError), inbox.connection.begin_nested():
        inbox.connection.execute(insert(activation).values({**row, "bundle_digest": OTHER}))


@pytest.mark.parametrize("role", BundleRole)
def test_demonstration_never_enters_beside_a_clinical_champion(
    inbox: Site, role: BundleRole
) -> None:
    bundles.register(inbox.connection, replace(NEXT, is_clinical=True), ())
    activate(inbox.connection, OTHER)

    with pytest.raises(SetupFault) as caught:
        activate(inbox.connection, CHAMPION, role)

    assert caught.value.reason is ReasonCode.BUNDLE_NOT_CLINICAL


def test_first_use_and_activation_are_events(inbox: Site) -> None:
    bundles.register(inbox.connection, NEXT, ())
    activate(inbox.connection, OTHER)

    kinds = inbox.connection.execute(select(event.c.kind).order_by(event.c.event_id))
    assert kinds.scalars().all() == ["first_use", "activated"]


def test_promotion_takes_over_unfinished_work_and_voids_leases(inbox: Site) -> None:
    inbox.arrive(scored(facts("done")), "done")
    inbox.note(sighting("held"), sighting("ready"))
    inbox.admit()
    (held,) = inbox.claim(limit=1)
    bundles.register(inbox.connection, NEXT, ())

    activate(inbox.connection, OTHER)

    with pytest.raises(LeaseLost):
        inbox.finish(held, scored(facts("held")))
    assert inbox.claim() == []
    assert [unit.locator for unit in inbox.claim(bundle=OTHER)] == ["held", "ready"]
    assert inbox.state("done") == [("scored", None)]


def test_promoted_challenger_keeps_what_it_has_scored(inbox: Site) -> None:
    bundles.register(inbox.connection, NEXT, ())
    activate(inbox.connection, OTHER, BundleRole.CHALLENGER)
    inbox.arrive(scored(facts("e1")), "a")
    (unit,) = inbox.claim(bundle=OTHER)
    inbox.finish(unit, scored(facts("e1")))

    activate(inbox.connection, OTHER)

    assert inbox.state("a") == [("scored", None)]
    assert inbox.current() == {"e1"}
    rows = inbox.connection.execute(select(func.count()).select_from(work)).scalar_one()
    assert rows == 2


def test_promotion_scores_nothing_again_and_shows_the_old_results(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    bundles.register(inbox.connection, NEXT, ())
    activate(inbox.connection, OTHER)
    inbox.note(sighting("a"))

    assert inbox.claim(bundle=OTHER) == []
    assert inbox.current() == {"e1"}
    assert ledger.balance(inbox.connection)[Disposition.SCORED] == 1
