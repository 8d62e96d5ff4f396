"""Challengers: behind the champion, beside what is shown; promoted, rolled back, retired."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from ecgbatch.comparison.flips import flips
from ecgbatch.errors import LeaseLost
from ecgbatch.records import Quarantined, RetryLater
from ecgbatch.store import bundles, checks, health, ledger, overview, standing
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import now
from ecgbatch.store.pairs import pairs
from ecgbatch.store.past import Past
from ecgbatch.store.tables import activation, audit, event, item, recording, result, work
from ecgbatch.terms import BundleRole, Disposition, ReasonCode, Vessel
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
)

NEXT = BundleRow(OTHER, "next", "2", is_clinical=False, location="/bundles/next")
CHALLENGER = BundleRole.CHALLENGER
EDITED = datetime.fromisoformat("2026-01-01")


@pytest.fixture
def challenged(inbox: Site) -> Site:
    """With a challenger from the start."""
    bundles.register(inbox.connection, NEXT, STRATA)
    activate(inbox.connection, OTHER, CHALLENGER)
    return inbox


def shown(connection: Connection) -> list[Any]:
    """Everything that a person is shown, and every row of an item or a recording."""
    queries: Iterator[Any] = iter(
        (
            text("SELECT * FROM v_disposition ORDER BY item_id"),
            text("SELECT * FROM v_latest_risk ORDER BY recording_id"),
            text("SELECT * FROM v_failures ORDER BY item_id"),
            select(item).order_by(item.c.item_id),
            select(recording).order_by(recording.c.recording_id),
        )
    )
    return [connection.execute(query).all() for query in queries]


def challenge(site: Site, *outcomes: Any) -> list[Any]:
    """Finish the challenger's next units so."""
    units = site.claim(bundle=OTHER)
    assert len(units) == len(outcomes)
    return [site.finish(unit, one) for unit, one in zip(units, outcomes, strict=True)]


def test_a_challenger_scores_nothing_that_no_champion_has_scored(challenged: Site) -> None:
    challenged.note(sighting("a"))
    challenged.admit()

    assert challenged.claim(bundle=OTHER) == []
    assert overview.due(challenged.connection, None, OTHER) == 0
    (unit,) = challenged.claim()
    challenged.finish(unit, scored(facts("e1")))
    assert overview.due(challenged.connection, None, OTHER) == 1
    assert [one.locator for one in challenged.claim(bundle=OTHER)] == ["a"]


@pytest.mark.parametrize(
    "of_challenger",
    [
        scored(facts("e1"), (0.9, 0.9, 0.9, 0.9)),
        scored(facts("e1", patient_key="somebody else", ecg_id="another")),
        scored(facts("other bytes")),
        rejected(facts("e1")),
        Quarantined(None, ReasonCode.READER_CRASHED, "read"),
        Quarantined(facts("e1"), ReasonCode.RESULT_NOT_FINITE, "score"),
        RetryLater(ReasonCode.READ_FAILED, "read"),
    ],
    ids=["scored", "other facts", "other bytes", "rejected", "crashed", "failed", "put back"],
)
def test_a_challenger_changes_nothing_that_is_shown(challenged: Site, of_challenger: Any) -> None:
    challenged.arrive(scored(facts("e1", patient_key="p")), "a")
    challenged.arrive(Quarantined(None, ReasonCode.SIZE_MISMATCH, "read"), "broken")
    before = shown(challenged.connection)

    challenge(challenged, of_challenger)

    assert shown(challenged.connection) == before
    assert checks.broken(challenged.connection) == []


def test_an_acknowledged_failure_stays_so_and_is_not_read_again(challenged: Site) -> None:
    challenged.arrive(Quarantined(None, ReasonCode.SIZE_MISMATCH, "read"), "broken")

    assert challenged.claim(bundle=OTHER) == []


