"""A bundle changes its role while workers hold its ECGs, and after it had another one."""

from typing import Any

import pytest
from sqlalchemy import Engine, func, text

from ecgbatch.errors import LeaseLost, SetupFault
from ecgbatch.records import Quarantined
from ecgbatch.store import bundles, checks, ledger, standing
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.claims import keep_champion
from ecgbatch.store.engine import transaction
from ecgbatch.store.runs import CHALLENGER as CHALLENGER_RUN
from ecgbatch.terms import BundleRole, Disposition, ReasonCode
from tests.support.ledger import (
    CHAMPION,
    OTHER,
    STRATA,
    Site,
    activate,
    facts,
    rejected,
    scored,
    sighting,
    site,
)

NEXT = BundleRow(OTHER, "next", "2", is_clinical=False)
CHALLENGER = BundleRole.CHALLENGER


@pytest.fixture
def challenged(inbox: Site) -> Site:
    bundles.register(inbox.connection, NEXT, STRATA)
    activate(inbox.connection, OTHER, CHALLENGER)
    return inbox


def broken(site: Site) -> list[str]:
    """What `ledger check` finds long after the last lease has ended."""
    return [one.id for one in checks.broken(site.connection, late_s=-3600.0)]


def test_a_promotion_voids_the_leases_of_the_champion_before(challenged: Site) -> None:
    challenged.note(sighting("a"))
    challenged.admit()
    (held,) = challenged.claim()

    activate(challenged.connection, OTHER)

    with pytest.raises(LeaseLost):
        challenged.finish(held, scored(facts("e1")))
    (unit,) = challenged.claim(bundle=OTHER)
    assert challenged.finish(unit, scored(facts("e1"))).disposition is Disposition.SCORED
    assert challenged.state("a") == [("scored", None)]
    assert broken(challenged) == []


def test_a_promoted_challenger_keeps_the_ecgs_that_its_workers_hold(challenged: Site) -> None:
    challenged.arrive(scored(facts("e1")), "a")
    (held,) = challenged.claim(bundle=OTHER)

    activate(challenged.connection, OTHER)

    assert challenged.finish(held, scored(facts("e1"))).disposition is Disposition.SCORED
    assert challenged.claim(bundle=OTHER) == []
    assert broken(challenged) == []


@pytest.mark.parametrize("end", ["retired", "a clinical champion"])
def test_the_end_of_a_challenge_voids_its_leases(challenged: Site, end: str) -> None:
    challenged.arrive(scored(facts("e1")), "a")
    (held,) = challenged.claim(bundle=OTHER)

    if end == "retired":
        bundles.retire(challenged.connection, OTHER, by="op", why="enough")
    else:
        clinical = BundleRow("c" * 64, "clinical", "1", is_clinical=True)
        bundles.register(challenged.connection, clinical, STRATA)
        activate(challenged.connection, clinical.digest)

    with pytest.raises(LeaseLost):
        challenged.finish(held, scored(facts("e1")))
    assert broken(challenged) == []


def test_nothing_is_claimed_while_a_role_changes(engine: Engine, database_url: str) -> None:
    """On SQLite one transaction writes at any time; here the claim has to wait, too."""
    if engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time")
    with transaction(engine) as connection:
        where = site(connection)
    with engine.connect() as changing, engine.connect() as claiming:
        keep_champion(changing, func.pg_advisory_xact_lock)
        claiming.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
        with pytest.raises(Exception, match="lock timeout"):
            ledger.claim(
                claiming, None, CHAMPION, pipeline_id="p", worker="w", limit=1, lease_s=1.0
            )
    assert where.source_id


@pytest.mark.parametrize(
    "of_former",
    [
        scored(facts("e2")),
        rejected(facts("e2")),
        Quarantined(None, ReasonCode.READER_CRASHED, "read"),
        scored(facts("other bytes")),
    ],
    ids=["scored", "rejected", "crashed", "other bytes"],
)
def test_a_former_champion_that_challenges_changes_nothing_that_is_shown(
    challenged: Site, of_former: Any
) -> None:
    challenged.arrive(scored(facts("e1")), "old")
    activate(challenged.connection, OTHER)
    (unit,) = challenged.claim(bundle=OTHER)
    challenged.finish(unit, scored(facts("e1")))
    activate(challenged.connection, CHAMPION, CHALLENGER)
    challenged.note(sighting("new"))
    challenged.admit()
    (unit,) = challenged.claim(bundle=OTHER)
    challenged.finish(unit, scored(facts("e2")))
    shown = text("SELECT * FROM v_disposition ORDER BY item_id")
    before = challenged.connection.execute(shown).all()

    (unit,) = challenged.claim()
    challenged.finish(unit, of_former)

    assert challenged.connection.execute(shown).all() == before
    bundles.retire(challenged.connection, CHAMPION, by="op", why="enough")
    assert challenged.connection.execute(shown).all() == before
    assert broken(challenged) == []


def test_what_is_no_challenger_any_more_is_not_promoted(challenged: Site) -> None:
    bundles.retire(challenged.connection, OTHER, by="op", why="enough")

    with pytest.raises(SetupFault) as caught:
        bundles.promote(challenged.connection, OTHER, by="op", why="x", golden_report=None)

    assert caught.value.reason is ReasonCode.BUNDLE_NOT_ACTIVE
    champion = bundles.champion(challenged.connection)
    assert champion is not None
    assert champion.digest == CHAMPION


def test_what_a_challenger_alone_has_scored_gives_way_to_no_other_format(
    challenged: Site,
) -> None:
    """One ECG in two formats: what the champion rejected does not stand before what it scores."""
    challenged.arrive(rejected(facts("first format", ecg_id="x")), "a")
    (unit,) = challenged.claim(bundle=OTHER)
    challenged.finish(unit, scored(facts("first format", ecg_id="x")))

    shown = challenged.arrive(scored(facts("second format", ecg_id="x")), "b")

    assert shown.disposition is Disposition.SCORED
    assert challenged.current() == {"x"}


def test_the_newest_word_of_a_challenger_s_fitness_counts(challenged: Site) -> None:
    for reason in (ReasonCode.BUNDLE_MISSING, ReasonCode.BUNDLE_DIGEST, None):
        run_id = ledger.start_run(challenged.connection, CHALLENGER_RUN, None, "w1")
        standing.note_fitness(challenged.connection, run_id, OTHER, reason)
        (one,) = standing.challenges(challenged.connection)
        assert one.reason is reason
        assert (one.unfit_since is None) is (reason is None)
