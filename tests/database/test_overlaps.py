"""What happens when a scan, a worker, an operator and a new champion meet."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, update

from ecgbatch.records import Quarantined, WorkUnit
from ecgbatch.store import bundles, ledger, memory, overview, queries
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import transaction
from ecgbatch.store.rescore import Scope, ask
from ecgbatch.store.tables import item, work
from ecgbatch.terms import BundleRole, ReasonCode, WorkState
from tests.support.ledger import (
    CHAMPION,
    OTHER,
    STRATA,
    Site,
    activate,
    facts,
    scored,
    sighting,
    site,
)


def _promote(inbox: Site) -> None:
    bundles.register(inbox.connection, BundleRow(OTHER, "other", "1", False), STRATA)
    activate(inbox.connection, OTHER)


def test_what_a_scan_admits_is_for_whoever_is_champion_then(inbox: Site) -> None:
    inbox.note(sighting("e1.xml"))
    _promote(inbox)

    inbox.admit()

    assert inbox.claim(bundle=CHAMPION) == []
    assert len(inbox.claim(bundle=OTHER)) == 1


def test_work_that_was_stranded_under_a_former_champion_comes_back(inbox: Site) -> None:
    inbox.note(sighting("e1.xml"))
    inbox.admit()
    _promote(inbox)
    inbox.connection.execute(update(work).values(bundle_digest=CHAMPION))
    third = "c" * 64
    bundles.register(inbox.connection, BundleRow(third, "third", "1", False), STRATA)

    activate(inbox.connection, third)

    assert len(inbox.claim(bundle=third)) == 1


def test_nothing_is_due_for_a_bundle_that_scores_no_more(inbox: Site) -> None:
    inbox.note(sighting("e1.xml"))
    inbox.admit()
    assert overview.due(inbox.connection, inbox.source_id, CHAMPION) == 1
    _promote(inbox)
    inbox.connection.execute(update(work).values(bundle_digest=CHAMPION))

    assert overview.due(inbox.connection, inbox.source_id, CHAMPION) == 0


def test_a_challenger_of_before_is_no_champion(inbox: Site) -> None:
    bundles.register(inbox.connection, BundleRow(OTHER, "other", "1", False), STRATA)
    activate(inbox.connection, OTHER, BundleRole.CHALLENGER)
    inbox.note(sighting("e1.xml"))

    inbox.admit()

    (unit,) = inbox.claim(bundle=CHAMPION)
    assert inbox.claim(bundle=OTHER) == []
    inbox.finish(unit, scored(facts("e1")))
    assert len(inbox.claim(bundle=OTHER)) == 1


def test_a_file_that_changes_while_its_work_finishes_is_a_new_item(engine: Engine) -> None:
    """On PostgreSQL the scan waits for the worker; without that it would change a finished item."""
    with transaction(engine) as connection:
        here = site(connection)
        here.note(sighting("e1.xml", "1"))
        here.admit()
        (unit,) = here.claim()

    def look() -> None:
        with transaction(engine) as other:
            ledger.note(other, here.source_id, [sighting("e1.xml", "2")], here.provenance.run_id)

    scan = threading.Thread(target=look)
    with transaction(engine) as connection:
        ledger.finish(connection, unit, scored(facts("e1")), here.provenance, 900.0)
        scan.start()
        scan.join(0.5)
    scan.join(30)

    with transaction(engine) as connection:
        rows = connection.execute(
            select(item.c.fingerprint, item.c.state).order_by(item.c.item_id)
        ).all()
    assert [tuple(row) for row in rows] == [("1", "admitted"), ("2", "discovered")]


def test_more_names_than_a_statement_can_hold_are_looked_up(inbox: Site) -> None:
    headers = [
        sighting(f"h{number}.hea", others=[f"h{number}_{part}.dat" for part in range(256)])
        for number in range(300)
    ]

    assert inbox.note(*headers).new == 300
    assert inbox.note(*headers).new == 0


def test_a_crash_loop_after_an_acknowledgement_asks_for_attention_again(inbox: Site) -> None:
    inbox.note(sighting("e1.xml"))
    inbox.admit()
    inbox.connection.execute(
        update(item).values(
            acknowledged_at=ledger.now(inbox.connection),
            acknowledged_by="op",
            acknowledged_why="known",
        )
    )
    for _ in range(4):
        inbox.claim()
        inbox.connection.execute(
            update(work)
            .where(work.c.state == WorkState.LEASED)
            .values(lease_until=ledger.now(inbox.connection) - timedelta(seconds=1))
        )
    inbox.claim()

    assert inbox.state("e1.xml") == [("failed", "crash_loop")]
    assert inbox.connection.execute(select(item.c.acknowledged_at)).scalar_one() is None


@pytest.mark.parametrize(("is_archived", "units"), [(True, 1), (False, 0)])
def test_what_was_moved_into_the_archive_is_scored_again(
    inbox: Site, is_archived: bool, units: int
) -> None:
    inbox.arrive(scored(facts("e1")), "e1.xml")
    moment = ledger.now(inbox.connection)
    kept = {"archived_at": moment} if is_archived else {}
    inbox.connection.execute(update(item).values(gone_at=moment, **kept))

    assert ask(inbox.connection, Scope(), "op", "again").units == units


def test_what_was_admitted_but_not_read_is_looked_at_again(engine: Engine) -> None:
    with transaction(engine) as connection:
        here = site(connection)
        here.note(*(sighting(f"{name}.xml") for name in "abc"))
        here.admit()
        unit = _of(here.claim(), "a.xml")
        here.finish(unit, scored(facts("a")))
        later = ledger.now(connection) + timedelta(seconds=1)

    assert set(memory.waiting(engine, here.source_id, later)) == {"b.xml", "c.xml"}


def _of(units: list[WorkUnit], locator: str) -> WorkUnit:
    return next(unit for unit in units if unit.locator == locator)


def test_a_reason_of_a_newer_version_is_shown_as_other(inbox: Site) -> None:
    inbox.arrive(Quarantined(None, ReasonCode.FORMAT_UNKNOWN, "decode"), "e1.xml")
    inbox.connection.execute(update(work).values(reason="of a newer version"))

    assert [failure.reason for failure in queries.failures(inbox.connection)] == ["other"]