def test_other_bytes_than_the_champion_s_get_no_result(challenged: Site) -> None:
    challenged.arrive(scored(facts("e1")), "a")

    (ended,) = challenge(challenged, scored(facts("other bytes")))

    assert (ended.disposition, ended.reason) == (Disposition.FAILED, ReasonCode.FILE_CHANGED)
    of_other = select(result).where(result.c.bundle_digest == OTHER)
    assert challenged.connection.execute(of_other).all() == []


def test_an_older_export_and_a_lost_file_are_left_alone(challenged: Site) -> None:
    early, late = (
        datetime.fromisoformat("2026-01-01T08:00"),
        datetime.fromisoformat("2026-01-01T09:00"),
    )
    challenged.arrive(scored(facts("old", ecg_id="x", edit_at=early)), "old")
    challenged.arrive(scored(facts("new", ecg_id="x", edit_at=late)), "new")
    challenged.arrive(scored(facts("lost")), "lost")
    gone = now(challenged.connection)
    challenged.connection.execute(
        item.update().where(item.c.locator == "lost").values(gone_at=gone)
    )

    assert [unit.locator for unit in challenged.claim(bundle=OTHER)] == ["new"]


def test_a_copy_is_scored_once(challenged: Site) -> None:
    challenged.arrive(scored(facts("e1")), "a")
    challenged.arrive(scored(facts("e1")), "copy")

    ends = challenge(challenged, scored(facts("e1")), scored(facts("e1")))

    assert [one.disposition for one in ends] == [Disposition.SCORED, Disposition.DUPLICATE]
    assert checks.broken(challenged.connection) == []


def test_a_worker_killed_in_a_challenger_s_unit_loses_nothing_and_writes_once(
    challenged: Site,
) -> None:
    challenged.arrive(scored(facts("e1")), "a")
    challenged.arrive(scored(facts("e2")), "b")
    killed = challenged.claim(bundle=OTHER)
    assert ledger.bury(challenged.connection, "w1") == 2

    (first,) = challenged.claim(bundle=OTHER)
    challenged.finish(first, scored(facts("e1")))
    (second,) = challenged.claim(bundle=OTHER)
    challenged.finish(second, scored(facts("e2")))

    for late, name in zip(killed, ("e1", "e2"), strict=True):
        with pytest.raises(LeaseLost):
            challenged.finish(late, scored(facts(name)))
    of_other = select(result.c.recording_id).where(result.c.bundle_digest == OTHER)
    assert len(set(challenged.connection.execute(of_other).scalars())) == 2
    assert challenged.claim(bundle=OTHER) == []
    assert checks.broken(challenged.connection) == []


def test_an_ecg_that_kills_challengers_workers_is_shown_as_the_champion_scored_it(
    challenged: Site,
) -> None:
    challenged.arrive(scored(facts("e1")), "a")
    before = shown(challenged.connection)
    for _ in range(4):
        challenged.claim(bundle=OTHER)
        ledger.bury(challenged.connection, "w1")

    assert challenged.claim(bundle=OTHER) == []
    assert shown(challenged.connection) == before
    crashed = select(work.c.reason).where(work.c.bundle_digest == OTHER)
    assert challenged.connection.execute(crashed).scalars().all() == [ReasonCode.CRASH_LOOP]


def test_the_past_is_given_on_demand_and_comes_after_what_is_new(inbox: Site) -> None:
    inbox.arrive(scored(facts("old", acquired_at=datetime.fromisoformat("2020-01-01"))), "old")
    inbox.arrive(scored(facts("e1", acquired_at=datetime.fromisoformat("2026-01-02"))), "a")
    inbox.arrive(scored(facts("e1", acquired_at=datetime.fromisoformat("2026-01-02"))), "copy")
    bundles.register(inbox.connection, NEXT, STRATA)
    given = [
        bundles.activate(
            inbox.connection,
            OTHER,
            CHALLENGER,
            by="op",
            why="trial",
            golden_report="{}",
            past=Past(since=datetime.fromisoformat("2026-01-01")),
        )
        for _ in range(2)
    ]

    assert [(one.is_new, one.given) for one in given] == [(True, 1), (False, 0)]
    assert [unit.locator for unit in inbox.claim(bundle=OTHER)] == ["a"]


