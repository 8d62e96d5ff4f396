"""What the report counts, against a small hospital counted by hand, on both databases."""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, text

from ecgbatch.records import Quarantined
from ecgbatch.store import ledger, reporting, reporting_strata, reporting_worklist
from ecgbatch.store.reporting import Period
from ecgbatch.terms import ANY_VESSEL, Disposition, ReasonCode, ResultOutcome, Stratum, Vessel
from tests.support.ledger import CHAMPION, Site, facts, rejected, scored


def _today(connection: Connection) -> Period:
    """Also when midnight passes within the test."""
    day = ledger.now(connection).date()
    return Period(day - timedelta(days=1), day + timedelta(days=1))


def test_a_period_has_both_its_days() -> None:
    period = Period(date(2026, 2, 27), date(2026, 3, 1))
    assert period.n_days == 3
    assert period.from_at == datetime(2026, 2, 27, tzinfo=UTC)
    assert period.to_at == datetime(2026, 3, 2, tzinfo=UTC)


def test_results_files_and_strata_as_counted_by_hand(inbox: Site, connection: Connection) -> None:
    inbox.arrive(scored(facts("a"), (0.1, 0.9, 0.2, 0.3)), "a")  # low in any vessel, LM apart
    inbox.arrive(scored(facts("b"), (0.1, 0.2, 0.3, 0.7)), "b")
    inbox.arrive(scored(facts("c"), (1.0, 0.2, 0.55, 0.7)), "c")
    inbox.arrive(rejected(facts("d")), "d")
    inbox.arrive(Quarantined(None, ReasonCode.FORMAT_PDF, "decode"), "e")
    period = _today(connection)

    hours = reporting.hours(connection, period)
    assert sum(one.results for one in hours if one.outcome is ResultOutcome.SCORED) == 3
    assert sum(one.results for one in hours if one.outcome is ResultOutcome.REJECTED) == 1
    assert all(period.from_at <= one.hour < period.to_at for one in hours)

    items = {(one.disposition, one.reason): one for one in reporting.items(connection, period)}
    assert {key: one.items for key, one in items.items()} == {
        (Disposition.SCORED, None): 3,
        (Disposition.REJECTED, ReasonCode.LEAD_FLAT): 1,
        (Disposition.UNSUPPORTED, ReasonCode.FORMAT_PDF): 1,
    }
    assert items[Disposition.UNSUPPORTED, ReasonCode.FORMAT_PDF].unacknowledged == 1

    strata = {
        (one.task, one.stratum): one.ecgs for one in reporting_strata.strata(connection, period)
    }
    assert strata[ANY_VESSEL, Stratum.LOW] == 1
    assert strata[ANY_VESSEL, Stratum.HIGH] == 2
    assert strata[Vessel.LAD, Stratum.INTERMEDIATE] == 1
    assert strata[Vessel.LM, None] == 3

    bins = {(one.task, one.place): one.ecgs for one in reporting_strata.bins(connection, period)}
    assert bins[Vessel.RCA, 2] == 2
    assert bins[Vessel.RCA, 19] == 1, "a risk of 1 lies in the last bin"
    assert bins[Vessel.LM, 18] == 1
    assert sum(ecgs for (task, _), ecgs in bins.items() if task == ANY_VESSEL) == 3

    (shown,) = reporting_strata.bundles(connection, {CHAMPION})
    assert shown.is_champion
    assert shown.since is not None
    assert period.from_at <= shown.since < period.to_at
    assert shown.experimental == {"LM"}
    assert shown.strata[ANY_VESSEL, Stratum.HIGH].cut_from == 0.6


def test_worklist_is_in_order_of_risk_and_cut_to_its_length(
    inbox: Site, connection: Connection
) -> None:
    for name, risk in (("a", 0.7), ("b", 0.95), ("c", 0.8), ("d", 0.3)):
        inbox.arrive(scored(facts(name, accession=f"A-{name}"), (risk, 0.99, 0.1, 0.1)), name)
    period = _today(connection)

    entries = reporting_worklist.worklist(connection, period, 2)
    assert [(one.accession, one.any_vessel_risk) for one in entries] == [
        ("A-b", 0.95),
        ("A-c", 0.8),
    ]
    assert entries[0].high_vessels == "RCA"
    assert entries[0].vessels[Vessel.LM] == (0.99, None)
    assert reporting_worklist.length(connection, period) == 3
    assert "A-b" not in repr(entries[0])

    places = reporting_worklist.places(connection, [one.recording_id for one in entries])
    assert [place.locator for place in places[entries[0].recording_id]] == ["b"]
    assert places[entries[0].recording_id][0].file_digest == facts("b").file_digest
    assert "inbox" not in repr(places)


def test_what_lies_outside_the_period_is_not_counted(inbox: Site, connection: Connection) -> None:
    inbox.arrive(scored(facts("a")), "a")
    yesterday = ledger.now(connection).date() - timedelta(days=1)
    earlier = Period(yesterday - timedelta(days=2), yesterday)
    assert reporting.hours(connection, earlier) == []
    assert reporting.items(connection, earlier) == []
    assert reporting.runs(connection, earlier) == []
    assert reporting_strata.strata(connection, earlier) == []
    assert reporting_strata.bins(connection, earlier) == []
    assert reporting.gates(connection, earlier) == []
    assert reporting_worklist.worklist(connection, earlier, 5) == []


def test_runs_are_grouped_by_how_they_ended(inbox: Site, connection: Connection) -> None:
    inbox.arrive(scored(facts("a")), "a")
    ledger.end_run(connection, inbox.provenance.run_id, 0, {"scored": 1})
    killed = ledger.start_run(connection, "work", inbox.source_id, "w2")
    period = _today(connection)
    found = {
        (one.kind, one.exit_code): (one.runs, one.results)
        for one in reporting.runs(connection, period)
    }
    assert found == {("run-once", 0): (1, 1), ("work", None): (1, 0)}
    newest = reporting.newest_runs(connection, period, 5)
    assert [one.run_id for one in newest] == [killed, inbox.provenance.run_id]
    assert connection.execute(text("SELECT COUNT(*) FROM run")).scalar_one() == 3


def test_findings_of_the_checks_are_added_up(inbox: Site, connection: Connection) -> None:
    inbox.arrive(scored(facts("a")), "a")
    inbox.arrive(scored(facts("b")), "b")
    inbox.arrive(rejected(facts("c")), "c")
    found = {
        (one.check, one.reason, one.refuses): one.findings
        for one in reporting.gates(connection, _today(connection))
    }
    assert found == {
        ("leads", ReasonCode.LEADS_NEARLY_EQUAL, False): 2,
        ("flat", ReasonCode.LEAD_FLAT, True): 1,
    }
