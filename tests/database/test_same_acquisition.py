"""Two exports of one acquisition: which are linked, and which is current. One test per sentence."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update

from ecgbatch.identity import Pseudonymiser, facts_of_refused
from ecgbatch.records import Facts, Identity, Letterhead, Quarantined
from ecgbatch.store import ledger, linking
from ecgbatch.store.acquisition import Place, Version, is_same_acquisition, order, place
from ecgbatch.store.tables import event, item, recording
from ecgbatch.store.tables_ledger import supersession
from ecgbatch.terms import Disposition, ReasonCode
from tests.support.ledger import Site, facts, rejected, scored, sighting

EARLY, LATE = datetime(2026, 1, 1, 8), datetime(2026, 1, 2, 8)  # noqa: DTZ001 - wall clocks


def of_acquisition(name: str, **known: object) -> Facts:
    """An export with its own bytes, signal and ECG id, of the acquisition `k` of patient `p`."""
    return facts(name, **{"acquisition_key": "k", "patient_key": "p", **known})


def events_of(inbox: Site, kind: str) -> int:
    return len(inbox.connection.execute(select(event).where(event.c.kind == kind)).all())


# What links


def test_equal_acquisition_keys_link(inbox: Site) -> None:
    inbox.arrive(scored(of_acquisition("old", edit_at=EARLY)), "a")
    inbox.arrive(scored(of_acquisition("new", edit_at=LATE)), "b")

    assert inbox.current() == {"new"}
    assert inbox.state("a") == [("superseded", "same_acquisition")]
    assert events_of(inbox, "superseded") == 1


def test_equal_ecg_ids_link(inbox: Site) -> None:
    inbox.arrive(scored(facts("old", ecg_id="vendor 1", edit_at=EARLY)), "a")
    inbox.arrive(scored(facts("new", ecg_id="vendor 1", edit_at=LATE)), "b")

    assert inbox.state("a") == [("superseded", "same_acquisition")]
    assert inbox.state("b") == [("scored", None)]


def test_equal_signals_that_no_gate_refused_link(inbox: Site) -> None:
    inbox.arrive(scored(facts("old", signal_digest="s", edit_at=EARLY)), "a")
    inbox.arrive(scored(facts("new", signal_digest="s", edit_at=LATE)), "b")

    assert inbox.current() == {"new"}


def test_equal_signals_that_a_gate_refused_do_not_link(inbox: Site) -> None:
    flat = {"signal_digest": "all zero"}
    inbox.arrive(rejected(facts("one", patient_key="p", **flat)), "a")
    inbox.arrive(rejected(facts("two", patient_key="q", **flat)), "b")

    assert inbox.state("a") == inbox.state("b") == [("rejected", "lead_flat")]


def test_same_locator_links_where_neither_names_a_patient(inbox: Site) -> None:
    inbox.arrive(scored(facts("old")), "a", "1")
    inbox.arrive(scored(facts("new")), "a", "2")

    assert inbox.current() == {"new"}
    assert inbox.state("a") == [("superseded", "same_acquisition"), ("scored", None)]


@pytest.mark.parametrize(("first", "second"), [("p", "q"), ("p", None), (None, "q"), ("p", "p")])
def test_reused_file_name_alone_never_links(
    inbox: Site, first: str | None, second: str | None
) -> None:
    inbox.arrive(scored(facts("monday", patient_key=first)), "ecg.xml", "1")
    inbox.arrive(scored(facts("tuesday", patient_key=second)), "ecg.xml", "2")

    assert inbox.current() == {"monday", "tuesday"}


def test_different_acquisitions_of_one_patient_stay_apart(inbox: Site) -> None:
    inbox.arrive(scored(of_acquisition("one", acquisition_key="k1")), "a")
    inbox.arrive(scored(of_acquisition("two", acquisition_key="k2")), "b")

    assert inbox.current() == {"one", "two"}


def test_missing_keys_are_not_equal_keys(inbox: Site) -> None:
    nothing = {"acquisition_key": None, "ecg_id": None, "signal_digest": "one"}
    inbox.arrive(scored(facts("one", **nothing)), "a")
    inbox.arrive(scored(facts("two", **{**nothing, "signal_digest": "two"})), "b")

    assert inbox.state("a") == inbox.state("b") == [("scored", None)]


PSEUDONYMISER = Pseudonymiser(b"k" * 32, "MRN", {"unknown"})
STATED = Identity("4711", EARLY, device="MAC 1")


def key_of(identity: Identity) -> str | None:
    letterhead = Letterhead("muse", "muse", "1", identity)
    return facts_of_refused(letterhead, "f" * 64, PSEUDONYMISER, "").acquisition_key


@pytest.mark.parametrize(
    "lacks",
    [
        {"patient_identifier": None},
        {"patient_identifier": "000000"},
        {"patient_identifier": "Unknown"},
        {"acquired_at": None},
        {"device": None},
        {"device": "  "},
        {"device": "UNKNOWN"},
    ],
)
def test_without_patient_second_or_device_there_is_no_key(lacks: dict[str, str | None]) -> None:
    assert key_of(STATED) is not None
    assert key_of(replace(STATED, **lacks)) is None  # type: ignore[arg-type]


def test_keys_are_equal_to_the_second_and_never_beyond() -> None:
    parts = {"acquired_at": EARLY + timedelta(microseconds=900)}
    assert key_of(replace(STATED, **parts)) == key_of(STATED)
    for other in (
        {"patient_identifier": "4712"},
        {"acquired_at": EARLY + timedelta(seconds=1)},
        {"device": "MAC 2"},
    ):
        assert key_of(replace(STATED, **other)) != key_of(STATED)  # type: ignore[arg-type]


# What orders


def test_edit_time_comes_before_status(inbox: Site) -> None:
    inbox.arrive(scored(of_acquisition("old", edit_at=EARLY, edit_status="corrected")), "a")
    inbox.arrive(scored(of_acquisition("new", edit_at=LATE, edit_status="unconfirmed")), "b")

    assert inbox.current() == {"new"}


@pytest.mark.parametrize(
    ("older", "newer"),
    [("unconfirmed", "confirmed"), ("confirmed", "corrected"), ("unconfirmed", "corrected")],
)
def test_status_decides_at_equal_or_unknown_edit_time(inbox: Site, older: str, newer: str) -> None:
    inbox.arrive(scored(of_acquisition("new", edit_status=newer)), "a")
    inbox.arrive(scored(of_acquisition("old", edit_status=older)), "b")

    assert inbox.current() == {"new"}


def test_at_one_locator_the_later_bytes_are_the_newer(inbox: Site) -> None:
    inbox.arrive(scored(of_acquisition("old")), "a", "1")
    inbox.arrive(scored(of_acquisition("new")), "a", "2")

    assert inbox.current() == {"new"}


def test_others_name_the_current_one_and_since_when(inbox: Site) -> None:
    middle = EARLY + timedelta(hours=6)
    for name, edited in (("a", EARLY), ("b", middle), ("c", LATE)):
        inbox.arrive(scored(of_acquisition(name, edit_at=edited)), name)

    rows = inbox.connection.execute(select(recording).order_by(recording.c.recording_id)).all()
    by_name = {row.ecg_id: row for row in rows}
    assert by_name["c"].superseded_by is by_name["c"].superseded_at is None
    assert by_name["b"].superseded_by == by_name["c"].recording_id
    assert by_name["a"].superseded_by == by_name["b"].recording_id
    for name in "ab":
        assert by_name[name].superseded_at <= ledger.now(inbox.connection)
        assert by_name[name].superseded_reason == "same_acquisition"


def test_newest_that_arrived_first_stays_and_the_older_is_superseded_unscored(
    inbox: Site,
) -> None:
    inbox.arrive(scored(of_acquisition("new", edit_at=LATE)), "a")

    shown = inbox.arrive(scored(of_acquisition("old", edit_at=EARLY)), "b")

    assert (shown.disposition, shown.reason) == (
        Disposition.SUPERSEDED,
        ReasonCode.SAME_ACQUISITION,
    )
    assert inbox.current() == {"new"}
    results = inbox.connection.execute(text("SELECT COUNT(*) FROM result")).scalar_one()
    assert results == 1
    row = inbox.connection.execute(
        select(recording.c.superseded_by, recording.c.superseded_at).where(
            recording.c.ecg_id == "old"
        )
    ).one()
    assert row.superseded_by is not None
    assert row.superseded_at is not None


def test_copy_of_an_unscored_superseded_export_is_superseded_too(inbox: Site) -> None:
    inbox.arrive(scored(of_acquisition("new", edit_at=LATE)), "a")
    inbox.arrive(scored(of_acquisition("old", edit_at=EARLY)), "b")

    shown = inbox.arrive(scored(of_acquisition("old", edit_at=EARLY)), "copy")

    assert shown.disposition is Disposition.SUPERSEDED
    assert inbox.current() == {"new"}


def test_one_ecg_in_two_formats_the_first_scored_stays(inbox: Site) -> None:
    inbox.arrive(scored(of_acquisition("first", format="muse")), "a")
    inbox.arrive(scored(of_acquisition("second", format="wfdb")), "b")

    assert inbox.current() == {"first"}
    assert inbox.state("b") == [("superseded", "same_acquisition")]


def test_in_equal_order_the_scored_one_stays_over_the_rejected_one(inbox: Site) -> None:
    inbox.arrive(rejected(of_acquisition("bad export")), "a")
    inbox.arrive(scored(of_acquisition("good export")), "b")

    assert inbox.current() == {"good export"}
    assert inbox.state("a") == [("superseded", "same_acquisition")]


def test_three_exports_in_any_order_end_with_the_newest(inbox: Site) -> None:
    middle = datetime(2026, 1, 1, 20)  # noqa: DTZ001 - a wall clock
    inbox.arrive(scored(of_acquisition("new", edit_at=LATE)), "a")
    inbox.arrive(scored(of_acquisition("old", edit_at=EARLY)), "b")
    inbox.arrive(scored(of_acquisition("middle", edit_at=middle)), "c")

    assert inbox.current() == {"new"}


def test_chain_of_links_leads_to_the_current_one(inbox: Site) -> None:
    inbox.arrive(scored(facts("x", ecg_id="v", signal_digest="s1", edit_at=EARLY)), "a")
    inbox.arrive(scored(facts("y", ecg_id="v", signal_digest="s2", edit_at=LATE)), "b")

    # Linked by its signal to the superseded one alone, in equal order with the current one.
    inbox.arrive(scored(facts("z", ecg_id="w", signal_digest="s1")), "c")

    assert inbox.state("b") == [("scored", None)]
    assert inbox.state("c") == [("superseded", "same_acquisition")]


# Patients


def test_different_patients_in_order_are_a_corrected_patient(inbox: Site) -> None:
    inbox.arrive(scored(facts("old", ecg_id="v", patient_key="p", edit_at=EARLY)), "a")
    inbox.arrive(scored(facts("new", ecg_id="v", patient_key="q", edit_at=LATE)), "b")

    assert inbox.state("a") == [("superseded", "patient_corrected")]
    assert inbox.state("b") == [("scored", None)]
    assert events_of(inbox, "patient_corrected") == 1


def test_different_patients_without_order_leave_none_current(inbox: Site) -> None:
    inbox.arrive(scored(facts("one", ecg_id="v", patient_key="p")), "a")

    shown = inbox.arrive(scored(facts("two", ecg_id="v", patient_key="q")), "b")

    assert shown.reason is ReasonCode.IDENTITY_CONFLICT
    assert inbox.current() == set()
    for locator in ("a", "b"):
        assert inbox.state(locator) == [("superseded", "identity_conflict")]
    assert events_of(inbox, "identity_conflict") == 1


def test_conflict_is_not_ended_by_another_export_in_equal_order(inbox: Site) -> None:
    for number, patient in enumerate(("p", "q", "p")):
        inbox.arrive(scored(facts(f"{number}", ecg_id="v", patient_key=patient)), f"{number}")

    assert inbox.current() == set()


def test_newer_export_is_current_beside_a_conflict(inbox: Site) -> None:
    for name, patient, edited in (("a", "p", EARLY), ("b", "q", EARLY), ("c", "q", LATE)):
        inbox.arrive(scored(facts(name, ecg_id="v", patient_key=patient, edit_at=edited)), name)

    assert inbox.state("c") == [("scored", None)]
    assert inbox.state("a") == [("superseded", "identity_conflict")]


# Outcomes


def test_newest_that_is_rejected_leaves_nothing_current(inbox: Site) -> None:
    inbox.arrive(scored(of_acquisition("old", edit_at=EARLY)), "a")
    inbox.arrive(rejected(of_acquisition("new", edit_at=LATE)), "b")

    assert inbox.current() == set()
    assert inbox.state("b") == [("rejected", "lead_flat")]


def test_newest_that_failed_leaves_the_older_current(inbox: Site) -> None:
    inbox.arrive(scored(of_acquisition("old", edit_at=EARLY)), "a", "1")
    damaged = Quarantined(facts("new"), ReasonCode.CHECKSUM_MISMATCH, "decode")
    inbox.arrive(damaged, "a", "2")

    assert inbox.current() == {"old"}


def test_superseded_result_stays_in_the_table(inbox: Site) -> None:
    inbox.arrive(scored(of_acquisition("old", edit_at=EARLY)), "a")
    inbox.arrive(scored(of_acquisition("new", edit_at=LATE)), "b")

    rows = inbox.connection.execute(text("SELECT COUNT(*) FROM result")).scalar_one()
    assert rows == 2


VERSION = st.builds(
    Version,
    recording_id=st.integers(1, 9),
    acquisition_key=st.sampled_from([None, "k"]),
    patient_key=st.sampled_from([None, "p", "q"]),
    ecg_id=st.sampled_from([None, "v"]),
    signal_digest=st.sampled_from([None, "s"]),
    edit_at=st.sampled_from([None, EARLY, LATE]),
    edit_status=st.sampled_from([None, "unconfirmed", "confirmed", "corrected", "odd"]),
    is_scored=st.booleans(),
    here=st.sampled_from([None, (EARLY, 1), (LATE, 2), (EARLY, 3)]),
    is_in_conflict=st.booleans(),
)


@settings(deadline=None, max_examples=200)
@given(VERSION, VERSION)
def test_linking_is_mutual_and_order_turns_round(one: Version, other: Version) -> None:
    assert is_same_acquisition(one, other) == is_same_acquisition(other, one)
    assert order(one, other) == -order(other, one)


@settings(deadline=None, max_examples=300)
@given(VERSION, st.lists(VERSION, max_size=4, unique_by=lambda version: version.recording_id))
def test_at_most_one_version_is_current_and_no_rival_is_forgotten(
    new: Version, others: list[Version]
) -> None:
    new = replace(new, recording_id=100, is_in_conflict=False)

    verdict = place(new, others)

    standing = {other.recording_id for other in others if not other.is_in_conflict}
    given_way = {recording_id for recording_id, _ in verdict.superseded}
    if verdict.place is Place.CONFLICT:
        assert verdict.current_id is None
        assert verdict.conflicts
    else:
        assert (verdict.place is Place.CURRENT) == (verdict.current_id == 100)
        assert standing - given_way <= {verdict.current_id}
        assert verdict.current_id not in given_way


def test_amended_export_without_a_rhythm_strip_retires_the_older_result(inbox: Site) -> None:
    letterhead = {"signal_digest": None, "n_samples": None, "sampling_frequency": None}
    inbox.arrive(scored(of_acquisition("old", edit_at=EARLY)), "a")
    inbox.arrive(rejected(of_acquisition("new", edit_at=LATE, **letterhead)), "b")

    assert inbox.current() == set()
    assert inbox.state("a") == [("superseded", "same_acquisition")]


# Bytes that come back to their place


def read_again(inbox: Site, locator: str, fingerprint: str) -> None:
    """A scan sees these bytes at their place again, as a known item or as a new one."""
    inbox.note(sighting(locator, fingerprint))
    inbox.admit()


@pytest.mark.parametrize("known", [{}, {"acquisition_key": "k", "patient_key": "p"}])
def test_old_bytes_under_a_new_time_are_current_again(
    inbox: Site, known: dict[str, object]
) -> None:
    inbox.arrive(scored(facts("A", **known)), "a", "1")
    inbox.arrive(scored(facts("B", **known)), "a", "2")

    shown = inbox.arrive(scored(facts("A", **known)), "a", "3")

    assert shown.disposition is Disposition.DUPLICATE
    assert inbox.current() == {"A"}
    assert events_of(inbox, "restored") == 1


@pytest.mark.parametrize("known", [{}, {"acquisition_key": "k", "patient_key": "p"}])
def test_old_bytes_put_back_with_their_old_time_are_current_again_unread(
    inbox: Site, known: dict[str, object]
) -> None:
    inbox.arrive(scored(facts("A", **known)), "a", "1")
    inbox.arrive(scored(facts("B", **known)), "a", "2")

    read_again(inbox, "a", "1")

    assert inbox.claim() == []
    assert inbox.current() == {"A"}
    read_again(inbox, "a", "2")
    assert inbox.current() == {"B"}


def test_spans_of_supersession_are_kept(inbox: Site) -> None:
    inbox.arrive(scored(facts("A")), "a", "1")
    inbox.arrive(scored(facts("B")), "a", "2")
    read_again(inbox, "a", "1")
    read_again(inbox, "a", "2")

    rows = inbox.connection.execute(
        select(recording.c.ecg_id, supersession.c.to_at.is_(None))
        .join(recording, recording.c.recording_id == supersession.c.recording_id)
        .order_by(supersession.c.supersession_id)
    )
    assert [(name, bool(is_open)) for name, is_open in rows] == [
        ("A", False),
        ("B", False),
        ("A", True),
    ]


def test_an_export_never_scored_is_scored_where_it_is_the_later(inbox: Site) -> None:
    same = {"ecg_id": "v", "signal_digest": None}
    inbox.arrive(scored(facts("B", **same)), "b", "1")
    inbox.arrive(scored(facts("A", **same)), "elsewhere", "1")
    assert inbox.state("elsewhere") == [("superseded", "same_acquisition")]

    shown = inbox.arrive(scored(facts("A", **same)), "b", "2")

    assert shown.disposition is Disposition.SCORED
    assert inbox.state("b") == [("superseded", "same_acquisition"), ("scored", None)]


def test_old_bytes_that_say_they_are_older_stay_superseded(inbox: Site) -> None:
    inbox.arrive(scored(of_acquisition("A", edit_at=EARLY)), "a", "1")
    inbox.arrive(scored(of_acquisition("B", edit_at=LATE)), "a", "2")

    inbox.arrive(scored(of_acquisition("A", edit_at=EARLY)), "a", "3")
    read_again(inbox, "a", "1")

    assert inbox.current() == {"B"}


def test_copy_elsewhere_brings_nothing_back(inbox: Site) -> None:
    inbox.arrive(scored(facts("A")), "a", "1")
    inbox.arrive(scored(facts("B")), "a", "2")

    inbox.arrive(scored(facts("A")), "copy", "1")

    assert inbox.current() == {"B"}


def test_old_bytes_come_back_over_rejected_ones(inbox: Site) -> None:
    inbox.arrive(scored(facts("A")), "a", "1")
    inbox.arrive(rejected(facts("B")), "a", "2")
    assert inbox.current() == set()

    read_again(inbox, "a", "1")

    assert inbox.current() == {"A"}


def test_old_bytes_come_back_over_failed_ones(inbox: Site) -> None:
    inbox.arrive(scored(facts("A")), "a", "1")
    inbox.arrive(Quarantined(facts("B"), ReasonCode.CHECKSUM_MISMATCH, "decode"), "a", "2")

    read_again(inbox, "a", "1")

    assert inbox.current() == {"A"}
    assert inbox.state("a") == [("scored", None), ("superseded", "file_changed")]


def test_corrected_patient_that_is_corrected_back_is_current(inbox: Site) -> None:
    inbox.arrive(scored(facts("A", ecg_id="v", patient_key="p", sex="F")), "a", "1")
    inbox.arrive(scored(facts("B", ecg_id="v", patient_key="q", sex="M")), "a", "2")
    assert inbox.state("a")[0] == ("superseded", "patient_corrected")

    read_again(inbox, "a", "1")

    assert inbox.state("a") == [("scored", None), ("superseded", "patient_corrected")]


def test_ignored_rival_ends_a_conflict(inbox: Site) -> None:
    inbox.arrive(scored(facts("one", ecg_id="v", patient_key="p")), "a")
    inbox.arrive(scored(facts("two", ecg_id="v", patient_key="q")), "b")
    row = inbox.connection.execute(select(item).where(item.c.locator == "a")).one()
    spot = linking.Spot(row.item_id, row.source_id, row.locator, row.changed_at)
    moment = ledger.now(inbox.connection)
    assert linking.reconsider(inbox.connection, row.recording_id, spot, moment) == []

    inbox.connection.execute(
        update(item).where(item.c.locator == "b").values(state="ignored", reason="operator")
    )
    linking.reconsider(inbox.connection, row.recording_id, spot, moment)

    assert inbox.state("a") == [("scored", None)]


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.sampled_from("ABC"), min_size=1, max_size=6))
def test_last_bytes_at_a_place_are_current(inbox: Site, order_of_bytes: list[str]) -> None:
    with inbox.connection.begin_nested() as example:
        for name in order_of_bytes:
            read_again(inbox, "a", name)
            for unit in inbox.claim():
                inbox.finish(unit, scored(facts(name)))
        assert inbox.current() == {order_of_bytes[-1]}
        example.rollback()