def test_a_promoted_challenger_is_shown_and_scores_nothing_twice(challenged: Site) -> None:
    challenged.arrive(scored(facts("before")), "before")
    challenge(challenged, scored(facts("before"), (0.9, 0.1, 0.1, 0.1)))
    challenged.arrive(scored(facts("undone")), "undone")

    activate(challenged.connection, OTHER)
    challenged.note(sighting("live"))
    challenged.admit()

    strata = text("SELECT ecg_id, stratum_rca FROM v_latest_risk ORDER BY ecg_id")
    assert [tuple(row) for row in challenged.connection.execute(strata)] == [
        ("before", "high"),
        ("undone", "low"),
    ]
    # New ECGs first, then what it had not done as a challenger.
    assert [unit.locator for unit in challenged.claim(bundle=OTHER)] == ["live", "undone"]


def test_rollback_shows_the_former_results_and_scores_what_came_since(challenged: Site) -> None:
    challenged.arrive(scored(facts("e1")), "a")
    challenge(challenged, scored(facts("e1"), (0.9, 0.1, 0.1, 0.1)))
    activate(challenged.connection, OTHER)
    challenged.note(sighting("since"))
    challenged.admit()
    (unit,) = challenged.claim(bundle=OTHER)
    challenged.finish(unit, scored(facts("e2"), (0.9, 0.1, 0.1, 0.1)))

    former = bundles.former_champion(challenged.connection)
    assert former is not None
    change = bundles.roll_back(
        challenged.connection, former.digest, by="op", why="worse", golden_report="{}"
    )

    assert (former.digest, change.given) == (CHAMPION, 1)
    strata = text("SELECT ecg_id, stratum_rca FROM v_latest_risk ORDER BY ecg_id")
    read = [tuple(row) for row in challenged.connection.execute(strata)]
    assert read == [("e1", "low"), ("e2", "high")]
    (unit,) = challenged.claim()
    challenged.finish(unit, scored(facts("e2")))
    read = [tuple(row) for row in challenged.connection.execute(strata)]
    assert read == [("e1", "low"), ("e2", "low")]
    assert challenged.state("since") == [("scored", None)]
    assert checks.broken(challenged.connection) == []


def test_a_retired_challenger_claims_nothing_and_its_work_is_nobody_s(challenged: Site) -> None:
    challenged.arrive(scored(facts("e1")), "a")

    assert bundles.retire(challenged.connection, OTHER, by="op", why="enough")
    assert not bundles.retire(challenged.connection, OTHER, by="op", why="again")

    assert challenged.claim(bundle=OTHER) == []
    third = BundleRow("c" * 64, "third", "1", is_clinical=False)
    bundles.register(challenged.connection, third, STRATA)
    activate(challenged.connection, third.digest)
    assert challenged.claim(bundle=third.digest) == []
    assert challenged.current() == {"e1"}


def test_a_clinical_champion_ends_the_challenge_of_a_demonstration(challenged: Site) -> None:
    clinical = BundleRow("c" * 64, "clinical", "1", is_clinical=True)
    bundles.register(challenged.connection, clinical, STRATA)

    activate(challenged.connection, clinical.digest)

    assert bundles.challengers(challenged.connection) == []


