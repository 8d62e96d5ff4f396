"""What operators do by hand: retry, ignore and its undoing, acknowledge; each leaves its trace."""

import threading
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, delete, select, text, update

from ecgbatch.errors import LeaseLost, SetupFault
from ecgbatch.records import Quarantined
from ecgbatch.store import audit as acknowledging
from ecgbatch.store import bundles, checks, ledger, overview, queries
from ecgbatch.store.acts import Choice
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import transaction
from ecgbatch.store.ignoring import ignore, undo_ignore
from ecgbatch.store.retrying import retry
from ecgbatch.store.tables import activation, audit, event, item, work
from ecgbatch.terms import Disposition, ReasonCode
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

DAMAGED = Quarantined(facts("e4"), ReasonCode.CHECKSUM_MISMATCH, "decode")
UNKNOWN = Quarantined(None, ReasonCode.FORMAT_UNKNOWN, "decode")
EARLY, LATE = datetime(2026, 1, 1, 8), datetime(2026, 1, 2, 8)  # noqa: DTZ001 - wall clocks


def number(inbox: Site, locator: str) -> int:
    found = select(item.c.item_id).where(item.c.locator == locator).order_by(item.c.item_id)
    return int(inbox.connection.execute(found).scalars().first() or 0)


def of(inbox: Site, *locators: str) -> Choice:
    return Choice("op", "because", items=[number(inbox, locator) for locator in locators])


def by(code: ReasonCode) -> Choice:
    return Choice("op", "because", code)


def acts(inbox: Site) -> list[tuple[str, str, int]]:
    rows = select(audit.c.act, audit.c.selector, audit.c.count).order_by(audit.c.audit_id)
    return [tuple(row) for row in inbox.connection.execute(rows)]


def events(inbox: Site, kind: str) -> list[tuple[str | None, str | None, str | None]]:
    rows = select(event.c.from_state, event.c.to_state, event.c.reason).where(event.c.kind == kind)
    return [tuple(row) for row in inbox.connection.execute(rows)]


# Retry


def test_failed_work_is_tried_again_by_reason(inbox: Site) -> None:
    inbox.arrive(DAMAGED, "a")
    inbox.arrive(DAMAGED, "b")
    inbox.arrive(UNKNOWN, "c")

    assert retry(inbox.connection, by(ReasonCode.CHECKSUM_MISMATCH)) == 2
    assert inbox.state("a") == [("waiting", "operator")]
    assert [unit.locator for unit in inbox.claim()] == ["a", "b"]
    assert inbox.state("c") == [("unsupported", "format_unknown")]
    assert acts(inbox) == [("retry", "code=checksum_mismatch", 2)]
    assert events(inbox, "retried") == [("quarantined", "ready", "operator")] * 2
    assert checks.broken(inbox.connection) == []


def test_failed_work_is_tried_again_by_number(inbox: Site) -> None:
    inbox.arrive(DAMAGED, "a")
    inbox.arrive(UNKNOWN, "b")
    inbox.arrive(scored(facts("e1")), "c")

    assert retry(inbox.connection, of(inbox, "b", "c")) == 1
    assert [unit.locator for unit in inbox.claim()] == ["b"]
    assert inbox.state("c") == [("scored", None)]


def test_retried_work_may_be_scored(inbox: Site) -> None:
    inbox.arrive(UNKNOWN, "a")
    retry(inbox.connection, of(inbox, "a"))
    (unit,) = inbox.claim()

    inbox.finish(unit, scored(facts("e1")))

    assert inbox.state("a") == [("scored", None)]
    assert inbox.current() == {"e1"}
    assert checks.broken(inbox.connection) == []


def test_retried_work_waits_for_nobody(inbox: Site) -> None:
    inbox.arrive(DAMAGED, "a")
    retry(inbox.connection, of(inbox, "a"))

    assert overview.stuck(inbox.connection) == []


