"""How work ends: result, scores, findings and state together."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Table, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from ecgbatch.errors import EcgbatchError
from ecgbatch.records import Facts, Finding, Finish, NotYet, Quarantined, RetryLater
from ecgbatch.store import audit, ledger
from ecgbatch.store.tables import (
    audit as audit_table,
)
from ecgbatch.store.tables import event, finding, item, recording, result, score, work
from ecgbatch.terms import Disposition, ReasonCode, Vessel
from tests.support.ledger import Site, facts, rejected, scored, sighting

INCOMPLETE = NotYet(facts("half"), ReasonCode.INCOMPLETE, "decode")


def count(inbox: Site, table: object) -> int:
    return int(inbox.connection.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


def test_scored_ecg_has_a_result_and_a_score_per_vessel(inbox: Site) -> None:
    shown = inbox.arrive(scored(facts("e1"), (0.1, 0.2, 0.3, 0.7)), "a")

    assert shown == Finish(Disposition.SCORED, None)
    rows = inbox.connection.execute(select(score.c.task, score.c.probability, score.c.stratum))
    assert {row.task: (row.probability, row.stratum) for row in rows} == {
        "RCA": (0.1, "low"),
        "LM": (0.2, None),
        "LAD": (0.3, "low"),
        "LCX": (0.7, "high"),
    }
    row = inbox.connection.execute(select(result)).one()
    assert (row.any_vessel_risk, row.any_vessel_stratum, row.outcome) == (0.7, "high", "scored")
    assert (row.reader, row.runtime, row.precision) == ("muse", "eager", "fp32")
    assert inbox.state("a") == [("scored", None)]


def test_rejected_ecg_has_a_result_without_scores(inbox: Site) -> None:
    shown = inbox.arrive(rejected(facts("e1")), "a")

    assert shown == Finish(Disposition.REJECTED, ReasonCode.LEAD_FLAT)
    assert (count(inbox, result), count(inbox, score)) == (1, 0)
    assert inbox.current() == set()


def test_corrupt_file_has_a_recording_too(inbox: Site) -> None:
    shown = inbox.arrive(Quarantined(Facts("c" * 64), ReasonCode.CHECKSUM_MISMATCH, "decode"), "a")

    assert shown == Finish(Disposition.FAILED, ReasonCode.CHECKSUM_MISMATCH)
    row = inbox.connection.execute(select(recording)).one()
    assert (row.file_digest, row.signal_digest) == ("c" * 64, None)
    stage = inbox.connection.execute(select(work.c.stage)).scalar_one()
    assert stage == "decode"


def test_unread_format_is_unsupported_not_failed(inbox: Site) -> None:
    shown = inbox.arrive(Quarantined(None, ReasonCode.FORMAT_UNKNOWN, "decode"), "a")

    assert shown.disposition is Disposition.UNSUPPORTED
    assert inbox.state("a") == [("unsupported", "format_unknown")]


def test_findings_are_written_whether_they_refuse_or_not(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    inbox.arrive(rejected(facts("e2")), "b")

    rows = inbox.connection.execute(
        select(finding.c.check_name, finding.c.lead, finding.c.refuses).order_by(
            finding.c.finding_id
        )
    )
    assert [tuple(row) for row in rows] == [("leads", "V2", False), ("flat", "V1", True)]


def test_finding_for_the_whole_recording_has_an_empty_lead_and_no_infinite_number(
    inbox: Site,
) -> None:
    whole = Finding("noise", ReasonCode.LONG_RECORD, None, math.inf, math.nan)
    same = replace(whole, refuses=True)
    inbox.arrive(replace(scored(facts("e1")), findings=(same, whole)), "a")

    row = inbox.connection.execute(select(finding)).one()
    assert (row.lead, row.value, row.limit_value, row.refuses) == ("", None, None, True)


def test_byte_copy_is_a_duplicate_and_is_not_scored_again(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")

    shown = inbox.arrive(scored(facts("e1")), "copy")

    assert shown == Finish(Disposition.DUPLICATE, ReasonCode.SAME_BYTES)
    assert (count(inbox, result), count(inbox, recording), count(inbox, item)) == (1, 1, 2)
    assert inbox.state("copy") == [("duplicate", "same_bytes")]


def test_copy_of_a_rejected_ecg_is_a_duplicate(inbox: Site) -> None:
    inbox.arrive(rejected(facts("e1")), "a")

    assert inbox.arrive(rejected(facts("e1")), "copy").disposition is Disposition.DUPLICATE


def test_copy_of_a_failed_file_fails_itself(inbox: Site) -> None:
    failed = Quarantined(Facts("c" * 64), ReasonCode.CHECKSUM_MISMATCH, "decode")
    inbox.arrive(failed, "a")

    assert inbox.arrive(failed, "copy").disposition is Disposition.FAILED
    assert count(inbox, recording) == 1


def test_upgrade_scores_no_known_bytes_again(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    upgraded = replace(inbox, provenance=replace(inbox.provenance, pipeline_id="2-test"))

    shown = upgraded.arrive(scored(facts("e1"), (0.5, 0.5, 0.5, 0.5)), "copy")

    assert shown.disposition is Disposition.DUPLICATE
    assert count(inbox, result) == 1


def test_other_risk_under_the_same_key_stops_the_run(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1"), (0.1, 0.2, 0.3, 0.4)), "a")

    with pytest.raises(EcgbatchError) as caught:
        inbox.arrive(scored(facts("e1"), (0.1, 0.2, 0.3, 0.4001)), "copy")

    assert caught.value.reason is ReasonCode.NONDETERMINISTIC


def test_other_outcome_under_the_same_key_stops_the_run(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")

    with pytest.raises(EcgbatchError) as caught:
        inbox.arrive(rejected(facts("e1")), "copy")

    assert caught.value.reason is ReasonCode.NONDETERMINISTIC


def test_last_digits_may_differ_between_machines(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1"), (0.1, 0.2, 0.3, 0.4)), "a")

    shown = inbox.arrive(scored(facts("e1"), (0.1, 0.2, 0.3, 0.4 + 5e-7)), "copy")

    assert shown.disposition is Disposition.DUPLICATE


def test_incomplete_file_waits_out_the_grace_and_then_fails(inbox: Site) -> None:
    inbox.note(sighting("a"))
    inbox.admit()
    (unit,) = inbox.claim()
    assert inbox.finish(unit, INCOMPLETE, grace_s=60).disposition is Disposition.WAITING
    assert inbox.work_row(unit) == ("retry_wait", "incomplete", 0, 1)

    inbox.age("a", 61)
    (unit,) = inbox.claim()
    shown = inbox.finish(unit, INCOMPLETE, grace_s=60)

    assert shown == Finish(Disposition.FAILED, ReasonCode.INCOMPLETE)


def test_incomplete_file_that_grows_starts_its_grace_again(inbox: Site) -> None:
    inbox.note(sighting("a", "1"))
    inbox.admit()
    (unit,) = inbox.claim()
    inbox.finish(unit, INCOMPLETE, grace_s=60)
    inbox.age("a", 61)

    inbox.note(sighting("a", "2"))
    inbox.admit()
    (unit,) = inbox.claim()

    assert inbox.finish(unit, INCOMPLETE, grace_s=60).disposition is Disposition.WAITING


def test_vanished_item_that_was_read_all_the_same_is_scored(inbox: Site) -> None:
    inbox.note(sighting("a"))
    inbox.admit()
    (unit,) = inbox.claim()
    for _ in range(3):
        inbox.mark_missing()
    assert inbox.state("a") == [("vanished", "gone")]

    inbox.finish(unit, scored(facts("e1")))

    assert inbox.state("a") == [("scored", None)]


def test_failed_reading_of_known_bytes_wipes_nothing_out(inbox: Site) -> None:
    known = facts("e1", patient_key="p", age_years=61.0)
    inbox.arrive(scored(known), "a")
    inbox.arrive(Quarantined(Facts(known.file_digest), ReasonCode.READER_CRASHED, "decode"), "copy")

    row = inbox.connection.execute(select(recording)).one()
    assert (row.patient_key, row.age_years) == ("p", 61.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 1.1])
def test_no_probability_outside_0_to_1_can_be_stored(inbox: Site, bad: float) -> None:
    good = scored(facts("e1"))
    first, *rest = good.assessment.tasks
    task = replace(first, risk=replace(first.risk, probability=bad))
    outcome = replace(good, assessment=replace(good.assessment, tasks=(task, *rest)))

    with pytest.raises(DBAPIError), inbox.connection.begin_nested():
        inbox.arrive(outcome, "a")
    assert count(inbox, score) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_logit_that_is_not_finite_can_be_stored(inbox: Site, bad: float) -> None:
    good = scored(facts("e1"))
    first, *rest = good.assessment.tasks
    task = replace(first, risk=replace(first.risk, logit=bad))
    outcome = replace(good, assessment=replace(good.assessment, tasks=(task, *rest)))

    with pytest.raises(DBAPIError), inbox.connection.begin_nested():
        inbox.arrive(outcome, "a")


def test_no_any_vessel_risk_that_is_not_a_number_can_be_stored(inbox: Site) -> None:
    good = scored(facts("e1"))
    outcome = replace(good, assessment=replace(good.assessment, any_vessel_risk=math.nan))

    with pytest.raises(DBAPIError), inbox.connection.begin_nested():
        inbox.arrive(outcome, "a")


def test_only_an_experimental_task_may_lack_a_stratum(inbox: Site) -> None:
    good = scored(facts("e1"))
    tasks = tuple(
        replace(task, stratum=None) if task.risk.task is Vessel.LAD else task
        for task in good.assessment.tasks
    )

    with pytest.raises(DBAPIError), inbox.connection.begin_nested():
        inbox.arrive(replace(good, assessment=replace(good.assessment, tasks=tasks)), "a")


def test_unknown_states_and_reasonless_waits_cannot_be_stored(inbox: Site) -> None:
    inbox.note(sighting("a"))
    inbox.admit()
    for bad in (
        update(item).values(state="lost"),
        update(item).values(state="ignored", reason=None),
        update(work).values(state="done"),
        update(work).values(reason=None, reason_class=None),
        update(work).values(reason_class="bad luck"),
        update(work).values(state="leased"),
        update(work).values(state="retry_wait"),
        update(work).values(state="scored", reason=None, reason_class=None),
        update(work).values(attempts=-1),
    ):
        with pytest.raises(DBAPIError), inbox.connection.begin_nested():
            inbox.connection.execute(bad)


def test_results_scores_events_and_audit_are_append_only(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    audit.acknowledge(inbox.connection, "op", "test", ReasonCode.INCOMPLETE, ())
    for change in (
        update(result).values(any_vessel_risk=0.0),
        update(score).values(probability=0.0),
        update(event).values(reason="new"),
        update(audit_table).values(actor="nobody"),
        *(delete(table) for table in (score, result, event, audit_table)),
    ):
        with pytest.raises(DBAPIError), inbox.connection.begin_nested():
            inbox.connection.execute(change)


def test_result_key_is_unique_in_the_database_itself(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")
    row = dict(inbox.connection.execute(select(result)).mappings().one())
    del row["result_id"]

    with pytest.raises(DBAPIError), inbox.connection.begin_nested():
        inbox.connection.execute(insert(result).values(row))


def test_ledger_balances_over_every_disposition(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "scored")
    inbox.arrive(scored(facts("e1")), "copy")
    inbox.arrive(rejected(facts("e2")), "rejected")
    inbox.arrive(Quarantined(None, ReasonCode.FORMAT_UNKNOWN, "decode"), "unsupported")
    inbox.arrive(Quarantined(None, ReasonCode.XML_INVALID, "decode"), "failed")
    inbox.arrive(Quarantined(None, ReasonCode.XML_INVALID, "decode"), "changed", "1")
    inbox.note(sighting("changed", "2"))

    counts = ledger.balance(inbox.connection)

    assert sum(counts.values()) == count(inbox, item) == 7
    assert counts == {
        Disposition.WAITING: 1,
        Disposition.SCORED: 1,
        Disposition.REJECTED: 1,
        Disposition.UNSUPPORTED: 1,
        Disposition.FAILED: 1,
        Disposition.DUPLICATE: 1,
        Disposition.SUPERSEDED: 1,
        Disposition.VANISHED: 0,
        Disposition.IGNORED: 0,
    }


def test_admitted_item_without_work_unbalances_the_ledger(inbox: Site) -> None:
    inbox.note(sighting("a"))
    inbox.admit()
    inbox.connection.execute(delete(work))

    with pytest.raises(EcgbatchError) as caught:
        ledger.balance(inbox.connection)

    assert caught.value.reason is ReasonCode.LEDGER_UNBALANCED


def test_empty_ledger_balances(inbox: Site) -> None:
    assert set(ledger.balance(inbox.connection).values()) == {0}


def test_disposition_of_an_item_is_one_row(inbox: Site) -> None:
    for number in range(5):
        inbox.arrive(scored(facts(f"e{number}")), f"{number}")

    rows = inbox.connection.execute(text("SELECT COUNT(*) FROM v_disposition")).scalar_one()
    assert rows == 5


UNREADABLE = RetryLater(ReasonCode.READ_FAILED, "read")


def test_file_that_stays_unreadable_has_failed_after_a_while(inbox: Site) -> None:
    inbox.note(sighting("a"))
    inbox.admit()
    waits = {"next_at": ledger.now(inbox.connection)}
    for _ in range(2):
        (unit,) = inbox.claim()
        assert inbox.finish(unit, UNREADABLE).disposition is Disposition.WAITING
        inbox.connection.execute(update(work).values(**waits))
    day_ago = ledger.now(inbox.connection) - timedelta(seconds=86_400)
    inbox.connection.execute(update(work).values(fault_since=day_ago))
    (unit,) = inbox.claim()

    shown = inbox.finish(unit, UNREADABLE)

    assert shown == Finish(Disposition.FAILED, ReasonCode.READ_FAILED)
    assert inbox.state("a") == [("failed", "read_failed")]


@pytest.mark.parametrize("reason", [ReasonCode.INCOMPLETE, ReasonCode.DATABASE_UNAVAILABLE])
def test_other_waits_end_the_time_of_being_unreadable(inbox: Site, reason: ReasonCode) -> None:
    inbox.note(sighting("a"))
    inbox.admit()
    (unit,) = inbox.claim()
    inbox.finish(unit, UNREADABLE)
    assert inbox.connection.execute(select(work.c.fault_since)).scalar_one() is not None
    inbox.connection.execute(update(work).values(next_at=ledger.now(inbox.connection)))
    (unit,) = inbox.claim()
    inbox.finish(unit, RetryLater(reason, "read"))

    assert inbox.connection.execute(select(work.c.fault_since)).scalar_one() is None


def test_change_of_an_unreadable_file_starts_its_time_again(inbox: Site) -> None:
    inbox.note(sighting("a", "1"))
    inbox.admit()
    (unit,) = inbox.claim()
    inbox.finish(unit, UNREADABLE)
    inbox.note(sighting("a", "2"))

    assert inbox.connection.execute(select(work.c.fault_since)).scalar_one() is None


def test_result_names_the_work_that_made_it(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")

    made_by = inbox.connection.execute(select(result.c.work_id)).scalar_one()
    assert made_by == inbox.connection.execute(select(work.c.work_id)).scalar_one()


@pytest.mark.parametrize("table", [event, audit_table])
def test_rows_without_a_hash_are_refused(inbox: Site, table: Table) -> None:
    """A worker of the version before it fails whole, and half of nothing is written."""
    inbox.arrive(scored(facts("e1")), "a")
    audit.acknowledge(inbox.connection, "op", "test", ReasonCode.INCOMPLETE, ())
    row = dict(inbox.connection.execute(select(table).limit(1)).mappings().one())
    del row[next(iter(row))]
    bare = row | {"hash": None, "prev_hash": None} | ({"seq": 9} if table is event else {})

    with pytest.raises(DBAPIError), inbox.connection.begin_nested():
        inbox.connection.execute(insert(table).values(bare))