def test_every_act_stands_in_audit_with_both_digests_and_the_golden_report(
    challenged: Site,
) -> None:
    kept = {"by": "op", "why": "better", "golden_report": '{"difference": 0.0}'}
    before = bundles.promote(challenged.connection, OTHER, **kept)
    bundles.roll_back(challenged.connection, CHAMPION, **kept)

    acts = challenged.connection.execute(select(audit).order_by(audit.c.audit_id)).all()
    assert before.digest == CHAMPION
    assert [row.act for row in acts] == ["activate", "promote", "rollback"]
    assert acts[1].actor == "op"
    assert acts[1].reason == "better"
    for part in (f"champion {OTHER}", f"before {CHAMPION}", '{"difference": 0.0}'):
        assert part in acts[1].selector
    kinds = select(event.c.kind).where(event.c.to_state.in_(tuple(BundleRole)))
    assert challenged.connection.execute(kinds.order_by(event.c.event_id)).scalars().all() == [
        "first_use",
        "activated",
        "promoted",
        "rolled_back",
    ]
    reports = select(activation.c.golden_report).order_by(activation.c.activation_id)
    assert challenged.connection.execute(reports).scalars().all()[-1] == kept["golden_report"]


def test_waiting_of_challengers_is_counted_apart(challenged: Site) -> None:
    challenged.arrive(scored(facts("e1")), "a")

    found = health.read(challenged.connection)

    assert sum(found.queue.values()) == 0
    (one,) = standing.challenges(challenged.connection)
    assert (one.bundle, one.waiting, one.results, one.reason) == (NEXT, 1, 0, None)


def test_tenures_begin_with_the_champion(challenged: Site) -> None:
    found = standing.tenures(challenged.connection)

    assert [(one.role, one.digest, one.to_at) for one in found] == [
        (BundleRole.CHAMPION, CHAMPION, None),
        (CHALLENGER, OTHER, None),
    ]


def test_the_report_agrees_with_the_view(challenged: Site) -> None:
    risks = {
        "same": ((0.1, 0.2, 0.3, 0.7), (0.1, 0.2, 0.3, 0.7)),
        "up": ((0.1, 0.2, 0.3, 0.4), (0.55, 0.2, 0.3, 0.9)),
        "down": ((0.7, 0.9, 0.55, 0.1), (0.55, 0.1, 0.1, 0.1)),
        "gone": ((0.1, 0.1, 0.1, 0.1), (0.9, 0.9, 0.9, 0.9)),
    }
    for name, (of_champion, _) in risks.items():
        exported = facts(name, patient_key="p", edit_at=EDITED)
        challenged.arrive(scored(exported, of_champion), name)
    challenge(challenged, *(scored(facts(name), after) for name, (_, after) in risks.items()))
    later = EDITED + timedelta(days=1)
    newer = facts("newer", patient_key="p", ecg_id="gone", edit_at=later)
    challenged.arrive(scored(newer), "newer")

    found = flips(pairs(challenged.connection, CHAMPION, OTHER))

    rows = challenged.connection.execute(text("SELECT * FROM v_bundle_comparison")).all()
    viewed = {row.task: row for row in rows}
    assert [one.task for one in found] == [*Vessel, "any_vessel"]
    for one in found:
        row, counts = viewed[one.task], one.counts
        assert one.n_ecgs == row.n_ecgs == 3
        assert sum(counts[i][i] for i in range(3)) == row.n_same_stratum
        assert sum(counts[i][j] for i in range(3) for j in range(3) if j > i) == row.n_up
        assert sum(counts[i][j] for i in range(3) for j in range(3) if j < i) == row.n_down
        assert one.agreement == (
            None if row.agreement is None else pytest.approx(float(row.agreement))
        )
        assert one.mean_shift == pytest.approx(row.mean_shift)
        assert one.mean_abs_shift == pytest.approx(row.mean_abs_shift)
    rca = found[0]
    assert (rca.n_patients, rca.become_high, rca.leave_high) == (1, 0, 1)
    assert asdict(rca)["counts"] == ((1, 1, 0), (0, 0, 0), (0, 1, 0))
    none = pairs(challenged.connection, CHAMPION, OTHER, datetime.fromisoformat("2100-01-01"))
    assert list(none) == []


def test_a_bundle_keeps_its_name_for_those_who_look_it_up(challenged: Site) -> None:
    moved = replace(NEXT, location="/elsewhere")
    bundles.register(challenged.connection, moved, STRATA)

    assert moved in bundles.all_known(challenged.connection)
