"""What people see: the views, and the typed rows made of them."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, inspect, select, text, update

from ecgbatch.errors import SetupFault
from ecgbatch.records import Quarantined, WorkUnit
from ecgbatch.store import audit, bundles, ledger, overview, queries
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.tables import audit as audit_table
from ecgbatch.store.tables import item, work
from ecgbatch.terms import Disposition, ReasonCode, Stratum, Vessel
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

LATEST_RISK = [
    "recording_id",
    "patient_key",
    "accession",
    "ecg_id",
    "ecg_date",
    "ecg_date_source",
    "device",
    "site",
    "age_years",
    "sex",
    "statement_normal",
    "outside_intended_use",
    "risk_rca",
    "risk_lm",
    "risk_lad",
    "risk_lcx",
    "stratum_rca",
    "stratum_lm",
    "stratum_lad",
    "stratum_lcx",
    "near_cut_rca",
    "near_cut_lm",
    "near_cut_lad",
    "near_cut_lcx",
    "any_vessel_risk",
    "any_vessel_stratum",
    "scored_at",
    "bundle_name",
    "bundle_version",
    "is_clinical",
    "is_current_bundle",
    "result_id",
    "bundle_digest",
]

FAILED = Quarantined(None, ReasonCode.XML_INVALID, "decode")
UNSUPPORTED = Quarantined(None, ReasonCode.FORMAT_UNKNOWN, "decode")


def test_latest_risk_has_the_columns_of_the_contract(inbox: Site) -> None:
    columns = inspect(inbox.connection).get_columns("v_latest_risk")

    assert [column["name"] for column in columns] == LATEST_RISK


def test_every_view_with_a_risk_names_the_bundle(inbox: Site) -> None:
    inspector = inspect(inbox.connection)
    for view in inspector.get_view_names():
        columns = {column["name"] for column in inspector.get_columns(view)}
        if any("risk" in column for column in columns):
            assert {"bundle_name", "bundle_version", "is_clinical"} <= columns


def test_latest_risk_is_one_typed_row_per_ecg(inbox: Site) -> None:
    acquired = datetime(2020, 2, 29, 23, 59, 1)  # noqa: DTZ001 - the file's wall clock
    inbox.arrive(scored(facts("e1", acquired_at=acquired, age_years=61.5)), "a")
    inbox.arrive(scored(facts("e1", acquired_at=acquired, age_years=61.5)), "copy")

    (row,) = queries.latest_risks(inbox.connection, 10)

    assert (row.ecg_date, row.ecg_date_source) == (acquired, "acquired_at")
    assert (row.age_years, row.is_clinical, row.is_current_bundle) == (61.5, False, True)
    assert row.vessels[Vessel.LCX] == queries.VesselRisk(0.7, Stratum.HIGH, near_cut=False)
    assert row.vessels[Vessel.LM].stratum is None
    assert (row.bundle_name, row.bundle_version) == ("demo", "1")
    assert row.scored_at.utcoffset() == timedelta(0)


def test_ecg_without_a_date_is_dated_by_its_arrival(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")

    (row,) = queries.latest_risks(inbox.connection, 10)

    seen = ledger.now(inbox.connection).replace(tzinfo=None)
    assert row.ecg_date_source == "first_seen_at"
    assert abs(seen - row.ecg_date) < timedelta(minutes=5)


def test_ecgs_are_ordered_by_their_date_whichever_it_is(inbox: Site) -> None:
    for name, year in (("old", 1999), ("newer", 2005)):
        date = datetime(year, 1, 1)  # noqa: DTZ001 - a wall clock
        inbox.arrive(scored(facts(name, acquired_at=date)), name)
    inbox.arrive(scored(facts("undated")), "undated")

    rows = queries.latest_risks(inbox.connection, 2)
    assert [row.ecg_date_source for row in rows] == ["first_seen_at", "acquired_at"]
    assert rows[1].ecg_date.year == 2005
    assert len(queries.latest_risks(inbox.connection)) == 3


def test_new_champion_s_result_replaces_the_old_one_s_ecg_by_ecg(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1"), (0.1, 0.1, 0.1, 0.1)), "a")
    inbox.arrive(scored(facts("e2"), (0.1, 0.1, 0.1, 0.1)), "b")
    bundles.register(inbox.connection, BundleRow(OTHER, "next", "2", False), ())
    activate(inbox.connection, OTHER)
    rescore(inbox, "a", (0.9, 0.9, 0.9, 0.9))

    shown = {row.bundle_name: row for row in queries.latest_risks(inbox.connection)}

    assert shown["next"].any_vessel_risk == 0.9
    assert (shown["next"].is_current_bundle, shown["demo"].is_current_bundle) == (True, False)


def test_clinical_champion_hides_results_of_a_demonstration(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    bundles.register(inbox.connection, BundleRow(OTHER, "clinical", "1", True), ())
    activate(inbox.connection, OTHER)

    assert queries.latest_risks(inbox.connection) == []


def test_newest_result_decides_also_when_it_is_a_rejection(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    bundles.register(inbox.connection, BundleRow(OTHER, "next", "2", False), ())
    activate(inbox.connection, OTHER)
    (unit,) = requested(inbox, "a")
    inbox.finish(unit, rejected(facts("e1")))

    assert queries.latest_risks(inbox.connection) == []
    assert inbox.state("a") == [("rejected", "lead_flat")]


def test_failed_rescoring_is_a_failure_but_changes_no_disposition(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    (unit,) = requested(inbox, "a", CHAMPION)
    inbox.finish(unit, FAILED)

    assert inbox.state("a") == [("scored", None)]
    (failure,) = queries.failures(inbox.connection)
    assert (failure.disposition, failure.request) == (Disposition.FAILED, "rescore-1")
    assert queries.attention(inbox.connection) == 0


def test_failures_are_the_failed_unsupported_rejected_and_vanished(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "fine")
    inbox.arrive(rejected(facts("e2")), "rejected")
    inbox.arrive(FAILED, "failed")
    inbox.arrive(UNSUPPORTED, "unsupported")
    inbox.note(sighting("vanished"))
    inbox.connection.execute(
        update(item).where(item.c.locator == "vanished").values(state="vanished", reason="gone")
    )

    rows = {row.locator: row for row in queries.failures(inbox.connection)}

    assert {locator: row.disposition for locator, row in rows.items()} == {
        locator: Disposition(locator)
        for locator in ("rejected", "failed", "unsupported", "vanished")
    }
    assert rows["failed"].reason is ReasonCode.XML_INVALID
    assert rows["failed"].stage == "decode"
    assert "failed" not in repr(rows["failed"]).replace("Disposition.FAILED: 'failed'", "")


def test_attention_is_for_failed_and_unsupported_until_acknowledged(inbox: Site) -> None:
    inbox.arrive(rejected(facts("e2")), "rejected")
    inbox.arrive(FAILED, "failed")
    inbox.arrive(UNSUPPORTED, "unsupported")
    assert queries.attention(inbox.connection) == 2

    marked = audit.acknowledge(inbox.connection, "op", "old", ReasonCode.FORMAT_UNKNOWN, ())

    assert marked == 1
    assert queries.attention(inbox.connection) == 1
    assert queries.dispositions(inbox.connection)[Disposition.UNSUPPORTED] == 1


def test_acknowledging_by_item_leaves_what_is_fine_alone(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "fine")
    inbox.arrive(FAILED, "failed")
    ids = inbox.connection.execute(text("SELECT item_id FROM item ORDER BY item_id")).scalars()

    assert audit.acknowledge(inbox.connection, "op", "known", None, ids.all()) == 1
    assert audit.acknowledge(inbox.connection, "op", "again", None, []) == 0


def test_acknowledging_leaves_a_row_in_the_audit(inbox: Site) -> None:
    inbox.arrive(FAILED, "failed")
    audit.acknowledge(inbox.connection, "op", "known fault", ReasonCode.XML_INVALID, [])

    row = inbox.connection.execute(audit_table.select()).one()
    assert (row.actor, row.act, row.selector) == ("op", "acknowledge", "code=xml_invalid")
    assert (row.reason, row.count) == ("known fault", 1)


def test_acknowledgement_is_cleared_when_the_item_is_worked_again(inbox: Site) -> None:
    inbox.arrive(FAILED, "a")
    audit.acknowledge(inbox.connection, "op", "known", ReasonCode.XML_INVALID, [])
    inbox.connection.execute(
        update(work).values(state="ready", reason="new", finished_at=None, stage=None)
    )
    (unit,) = inbox.claim()
    inbox.finish(unit, FAILED)

    assert queries.attention(inbox.connection) == 1


def test_run_health_counts_what_the_run_wrote(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    run_id = inbox.provenance.run_id
    ledger.end_run(inbox.connection, run_id, 0, {"scored": 1, "failed": 2}, canary="ok")

    row = (
        inbox.connection.execute(text("SELECT * FROM v_run_health WHERE kind = 'run-once'"))
        .mappings()
        .one()
    )
    assert (row["results_written"], row["scored"], row["failed"], row["rejected"]) == (1, 1, 2, 0)
    (run,) = queries.last_runs(inbox.connection, 5)
    assert (run.source_id, run.exit_code, run.canary) == (inbox.source_id, 0, "ok")
    assert run.duration_s is not None
    assert 0 <= run.duration_s < 300


def test_run_that_was_killed_stays_open(inbox: Site) -> None:
    (run,) = queries.last_runs(inbox.connection, 5)

    assert (run.ended_at, run.duration_s, run.exit_code) == (None, None, None)


def test_show_tells_everything_about_a_recording(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1", sex="F")), "a")
    inbox.arrive(scored(facts("e1", sex="F")), "copy")
    digest = facts("e1").file_digest

    detail = queries.show(inbox.connection, digest[:12].upper())

    assert queries.show(inbox.connection, str(detail.recording_id)) == detail
    assert detail.facts.file_digest == digest
    assert detail.facts.sex == "F"
    assert [one.disposition for one in detail.items] == ["scored", "duplicate"]
    (result,) = detail.results
    assert [one.task for one in result.scores] == list(Vessel)
    assert result.bundle_digest == CHAMPION
    assert [one.check for one in detail.findings] == ["leads"]


@pytest.mark.parametrize("record", ["999999", "abc", "f" * 12, "", "%", "ffffffffffff' OR 1=1"])
def test_unknown_record_is_said_to_be_unknown(inbox: Site, record: str) -> None:
    inbox.arrive(scored(facts("e1")), "a")

    with pytest.raises(SetupFault) as caught:
        queries.show(inbox.connection, record)

    assert caught.value.reason is ReasonCode.RECORD_UNKNOWN


def test_ambiguous_digest_asks_for_more_digits(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1", file_digest="a" * 64)), "a")
    inbox.arrive(scored(facts("e2", file_digest="a" * 63 + "b")), "b")

    with pytest.raises(SetupFault, match="more digits"):
        queries.show(inbox.connection, "a" * 12)
    assert queries.show(inbox.connection, "a" * 64).facts.ecg_id == "e1"


def test_recordings_are_known_once_something_was_read(inbox: Site) -> None:
    assert not overview.has_recordings(inbox.connection)
    inbox.arrive(scored(facts("e1")), "a")
    assert overview.has_recordings(inbox.connection)


def requested(inbox: Site, locator: str, bundle: str = OTHER) -> list[WorkUnit]:
    """An operator asked for a re-scoring of one item; claimed."""
    item_id = inbox.connection.execute(
        select(item.c.item_id).where(item.c.locator == locator)
    ).scalar_one()
    inbox.connection.execute(
        insert(work).values(
            item_id=item_id,
            bundle_digest=bundle,
            request="rescore-1",
            state="ready",
            reason="new",
            reason_class="environment",
        )
    )
    return inbox.claim(bundle=bundle)


def rescore(inbox: Site, locator: str, risks: tuple[float, ...]) -> None:
    (unit,) = requested(inbox, locator)
    inbox.finish(unit, scored(facts("e1"), risks))
