"""Re-scoring: asked for by an operator, in a lane of its own; results are added, never replaced."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, select, text, update

from ecgbatch.errors import EcgbatchError, SetupFault
from ecgbatch.records import Facts, Outcome, Quarantined
from ecgbatch.store import bundles, checks, ledger, queries
from ecgbatch.store.acts import Choice
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.claims import RESCORE_PRIORITY
from ecgbatch.store.rescore import Asked, Scope, ask, source_named
from ecgbatch.store.retrying import retry
from ecgbatch.store.tables import activation, audit, event, item, result, work
from ecgbatch.store.tables_ledger import rescore
from ecgbatch.terms import Disposition, ReasonCode
from tests.support.ledger import (
    CHAMPION,
    OTHER,
    PIPELINE,
    STRATA,
    Site,
    activate,
    facts,
    rejected,
    scored,
    sighting,
)

DAMAGED = Quarantined(facts("e1"), ReasonCode.SAMPLE_DATA_DAMAGED, "decode")
UNKNOWN = Quarantined(None, ReasonCode.FORMAT_UNKNOWN, "decode")
BEFORE, AFTER = (0.1, 0.2, 0.3, 0.7), (0.2, 0.3, 0.4, 0.8)


def asked(inbox: Site, scope: Scope = Scope()) -> Asked:  # noqa: B008 - frozen
    return ask(inbox.connection, scope, "op", "a new reader")


def waiting(inbox: Site) -> list[str]:
    """Where the work of the lane lies."""
    rows = select(item.c.locator).join(work, work.c.item_id == item.c.item_id)
    rows = rows.where(work.c.request != "new", work.c.state == "ready").order_by(item.c.locator)
    return list(inbox.connection.execute(rows).scalars())


def upgraded(inbox: Site) -> Site:
    """The same hospital under a raised pipeline."""
    return replace(inbox, provenance=replace(inbox.provenance, pipeline_id="2-test"))


def rescored(inbox: Site, *outcomes: Outcome) -> None:
    for unit, outcome in zip(inbox.claim(lane="rescore"), outcomes, strict=True):
        inbox.finish(unit, outcome)


def risks(inbox: Site) -> list[float]:
    rows = text("SELECT any_vessel_risk FROM v_latest_risk ORDER BY recording_id")
    return list(inbox.connection.execute(rows).scalars())


# What becomes of it


def test_new_result_stands_beside_the_old_one_and_is_shown(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1"), BEFORE), "a")
    assert asked(inbox).units == 1

    rescored(upgraded(inbox), scored(facts("e1"), AFTER))

    assert risks(inbox) == [0.8]
    rows = select(result.c.pipeline_id, result.c.any_vessel_risk).order_by(result.c.result_id)
    assert [tuple(row) for row in inbox.connection.execute(rows)] == [
        (PIPELINE, 0.7),
        ("2-test", 0.8),
    ]
    assert inbox.state("a") == [("scored", None)]
    assert checks.broken(inbox.connection) == []


def test_until_it_is_scored_again_the_old_result_is_shown(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1"), BEFORE), "a")
    asked(inbox)

    assert risks(inbox) == [0.7]
    assert inbox.state("a") == [("scored", None)]
    assert inbox.claim() == []


def test_failed_rescore_changes_nothing_but_is_shown_as_a_failure(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1"), BEFORE), "a")
    request = str(asked(inbox).rescore_id)

    rescored(upgraded(inbox), DAMAGED)

    assert risks(inbox) == [0.7]
    assert inbox.state("a") == [("scored", None)]
    (failure,) = queries.failures(inbox.connection)
    assert (failure.reason, failure.request) == (ReasonCode.SAMPLE_DATA_DAMAGED, request)
    assert checks.broken(inbox.connection) == []


def test_failed_rescore_is_tried_again(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1"), BEFORE), "a")
    asked(inbox)
    rescored(upgraded(inbox), DAMAGED)

    assert retry(inbox.connection, Choice("op", "x", ReasonCode.SAMPLE_DATA_DAMAGED)) == 1
    rescored(upgraded(inbox), scored(facts("e1"), AFTER))

    assert risks(inbox) == [0.8]
    assert queries.failures(inbox.connection) == []
    assert checks.broken(inbox.connection) == []


def test_rescore_that_rejects_leaves_no_risk(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1"), BEFORE), "a")
    asked(inbox)

    rescored(upgraded(inbox), rejected(facts("e1")))

    assert risks(inbox) == []
    assert inbox.state("a") == [("rejected", "lead_flat")]


def test_same_pipeline_and_numbers_add_nothing(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1"), BEFORE), "a")
    asked(inbox)
    (unit,) = inbox.claim(lane="rescore")

    inbox.finish(unit, scored(facts("e1"), BEFORE))

    assert inbox.work_row(unit)[:2] == ("duplicate", "same_bytes")
    assert len(inbox.connection.execute(select(result)).all()) == 1
    assert risks(inbox) == [0.7]
    assert checks.broken(inbox.connection) == []


def test_same_pipeline_and_other_numbers_are_refused(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1"), BEFORE), "a")
    asked(inbox)
    (unit,) = inbox.claim(lane="rescore")

    with pytest.raises(EcgbatchError) as caught:
        inbox.finish(unit, scored(facts("e1"), AFTER))
    assert caught.value.reason is ReasonCode.NONDETERMINISTIC

    inbox.finish(unit, Quarantined(None, ReasonCode.NONDETERMINISTIC, "finish"))
    assert risks(inbox) == [0.7]
    assert inbox.state("a") == [("scored", None)]


def test_rescore_after_a_promotion_is_under_the_new_champion(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1"), BEFORE), "a")
    bundles.register(inbox.connection, BundleRow(OTHER, "next", "2", False), STRATA)
    activate(inbox.connection, OTHER)
    asked(inbox)

    assert inbox.claim(bundle=CHAMPION, lane="rescore") == []
    (unit,) = inbox.claim(bundle=OTHER, lane="rescore")
    inbox.finish(unit, scored(facts("e1"), AFTER))

    assert risks(inbox) == [0.8]
    shown = inbox.connection.execute(text("SELECT is_current_bundle FROM v_latest_risk"))
    assert bool(shown.scalar_one())
    assert checks.broken(inbox.connection) == []


def test_new_ecgs_do_not_wait_behind_rescores(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    request = str(asked(inbox).rescore_id)
    inbox.note(sighting("b"))
    inbox.admit()

    assert [(unit.locator, unit.request) for unit in inbox.claim()] == [("b", "new")]
    again = inbox.claim(lane="rescore")
    assert [(unit.locator, unit.request) for unit in again] == [("a", request)]


# What is asked for


def test_request_is_written_down(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")

    answer = asked(inbox)

    row = inbox.connection.execute(select(rescore)).one()
    assert (row.rescore_id, row.actor, row.why) == (answer.rescore_id, "op", "a new reader")
    assert (row.scope, row.bundle_digest, row.units) == ("all", CHAMPION, 1)
    acts = select(audit.c.act, audit.c.selector, audit.c.reason, audit.c.count)
    assert [tuple(one) for one in inbox.connection.execute(acts)] == [
        ("rescore", "all", "a new reader", 1)
    ]
    kinds = inbox.connection.execute(select(event.c.kind).where(event.c.kind == "rescore"))
    assert kinds.scalars().all() == ["rescore"]
    made = inbox.connection.execute(select(work).where(work.c.request != "new")).one()
    assert (made.request, made.priority) == (str(answer.rescore_id), RESCORE_PRIORITY)


def test_each_request_has_work_of_its_own(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")

    assert asked(inbox).units == 1
    assert asked(inbox).units == 1
    assert waiting(inbox) == ["a", "a"]


def test_all_is_what_has_a_result_once_per_recording(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "scored")
    inbox.arrive(scored(facts("e1")), "copy")
    inbox.arrive(rejected(facts("e2")), "rejected")
    inbox.arrive(UNKNOWN, "unsupported")
    inbox.arrive(scored(facts("old")), "amended", "1")
    inbox.arrive(scored(facts("new")), "amended", "2")
    inbox.note(sighting("waiting"))

    assert asked(inbox).units == 3
    assert waiting(inbox) == ["amended", "rejected", "scored"]


def test_copy_is_read_where_the_first_file_is_gone(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "first")
    inbox.arrive(scored(facts("e1")), "copy")
    inbox.arrive(scored(facts("e2")), "lost")
    for _ in range(3):
        started = ledger.now(inbox.connection)
        inbox.note(sighting("copy"))
        inbox.mark_missing(started)

    answer = asked(inbox)

    assert (answer.units, answer.gone) == (1, 1)
    assert waiting(inbox) == ["copy"]


def test_reason_takes_rejected_failed_and_unsupported(inbox: Site) -> None:
    inbox.arrive(rejected(facts("e1"), ReasonCode.LEAD_FLAT), "flat")
    inbox.arrive(rejected(facts("e1"), ReasonCode.LEAD_FLAT), "copy")
    inbox.arrive(rejected(facts("e2"), ReasonCode.TOO_SHORT), "short")
    inbox.arrive(UNKNOWN, "unknown 1")
    inbox.arrive(UNKNOWN, "unknown 2")
    inbox.arrive(scored(facts("e3")), "scored")

    asked(inbox, Scope(reason=ReasonCode.LEAD_FLAT))
    assert waiting(inbox) == ["flat"]
    asked(inbox, Scope(reason=ReasonCode.FORMAT_UNKNOWN))
    assert waiting(inbox) == ["flat", "unknown 1", "unknown 2"]


def test_rescore_may_read_what_failed(inbox: Site) -> None:
    inbox.arrive(UNKNOWN, "a")
    asked(inbox, Scope(reason=ReasonCode.FORMAT_UNKNOWN))

    rescored(inbox, scored(facts("e1"), BEFORE))

    assert risks(inbox) == [0.7]
    assert inbox.state("a") == [("scored", None)]
    assert checks.broken(inbox.connection) == []


def test_since_goes_by_the_date_of_the_ecg(inbox: Site) -> None:
    def of(day: int | None) -> Facts:
        at = None if day is None else datetime(2026, 3, day, 23, 59)  # noqa: DTZ001 - wall clock
        return facts(f"day {day}", acquired_at=at)

    for day in (1, 2, 3, None):
        inbox.arrive(scored(of(day)), f"{day}")
    old = {"first_seen_at": ledger.now(inbox.connection) - timedelta(days=10_000)}
    inbox.connection.execute(update(item).where(item.c.locator.in_(("1", "2"))).values(old))

    asked(inbox, Scope(since=datetime(2026, 3, 2)))  # noqa: DTZ001 - wall clock
    assert waiting(inbox) == ["2", "3", "None"]


def test_undated_ecgs_go_by_their_first_sighting(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    old = {"first_seen_at": ledger.now(inbox.connection) - timedelta(days=10_000)}
    inbox.connection.execute(update(item).values(old))

    assert asked(inbox, Scope(since=datetime(2026, 3, 2))).units == 0  # noqa: DTZ001


def test_source_takes_its_own(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    other = ledger.ensure_source(
        inbox.connection, "other", kind="folder", root="/o", authority="MRN", time_zone=None
    )
    replace(inbox, source_id=other).arrive(scored(facts("e2")), "b")

    assert source_named(inbox.connection, "other") == other
    assert source_named(inbox.connection, "nowhere") is None
    assert asked(inbox, Scope(source_id=other)).units == 1
    assert waiting(inbox) == ["b"]


def test_scope_says_no_place(inbox: Site) -> None:
    scope = Scope(datetime(2026, 3, 2), 7, ReasonCode.LEAD_FLAT)  # noqa: DTZ001

    assert str(scope) == "since 2026-03-02T00:00:00, source 7, reason lead_flat"


def test_nothing_is_scored_again_where_nothing_scores(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    inbox.connection.execute(delete(activation))

    with pytest.raises(SetupFault) as caught:
        asked(inbox)
    assert caught.value.reason is ReasonCode.BUNDLE_NOT_ACTIVE


def test_ledger_balances_while_rescores_wait(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    asked(inbox)

    assert ledger.balance(inbox.connection)[Disposition.SCORED] == 1
    assert checks.broken(inbox.connection) == []