def test_retried_work_has_no_losses_left(inbox: Site) -> None:
    inbox.note(sighting("poison"))
    inbox.admit()

    def lose() -> None:
        (unit,) = inbox.claim()
        past = ledger.now(inbox.connection) - timedelta(seconds=1)
        gone = update(work).where(work.c.work_id == unit.work_id).values(lease_until=past)
        inbox.connection.execute(gone)

    for _ in range(3):
        lose()
    assert inbox.claim() == []
    assert inbox.state("poison") == [("failed", "crash_loop")]

    assert retry(inbox.connection, by(ReasonCode.CRASH_LOOP)) == 1
    for _ in range(2):
        lose()
    (unit,) = inbox.claim()
    assert inbox.work_row(unit)[2] == 3


def test_what_failed_under_a_former_champion_is_tried_under_the_present_one(inbox: Site) -> None:
    inbox.arrive(DAMAGED, "a")
    bundles.register(inbox.connection, BundleRow(OTHER, "next", "2", False), STRATA)
    activate(inbox.connection, OTHER)

    assert retry(inbox.connection, of(inbox, "a")) == 1
    assert [unit.locator for unit in inbox.claim(bundle=OTHER)] == ["a"]
    assert inbox.claim(bundle=CHAMPION) == []


def test_nothing_is_tried_again_where_nothing_scores(inbox: Site) -> None:
    inbox.arrive(DAMAGED, "a")
    inbox.connection.execute(delete(activation))

    with pytest.raises(SetupFault) as caught:
        retry(inbox.connection, of(inbox, "a"))
    assert caught.value.reason is ReasonCode.BUNDLE_NOT_ACTIVE


def test_thousands_are_tried_again_in_one_act(inbox: Site) -> None:
    for part in range(3):
        inbox.note(*(sighting(f"{part} {number}") for number in range(400)))
    inbox.admit()
    for unit in inbox.claim(2000):
        inbox.finish(unit, UNKNOWN)

    assert retry(inbox.connection, by(ReasonCode.FORMAT_UNKNOWN)) == 1200
    assert len(inbox.claim(2000)) == 1200


# Acknowledge


def test_acknowledgement_is_cleared_when_the_item_has_been_worked_again(inbox: Site) -> None:
    inbox.arrive(DAMAGED, "a")
    acknowledging.acknowledge(inbox.connection, "op", "known", ReasonCode.CHECKSUM_MISMATCH, ())
    assert queries.attention(inbox.connection) == 0

    retry(inbox.connection, of(inbox, "a"))
    (unit,) = inbox.claim()
    inbox.finish(unit, DAMAGED)

    assert queries.attention(inbox.connection) == 1
    row = inbox.connection.execute(select(item)).one()
    assert (row.acknowledged_at, row.acknowledged_by, row.acknowledged_why) == (None, None, None)


# Ignore


@pytest.mark.parametrize("outcome", [DAMAGED, UNKNOWN, rejected(facts("e1"))])
def test_item_is_ignored_and_taken_up_again(inbox: Site, outcome: Quarantined) -> None:
    inbox.arrive(outcome, "a")
    before = inbox.state("a")

    assert ignore(inbox.connection, of(inbox, "a")) == 1
    assert inbox.state("a") == [("ignored", "operator")]
    assert queries.attention(inbox.connection) == 0
    assert checks.broken(inbox.connection) == []

    assert undo_ignore(inbox.connection, of(inbox, "a")) == 1
    assert inbox.state("a") == before
    assert acts(inbox) == [
        ("ignore", f"items={number(inbox, 'a')}", 1),
        ("ignore --undo", f"items={number(inbox, 'a')}", 1),
    ]
    assert events(inbox, "ignored") == [("admitted", "ignored", "operator")]
    assert events(inbox, "taken_up") == [("ignored", "admitted", "operator")]
    assert checks.broken(inbox.connection) == []


