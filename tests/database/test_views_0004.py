"""Worklist, history and figures against small cases computed by hand."""

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text

from ecgbatch.store import bundles, ledger, patients
from ecgbatch.store.bundles import BundleRow
from ecgbatch.terms import ANY_VESSEL, BundleRole, Vessel
from tests.support.ledger import (
    CHAMPION,
    OTHER,
    Site,
    activate,
    facts,
    rejected,
    scored,
    sighting,
)

RESERVED = {"at", "check", "limit", "order", "window"}
HIGH, LOW = (0.9, 0.95, 0.1, 0.7), (0.1, 0.1, 0.2, 0.1)
"""RCA, LM (experimental), LAD, LCX; the cuts are 0.5 and 0.6 for all."""


def rows(connection: Connection, statement: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(statement)).mappings()]


def day(year: int) -> datetime:
    return datetime(year, 3, 1, 12)  # noqa: DTZ001 - a cart's wall clock


def arrive(inbox: Site, name: str, risks: tuple[float, ...], **known: object) -> None:
    inbox.arrive(scored(facts(name, **known), risks), name)


def challenge(inbox: Site, name: str, risks: tuple[float, ...]) -> None:
    """The challenger scores an ECG that the champion has scored."""
    (unit,) = inbox.claim(bundle=OTHER)
    inbox.finish(unit, scored(facts(name), risks))


def today(inbox: Site) -> date:
    return ledger.now(inbox.connection).date()


def on(shown: object) -> date:
    return shown if isinstance(shown, date) else date.fromisoformat(str(shown))


def test_no_column_is_reserved_somewhere(connection: Connection) -> None:
    inspector = inspect(connection)
    for view in inspector.get_view_names():
        assert RESERVED.isdisjoint(column["name"] for column in inspector.get_columns(view))


def test_worklist_has_the_high_ones_within_intended_use_and_their_vessels(inbox: Site) -> None:
    arrive(inbox, "high", HIGH)
    arrive(inbox, "low", LOW)
    inbox.arrive(rejected(facts("rejected")), "rejected")
    outside = replace(scored(facts("outside"), HIGH), outside_intended_use=True)
    inbox.arrive(outside, "outside")

    (row,) = rows(inbox.connection, "SELECT * FROM v_worklist")

    assert row["ecg_id"] == "high"
    assert row["high_vessels"] == "RCA, LCX"  # LM is higher, but experimental
    assert (row["n_earlier"], row["earlier_strata"]) == (None, None)
    assert bool(row["near_cut"]) is False


@pytest.mark.parametrize(("vessel", "is_near"), [(Vessel.LM, False), (Vessel.LAD, True)])
def test_an_experimental_vessel_near_a_cut_is_no_matter_of_the_worklist(
    inbox: Site, vessel: Vessel, is_near: bool
) -> None:
    given = scored(facts("near"), HIGH)
    tasks = tuple(replace(one, near_cut=one.risk.task is vessel) for one in given.assessment.tasks)
    inbox.arrive(replace(given, assessment=replace(given.assessment, tasks=tasks)), "near")

    (row,) = rows(inbox.connection, "SELECT near_cut FROM v_worklist")

    assert bool(row["near_cut"]) is is_near


def test_worklist_lists_the_patient_s_earlier_ecgs_under_the_same_bundle(inbox: Site) -> None:
    for year, risks, key in (
        (2021, LOW, "old"),
        (2022, HIGH, "new"),
        (2020, (0.55, 0.1, 0.1, 0.1), "new"),
        (2023, LOW, "new"),
        (2021, HIGH, "other"),
    ):
        arrive(inbox, f"{key}{year}", risks, acquired_at=day(year), patient_key=key)
    patients.merge(inbox.connection, "old", "new", actor="op", why="test")

    listed = {
        row["ecg_id"]: (row["patient_key"], row["n_earlier"], row["earlier_strata"])
        for row in rows(inbox.connection, "SELECT * FROM v_worklist")
    }

    assert listed == {
        "new2022": ("new", 2, "2020-03-01 intermediate; 2021-03-01 low"),
        "other2021": ("other", 0, ""),
    }


@pytest.mark.parametrize("asked", ["COUNT(*)", "any_vessel_stratum", "risk_lad"])
def test_postgresql_reads_scores_only_for_a_vessel_s_risk(
    connection: Connection, asked: str
) -> None:
    if connection.dialect.name != "postgresql":
        pytest.skip("SQLite looks into the index all the same")
    plan = connection.execute(text(f"EXPLAIN SELECT {asked} FROM v_latest_risk")).scalars()

    assert any(" on score " in step for step in plan) is (asked == "risk_lad")


def test_history_numbers_the_ecgs_of_a_merged_patient_by_date(inbox: Site) -> None:
    arrive(inbox, "second", HIGH, acquired_at=day(2021), patient_key="old")
    arrive(inbox, "first", LOW, acquired_at=day(2020), patient_key="new")
    arrive(inbox, "last", LOW, patient_key="new")  # dated by its arrival
    arrive(inbox, "nobody", LOW)
    patients.merge(inbox.connection, "old", "new", actor="op", why="test")

    shown = rows(inbox.connection, "SELECT * FROM v_patient_history ORDER BY ecg_number")

    assert [(row["ecg_number"], row["ecg_id"]) for row in shown] == [
        (1, "first"),
        (2, "second"),
        (3, "last"),
    ]
    assert {(row["patient_key"], row["n_ecgs"]) for row in shown} == {("new", 3)}


