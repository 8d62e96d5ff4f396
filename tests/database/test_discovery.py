"""Sightings become items, a change is followed, nothing is dropped silently."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from ecgbatch.records import NotYet, Quarantined, Sighting
from ecgbatch.store import ledger, memory
from ecgbatch.store.changes import KnownItem, plan
from ecgbatch.store.tables import event as event_table
from ecgbatch.store.tables import item
from ecgbatch.terms import Disposition, ItemState, ReasonCode
from tests.support.ledger import Site, facts, rejected, scored, sighting

FAILED = Quarantined(None, ReasonCode.XML_INVALID, "decode")


def scan(inbox: Site, *sightings: Sighting) -> int:
    """One whole scan; returns how many items vanished."""
    started = ledger.now(inbox.connection)
    inbox.note(*sightings)
    return inbox.mark_missing(started)


def test_new_file_waits_for_a_second_look(inbox: Site) -> None:
    assert inbox.note(sighting("a.xml")) == ledger.Noted(new=1, changed=0)
    assert inbox.admit(settle_s=30) == 0
    assert ledger.unstable(inbox.connection, inbox.source_id) == 1
    assert inbox.state("a.xml") == [("waiting", "new")]


def test_second_look_after_the_settle_time_admits(inbox: Site) -> None:
    inbox.note(sighting("a.xml"))
    inbox.age("a.xml", 31)

    assert inbox.note(sighting("a.xml")) == ledger.Noted(new=0, changed=0)
    assert inbox.admit(settle_s=30) == 1
    assert ledger.unstable(inbox.connection, inbox.source_id) == 0


def test_time_alone_is_no_second_look(inbox: Site) -> None:
    inbox.note(sighting("a.xml"))
    earlier = ledger.now(inbox.connection) - timedelta(hours=1)
    inbox.connection.execute(item.update().values(changed_at=earlier, last_seen_at=earlier))

    assert inbox.admit(settle_s=30) == 0


def test_change_between_looks_starts_the_clock_again(inbox: Site) -> None:
    inbox.note(sighting("a.xml", "1"))
    inbox.age("a.xml", 31)

    assert inbox.note(sighting("a.xml", "2")) == ledger.Noted(new=0, changed=1)
    assert inbox.admit(settle_s=30) == 0
    assert len(inbox.state("a.xml")) == 1


def test_settle_of_zero_admits_after_one_look(inbox: Site) -> None:
    inbox.note(sighting("a.xml"))

    assert inbox.admit(settle_s=0) == 1


def test_incomplete_record_is_admitted_only_after_the_grace(inbox: Site) -> None:
    inbox.note(sighting("r.hea", is_whole=False))

    assert inbox.admit(settle_s=0, grace_s=60) == 0
    assert inbox.state("r.hea") == [("waiting", "incomplete")]
    assert ledger.unstable(inbox.connection, inbox.source_id) == 0

    inbox.age("r.hea", 61)
    inbox.note(sighting("r.hea", is_whole=False))
    assert inbox.admit(settle_s=0, grace_s=60) == 1


def test_record_that_becomes_whole_is_new_again(inbox: Site) -> None:
    inbox.note(sighting("r.hea", "1", is_whole=False))
    inbox.note(sighting("r.hea", "2", ["r.dat"]))

    assert inbox.state("r.hea") == [("waiting", "new")]
    assert inbox.admit() == 1


def test_change_of_an_admitted_file_before_it_was_read_updates_it(inbox: Site) -> None:
    inbox.note(sighting("a.xml", "1"))
    inbox.admit()

    inbox.note(sighting("a.xml", "2"))

    assert inbox.claim() == []
    inbox.admit()
    (unit,) = inbox.claim()
    assert unit.fingerprint == "2"


def test_change_after_a_result_makes_a_new_item_and_keeps_the_old(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a.xml", "1")

    assert inbox.note(sighting("a.xml", "2")) == ledger.Noted(new=1, changed=0)
    assert inbox.state("a.xml") == [("scored", None), ("waiting", "new")]


def test_change_after_a_rejection_makes_a_new_item_and_keeps_the_old(inbox: Site) -> None:
    inbox.arrive(rejected(facts("e1")), "a.xml", "1")

    inbox.note(sighting("a.xml", "2"))

    assert inbox.state("a.xml") == [("rejected", "lead_flat"), ("waiting", "new")]


def test_change_after_a_failure_supersedes_the_failed_item(inbox: Site) -> None:
    inbox.arrive(FAILED, "a.xml", "1")

    inbox.note(sighting("a.xml", "2"))

    assert inbox.state("a.xml") == [("superseded", "file_changed"), ("waiting", "new")]
    kinds = inbox.connection.execute(select(event_table.c.kind)).scalars().all()
    assert "superseded" in kinds


def test_failed_bytes_that_return_have_failed_again(inbox: Site) -> None:
    inbox.arrive(FAILED, "a.xml", "1")
    inbox.arrive(scored(facts("e2")), "a.xml", "2")

    inbox.note(sighting("a.xml", "1"))

    assert inbox.state("a.xml") == [("failed", "xml_invalid"), ("scored", None)]


def test_signal_file_without_header_becomes_the_records_item(inbox: Site) -> None:
    inbox.note(sighting("r.dat", is_whole=False))

    assert inbox.note(sighting("r.hea", "9", ["r.dat"])) == ledger.Noted(new=0, changed=1)
    assert inbox.state("r.dat") == []
    assert inbox.state("r.hea") == [("waiting", "new")]


def test_second_orphan_of_a_record_is_superseded(inbox: Site) -> None:
    inbox.note(sighting("r.dat", is_whole=False), sighting("s.dat", is_whole=False))
    inbox.note(sighting("r.hea", "9", ["r.dat", "s.dat"]))

    assert inbox.state("r.hea") == [("waiting", "new")]
    assert inbox.state("s.dat") == [("superseded", "file_changed")]


def test_orphan_of_a_record_already_known_is_superseded(inbox: Site) -> None:
    inbox.note(sighting("r.hea", "1", is_whole=False))
    inbox.note(sighting("r.dat", "1", is_whole=False))
    inbox.note(sighting("r.hea", "2", ["r.dat"]))

    assert inbox.state("r.hea") == [("waiting", "new")]
    assert inbox.state("r.dat") == [("superseded", "file_changed")]


def test_orphan_that_failed_gives_way_to_its_record(inbox: Site) -> None:
    inbox.arrive(Quarantined(None, ReasonCode.FORMAT_UNKNOWN, "decode"), "r.dat")
    inbox.note(sighting("r.hea", "9", ["r.dat"]))

    assert inbox.state("r.dat") == [("superseded", "file_changed")]
    assert inbox.state("r.hea") == [("waiting", "new")]


def test_unread_item_vanishes_after_three_scans_without_it(inbox: Site) -> None:
    scan(inbox, sighting("a.xml"), sighting("b.xml"))

    assert [scan(inbox, sighting("b.xml")) for _ in range(3)] == [0, 0, 1]
    assert inbox.state("a.xml") == [("vanished", "gone")]
    assert inbox.state("b.xml") == [("waiting", "new")]


def test_one_scan_that_sees_it_starts_the_count_again(inbox: Site) -> None:
    scan(inbox, sighting("a.xml"))
    scan(inbox)
    scan(inbox)
    scan(inbox, sighting("a.xml"))

    assert scan(inbox) == 0
    assert inbox.state("a.xml") == [("waiting", "new")]


def test_item_with_a_result_is_only_marked_as_gone(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a.xml")
    inbox.arrive(FAILED, "b.xml")
    for _ in range(3):
        scan(inbox)

    gone = inbox.connection.execute(select(func.count()).where(item.c.gone_at.is_not(None)))
    assert gone.scalar_one() == 2
    assert inbox.state("a.xml") == [("scored", None)]
    assert inbox.state("b.xml") == [("failed", "xml_invalid")]
    assert ledger.present_items(inbox.connection, inbox.source_id) == 0


def test_vanished_item_that_returns_is_looked_at_again(inbox: Site) -> None:
    scan(inbox, sighting("a.xml"))
    for _ in range(3):
        scan(inbox)

    inbox.note(sighting("a.xml"))

    assert inbox.state("a.xml") == [("waiting", "new")]
    assert ledger.present_items(inbox.connection, inbox.source_id) == 1
    assert inbox.admit() == 1


def test_admitted_item_that_vanished_is_not_claimed_and_returns_to_its_work(inbox: Site) -> None:
    scan(inbox, sighting("a.xml"))
    inbox.admit()
    for _ in range(3):
        scan(inbox)

    assert inbox.claim() == []
    inbox.note(sighting("a.xml"))
    inbox.admit()
    assert len(inbox.claim()) == 1


def test_item_missing_in_the_last_scan_is_not_admitted(inbox: Site) -> None:
    scan(inbox, sighting("a.xml"))
    scan(inbox)

    assert inbox.admit() == 0


def test_second_scan_of_the_same_files_writes_only_when_they_were_seen(inbox: Site) -> None:
    sightings = [sighting(f"{number}.xml") for number in range(1200)]
    inbox.note(*sightings)
    columns = [column for column in item.c if column is not item.c.last_seen_at]
    before = inbox.connection.execute(select(*columns).order_by(item.c.item_id)).all()
    statements: list[str] = []

    def keep(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(inbox.connection, "before_cursor_execute", keep)

    assert inbox.note(*sightings) == ledger.Noted(new=0, changed=0)

    assert inbox.connection.execute(select(*columns).order_by(item.c.item_id)).all() == before
    assert sum("UPDATE" in statement for statement in statements) == 3
    assert len(statements) < 12


def test_incomplete_item_keeps_its_reason_while_it_waits(inbox: Site) -> None:
    inbox.note(sighting("a.xml"))
    inbox.admit()
    (unit,) = inbox.claim()
    shown = inbox.finish(unit, NotYet(None, ReasonCode.INCOMPLETE, "decode"))

    assert shown.disposition is Disposition.WAITING
    assert inbox.state("a.xml") == [("waiting", "incomplete")]


KNOWN = st.builds(
    KnownItem,
    item_id=st.integers(1, 10**6),
    locator=st.sampled_from(["r.hea", "r.dat", "a.xml"]),
    fingerprint=st.sampled_from(["1", "2", "3"]),
    state=st.sampled_from(ItemState),
    reason=st.just("new"),
    is_read=st.booleans(),
    has_result=st.booleans(),
    changed_at=st.sampled_from([datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]),
    recording_id=st.none(),
)
SEEN = st.builds(
    lambda locator, fingerprint, whole: Sighting(
        locator, fingerprint, (locator, "r.dat") if locator == "r.hea" else (locator,), whole
    ),
    st.sampled_from(["r.hea", "a.xml"]),
    st.sampled_from(["1", "2", "3"]),
    st.booleans(),
)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        KNOWN, max_size=8, unique_by=(lambda k: k.item_id, lambda k: (k.locator, k.fingerprint))
    ),
    st.lists(SEEN, max_size=2, unique_by=lambda s: s.locator),
)
def test_every_sighting_ends_in_one_item_and_no_result_is_superseded(
    known: list[KnownItem], seen: list[Sighting]
) -> None:
    changes = plan(seen, known)

    after = {(one.locator, one.fingerprint) for one in (*changes.moved, *changes.new)}
    by_id = {one.item_id: one for one in known}
    returned = [one.item_id for one in changes.returned]
    after |= {(by_id[i].locator, by_id[i].fingerprint) for i in (*changes.seen, *returned)}
    assert after == {(one.locator, one.fingerprint) for one in seen}
    touched = [*changes.seen, *returned, *(one.item_id for one in changes.moved)]
    touched += [one.item_id for one in changes.superseded]
    assert len(touched) == len(set(touched))
    assert not any(one.has_result for one in changes.superseded)
    kept = {(k.locator, k.fingerprint) for k in known} - {
        (by_id[one.item_id].locator, by_id[one.item_id].fingerprint) for one in changes.moved
    }
    assert not kept & {(one.locator, one.fingerprint) for one in (*changes.moved, *changes.new)}


def test_nothing_below_an_unlisted_folder_is_missed(inbox: Site) -> None:
    names = ("ward/a.xml", "ward_/b.xml", "w%41rd/c.xml", "ward.xml")
    scan(inbox, *map(sighting, names))
    for _ in range(3):
        started = ledger.now(inbox.connection)
        run_id = inbox.provenance.run_id
        ledger.mark_missing(
            inbox.connection, inbox.source_id, started, run_id, unlisted=["ward", "w%41rd"]
        )

    assert [inbox.state(name)[0][0] for name in names] == [
        "waiting",
        "vanished",
        "waiting",
        "vanished",
    ]


def test_with_very_many_unlisted_folders_nothing_is_missed(inbox: Site) -> None:
    scan(inbox, sighting("a.xml"))
    many = [f"ward{number}" for number in range(201)]
    for _ in range(4):
        started = ledger.now(inbox.connection)
        ledger.mark_missing(
            inbox.connection,
            inbox.source_id,
            started,
            inbox.provenance.run_id,
            unlisted=many,
        )

    assert inbox.state("a.xml") == [("waiting", "new")]


def test_members_are_remembered_under_the_headers_own_fingerprint(inbox: Site) -> None:
    inbox.note(sighting("w/r.hea", "9:1;4:1", ["w/r.dat", "w/%C3%A4.dat"]), sighting("w/a.xml"))

    asked = ["w/r.hea", "w/a.xml", "w/other.hea"]
    known = memory.recall(inbox.connection, inbox.source_id, asked)

    assert known == {("w/r.hea", "9:1"): ("r.dat", "%C3%A4.dat")}


def test_members_of_an_item_from_before_are_learned(inbox: Site) -> None:
    seen = sighting("r.hea", "9:1;4:1", ["r.dat"])
    inbox.arrive(scored(facts("e1")), "r.hea", "9:1;4:1")
    inbox.connection.execute(item.update().values(members=None))

    inbox.note(seen)

    assert inbox.connection.execute(select(item.c.members)).scalar_one() == '["r.dat"]'
    assert inbox.state("r.hea") == [("scored", None)]