def test_waiting_work_of_an_ignored_item_is_not_claimed(inbox: Site) -> None:
    inbox.note(sighting("a"), sighting("b"))
    inbox.admit()

    ignore(inbox.connection, of(inbox, "a"))

    assert [unit.locator for unit in inbox.claim()] == ["b"]
    undo_ignore(inbox.connection, of(inbox, "a"))
    assert [unit.locator for unit in inbox.claim()] == ["a"]


def test_lease_on_an_ignored_item_is_void(inbox: Site) -> None:
    inbox.note(sighting("a"))
    inbox.admit()
    (unit,) = inbox.claim()

    ignore(inbox.connection, of(inbox, "a"))

    with pytest.raises(LeaseLost):
        inbox.finish(unit, scored(facts("e1")))
    assert inbox.current() == set()
    assert checks.broken(inbox.connection) == []


def test_scored_items_cannot_be_ignored(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")

    assert ignore(inbox.connection, of(inbox, "a")) == 0
    assert inbox.state("a") == [("scored", None)]
    assert inbox.current() == {"e1"}


def test_items_are_ignored_by_reason(inbox: Site) -> None:
    inbox.arrive(UNKNOWN, "a")
    inbox.arrive(UNKNOWN, "b")
    inbox.arrive(DAMAGED, "c")

    assert ignore(inbox.connection, by(ReasonCode.FORMAT_UNKNOWN)) == 2
    assert ignore(inbox.connection, by(ReasonCode.FORMAT_UNKNOWN)) == 0
    assert inbox.state("c") == [("failed", "checksum_mismatch")]


def test_ignored_item_stays_so_when_it_is_seen_again(inbox: Site) -> None:
    inbox.arrive(UNKNOWN, "a")
    ignore(inbox.connection, of(inbox, "a"))
    inbox.note(sighting("a"))
    inbox.admit()

    assert inbox.state("a") == [("ignored", "operator")]


def test_item_that_was_never_admitted_is_looked_at_anew(inbox: Site) -> None:
    inbox.note(sighting("a"))
    inbox.age("a", 1000)
    ignore(inbox.connection, of(inbox, "a"))
    inbox.note(sighting("a"))
    assert inbox.admit() == 0

    undo_ignore(inbox.connection, of(inbox, "a"))

    assert inbox.state("a") == [("waiting", "new")]
    inbox.note(sighting("a"))
    assert inbox.admit(settle_s=60) == 0
    assert inbox.admit() == 1


def test_item_whose_place_has_other_bytes_by_now_is_superseded(inbox: Site) -> None:
    inbox.arrive(DAMAGED, "a", "1")
    ignore(inbox.connection, of(inbox, "a"))
    inbox.arrive(scored(facts("e1")), "a", "2")

    undo_ignore(inbox.connection, of(inbox, "a"))

    assert inbox.state("a") == [("superseded", "file_changed"), ("scored", None)]


def test_item_that_is_gone_by_now_counts_its_scans_again(inbox: Site) -> None:
    inbox.note(sighting("a"))
    inbox.admit()
    ignore(inbox.connection, of(inbox, "a"))
    for _ in range(3):
        inbox.mark_missing()

    undo_ignore(inbox.connection, of(inbox, "a"))
    for _ in range(3):
        inbox.mark_missing()

    assert inbox.state("a") == [("vanished", "gone")]


# Ignored exports of one acquisition


def conflict(inbox: Site, *patients: str) -> None:
    for patient in patients:
        inbox.arrive(scored(facts(patient, ecg_id="v", patient_key=patient)), patient)
    assert inbox.current() == set()


def patients_shown(inbox: Site) -> set[str]:
    return set(inbox.connection.execute(text("SELECT patient_key FROM v_latest_risk")).scalars())


def test_ignored_rival_ends_an_identity_conflict_and_its_undoing_begins_it_again(
    inbox: Site,
) -> None:
    conflict(inbox, "p", "q")

    ignore(inbox.connection, of(inbox, "q"))
    assert patients_shown(inbox) == {"p"}
    assert inbox.state("p") == [("scored", None)]
    assert checks.broken(inbox.connection) == []

    undo_ignore(inbox.connection, of(inbox, "q"))
    assert patients_shown(inbox) == set()
    for patient in "pq":
        assert inbox.state(patient) == [("superseded", "identity_conflict")]
    assert checks.broken(inbox.connection) == []


@pytest.mark.parametrize("ignored", ["pqr", "prq", "qpr", "qrp", "rpq", "rqp"])
def test_conflict_of_three_ends_with_the_last_rival(inbox: Site, ignored: str) -> None:
    conflict(inbox, "p", "q", "r")
    first, second, kept = ignored

    ignore(inbox.connection, of(inbox, first))
    assert patients_shown(inbox) == set()
    ignore(inbox.connection, of(inbox, second))
    assert patients_shown(inbox) == {kept}
    assert checks.broken(inbox.connection) == []


def test_conflict_of_three_ends_where_two_are_ignored_in_one_act(inbox: Site) -> None:
    conflict(inbox, "p", "q", "r")

    ignore(inbox.connection, of(inbox, "p", "r"))

    assert patients_shown(inbox) == {"q"}


def test_rival_that_lies_elsewhere_too_stays_one(inbox: Site) -> None:
    conflict(inbox, "p", "q")
    inbox.arrive(scored(facts("q", ecg_id="v", patient_key="q")), "copy of q")

    ignore(inbox.connection, of(inbox, "q"))
    assert patients_shown(inbox) == set()
    ignore(inbox.connection, of(inbox, "copy of q"))
    assert patients_shown(inbox) == {"p"}


def test_ignored_rejection_lets_the_older_export_stand_again(inbox: Site) -> None:
    same = {"acquisition_key": "k", "patient_key": "p"}
    inbox.arrive(scored(facts("old", edit_at=EARLY, **same)), "old")
    inbox.arrive(rejected(facts("new", edit_at=LATE, **same)), "new")
    assert inbox.current() == set()

    ignore(inbox.connection, of(inbox, "new"))
    assert inbox.current() == {"old"}

    undo_ignore(inbox.connection, of(inbox, "new"))
    assert inbox.current() == set()
    assert inbox.state("old") == [("superseded", "same_acquisition")]
    assert checks.broken(inbox.connection) == []


def test_newest_of_several_older_exports_stands_again(inbox: Site) -> None:
    same = {"acquisition_key": "k", "patient_key": "p"}
    middle = EARLY + timedelta(hours=6)
    inbox.arrive(scored(facts("old", edit_at=EARLY, **same)), "old")
    inbox.arrive(scored(facts("middle", edit_at=middle, **same)), "middle")
    inbox.arrive(rejected(facts("new", edit_at=LATE, **same)), "new")

    ignore(inbox.connection, of(inbox, "new"))

    assert inbox.current() == {"middle"}
    assert checks.broken(inbox.connection) == []


def test_export_that_was_superseded_unscored_is_scored_when_it_stands(inbox: Site) -> None:
    same = {"acquisition_key": "k", "patient_key": "p"}
    inbox.arrive(rejected(facts("new", edit_at=LATE, **same)), "new")
    inbox.arrive(scored(facts("old", edit_at=EARLY, **same)), "old")
    assert inbox.state("old") == [("superseded", "same_acquisition")]

    ignore(inbox.connection, of(inbox, "new"))
    assert inbox.state("old") == [("waiting", "operator")]
    (unit,) = inbox.claim()
    inbox.finish(unit, scored(facts("old", edit_at=EARLY, **same)))

    assert inbox.current() == {"old"}
    assert checks.broken(inbox.connection) == []


def test_ignored_export_is_nobody_s_rival(inbox: Site) -> None:
    conflict(inbox, "p", "q")
    ignore(inbox.connection, of(inbox, "p", "q"))

    inbox.arrive(scored(facts("r", ecg_id="v", patient_key="r")), "r")

    assert patients_shown(inbox) == {"r"}
    assert checks.broken(inbox.connection) == []


def test_superseded_export_that_is_ignored_changes_nothing(inbox: Site) -> None:
    same = {"acquisition_key": "k", "patient_key": "p"}
    inbox.arrive(scored(facts("old", edit_at=EARLY, **same)), "old")
    inbox.arrive(scored(facts("new", edit_at=LATE, **same)), "new")

    ignore(inbox.connection, of(inbox, "old"))
    undo_ignore(inbox.connection, of(inbox, "old"))

    assert inbox.current() == {"new"}
    assert inbox.state("old") == [("superseded", "same_acquisition")]


def test_no_link_leads_through_an_ignored_export(inbox: Site) -> None:
    """The oldest is linked to the newest only through the one between."""
    inbox.arrive(scored(facts("a", ecg_id="v", signal_digest="s1", edit_at=EARLY)), "a")
    between = facts("b", ecg_id="v", signal_digest="s2", edit_at=EARLY + timedelta(hours=1))
    inbox.arrive(scored(between), "b")
    inbox.arrive(scored(facts("c", ecg_id="w", signal_digest="s2", edit_at=LATE)), "c")
    assert inbox.current() == {"w"}

    ignore(inbox.connection, of(inbox, "b"))

    assert inbox.current() == {"v", "w"}
    assert inbox.state("a") == [("scored", None)]


def test_operators_runs_are_not_the_last_run(inbox: Site) -> None:
    inbox.arrive(UNKNOWN, "a")
    ignore(inbox.connection, of(inbox, "a"))

    (last,) = queries.last_runs(inbox.connection, 1)
    assert last.kind == "run-once"


def test_ledger_balances_after_every_act(inbox: Site) -> None:
    inbox.arrive(UNKNOWN, "a")
    inbox.arrive(DAMAGED, "b")
    ignore(inbox.connection, of(inbox, "a"))
    retry(inbox.connection, of(inbox, "b"))

    counts = ledger.balance(inbox.connection)
    assert counts[Disposition.IGNORED] == counts[Disposition.WAITING] == 1


def work_through(engine: Engine, inbox: Site) -> None:
    """A worker with a run of its own, until nothing is left."""
    with transaction(engine) as connection:
        run_id = ledger.start_run(connection, "work", None, "w")
    inbox = replace(inbox, provenance=replace(inbox.provenance, run_id=run_id))
    while True:
        with transaction(engine) as connection:
            units = replace(inbox, connection=connection).claim(3)
        if not units:
            return
        for unit in units:
            with suppress(LeaseLost), transaction(engine) as connection:
                here = replace(inbox, connection=connection)
                here.finish(unit, scored(facts(unit.locator)))


def ignore_from_the_end(engine: Engine, item_ids: list[int]) -> None:
    for first in range(len(item_ids), 0, -3):
        with transaction(engine) as connection:
            ignore(connection, Choice("op", "x", items=item_ids[first - 3 : first]))


def test_worker_and_operator_at_once_leave_no_ignored_item_with_a_risk(engine: Engine) -> None:
    """Whichever comes first to an item: it is scored, or ignored without a result."""
    with transaction(engine) as connection:
        inbox = site(connection)
        inbox.note(*(sighting(f"{number}") for number in range(60)))
        inbox.admit()
        item_ids = list(connection.execute(select(item.c.item_id)).scalars())
    threads = [threading.Thread(target=work_through, args=(engine, inbox)) for _ in range(2)]
    threads.append(threading.Thread(target=ignore_from_the_end, args=(engine, sorted(item_ids))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with transaction(engine) as connection:
        assert checks.broken(connection) == []
        counts = ledger.balance(connection)
        assert counts[Disposition.SCORED] + counts[Disposition.IGNORED] == 60
        with_risk = select(item.c.item_id).where(
            item.c.state == "ignored", item.c.recording_id.is_not(None)
        )
        assert connection.execute(with_risk).all() == []