def test_a_copy_that_lay_there_earlier_dates_an_ecg_without_a_date(inbox: Site) -> None:
    inbox.note(sighting("copy"))
    first = ledger.now(inbox.connection)
    inbox.note(sighting("late"))
    inbox.admit()
    for unit in sorted(inbox.claim(), key=lambda unit: -unit.item_id):
        inbox.finish(unit, scored(facts("e1"), LOW))

    (row,) = rows(inbox.connection, "SELECT ecg_date, ecg_date_source FROM v_latest_risk")

    assert datetime.fromisoformat(str(row["ecg_date"])) < first.replace(tzinfo=None)
    assert row["ecg_date_source"] == "first_seen_at"


def test_strata_are_counted_by_day_and_task(inbox: Site) -> None:
    arrive(inbox, "e1", HIGH)
    arrive(inbox, "e2", LOW)
    arrive(inbox, "e3", LOW)

    shown = rows(inbox.connection, "SELECT * FROM v_strata_daily")

    counted = {(row["task"], row["stratum"]): (row["n_ecgs"], row["mean_risk"]) for row in shown}
    assert {on(row["scored_on"]) for row in shown} == {today(inbox)}
    assert counted == {
        ("RCA", "high"): (1, pytest.approx(0.9)),
        ("RCA", "low"): (2, pytest.approx(0.1)),
        ("LM", None): (3, pytest.approx((0.95 + 0.1 + 0.1) / 3)),
        ("LAD", "low"): (3, pytest.approx((0.1 + 0.2 + 0.2) / 3)),
        ("LCX", "high"): (1, pytest.approx(0.7)),
        ("LCX", "low"): (2, pytest.approx(0.1)),
        (ANY_VESSEL, "high"): (1, pytest.approx(0.9)),
        (ANY_VESSEL, "low"): (2, pytest.approx(0.2)),
    }


def test_gates_are_shares_of_the_champion_s_results_of_the_day(inbox: Site) -> None:
    bundles.register(inbox.connection, BundleRow(OTHER, "next", "2", False), ())
    activate(inbox.connection, OTHER, BundleRole.CHALLENGER)
    for name in ("e1", "e2", "e3"):
        arrive(inbox, name, LOW)
        challenge(inbox, name, LOW)
    inbox.arrive(rejected(facts("e4")), "e4")

    shown = rows(inbox.connection, "SELECT * FROM v_gate_rates ORDER BY check_name")

    assert [
        (row["check_name"], row["lead"], bool(row["refuses"]), row["n_findings"], row["n_results"])
        for row in shown
    ] == [("flat", "V1", True, 1, 4), ("leads", "V2", False, 3, 4)]
    assert [row["share"] for row in shown] == [0.25, 0.75]
    assert {(type(row["share"]), type(row["n_results"])) for row in shown} == {(float, int)}
    assert {on(row["read_on"]) for row in shown} == {today(inbox)}


def test_challenger_is_compared_with_the_champion_over_ecgs_that_both_scored(inbox: Site) -> None:
    bundles.register(inbox.connection, BundleRow(OTHER, "next", "2", False), ())
    activate(inbox.connection, OTHER, BundleRole.CHALLENGER)
    arrive(inbox, "up", LOW)
    challenge(inbox, "up", (0.55, 0.3, 0.2, 0.1))
    arrive(inbox, "down", HIGH)
    challenge(inbox, "down", LOW)
    arrive(inbox, "same", LOW)
    challenge(inbox, "same", LOW)
    arrive(inbox, "alone", HIGH)

    shown = {
        row["task"]: row for row in rows(inbox.connection, "SELECT * FROM v_bundle_comparison")
    }

    assert set(shown) == {*Vessel, ANY_VESSEL}
    assert {(row["champion_digest"], row["bundle_digest"]) for row in shown.values()} == {
        (CHAMPION, OTHER)
    }
    rca, lm = shown[Vessel.RCA], shown[Vessel.LM]
    assert [rca[name] for name in ("n_ecgs", "n_same_stratum", "n_up", "n_down")] == [3, 1, 1, 1]
    assert type(rca["agreement"]) is float  # not numeric, on PostgreSQL either
    assert rca["agreement"] == pytest.approx(1 / 3)
    assert rca["mean_shift"] == pytest.approx((0.45 - 0.8 + 0) / 3)
    assert rca["mean_abs_shift"] == pytest.approx((0.45 + 0.8 + 0) / 3)
    assert (lm["n_ecgs"], lm["n_same_stratum"], lm["agreement"]) == (3, 0, None)


def test_figures_of_strata_can_be_joined(inbox: Site) -> None:
    arrive(inbox, "e1", HIGH)

    (row,) = rows(
        inbox.connection,
        "SELECT b.* FROM v_strata_daily d JOIN v_bundle_stratum b"
        " ON b.bundle_digest = d.bundle_digest AND b.task = d.task AND b.stratum = d.stratum"
        " WHERE d.task = 'RCA'",
    )

    assert (row["cut_from"], row["share"], row["bundle_name"]) == (0.6, 0.3, "demo")
