"""The hash chains: each kind of tampering is found, where it was done."""

import pytest
from sqlalchemy import select, text

from ecgbatch.store import audit as operators
from ecgbatch.store import audit_log, chain, ledger
from ecgbatch.store.chain_check import Break, Damage, audit_chain, event_chains
from ecgbatch.store.events import CHAINED, Event, record, seed
from ecgbatch.store.tables import audit, event
from ecgbatch.terms import ReasonCode
from tests.support.ledger import Site, facts, rejected, scored
from tests.support.tampering import change, unguarded, without_unique


@pytest.fixture
def ended(inbox: Site) -> Site:
    """A run with four events that has ended, and three acts of operators."""
    for number in range(3):
        inbox.arrive(scored(facts(f"e{number}")), f"{number}")
    inbox.arrive(rejected(facts("e3")), "3")
    ledger.end_run(inbox.connection, inbox.provenance.run_id, 0, {})
    for name in ("ann", "bob", "cid"):
        operators.acknowledge(inbox.connection, name, "known", ReasonCode.INCOMPLETE, ())
    return inbox


def of_run(inbox: Site, seq: int) -> str:
    return f"run_id = {inbox.provenance.run_id} AND seq = {seq}"


def act(inbox: Site, name: str) -> int:
    found = select(audit.c.audit_id).where(audit.c.actor == name)
    return int(inbox.connection.execute(found).scalar_one())


# Events


def test_whole_chains_are_whole(ended: Site) -> None:
    events, acts = event_chains(ended.connection), audit_chain(ended.connection)

    assert (events.rows, events.unchained, events.broken) == (5, 0, 0)
    assert (events.runs, events.open_runs) == (2, 0)
    assert (acts.rows, acts.unchained, acts.broken) == (3, 0, 0)


@pytest.mark.parametrize(
    "altered",
    [
        "reason = 'new'",
        "to_state = 'quarantined'",
        "kind = 'vanished'",
        "item_id = NULL",
        "work_id = NULL",
        "event_at = '2020-01-01T00:00:00.000000Z'",
        "hash = 'none'",
    ],
)
def test_altered_event_is_found(ended: Site, altered: str) -> None:
    change(ended.connection, f"UPDATE event SET {altered} WHERE {of_run(ended, 2)}")

    found = event_chains(ended.connection)
    assert found.examples[0] == Break(Damage.ALTERED, 2, ended.provenance.run_id)


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_removed_event_is_found(ended: Site, seq: int) -> None:
    change(ended.connection, f"DELETE FROM event WHERE {of_run(ended, seq)}")

    found = event_chains(ended.connection)
    assert found.examples == [Break(Damage.UNLINKED, seq + 1, ended.provenance.run_id)]


def test_removed_event_is_found_where_the_rest_was_numbered_anew(ended: Site) -> None:
    change(ended.connection, f"DELETE FROM event WHERE {of_run(ended, 2)}")
    change(ended.connection, f"UPDATE event SET seq = 2 WHERE {of_run(ended, 3)}")
    change(ended.connection, f"UPDATE event SET seq = 3 WHERE {of_run(ended, 4)}")

    assert event_chains(ended.connection).broken


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_cut_off_end_of_a_run_is_found(ended: Site, kept: int) -> None:
    run_id = ended.provenance.run_id
    change(ended.connection, f"DELETE FROM event WHERE run_id = {run_id} AND seq > {kept}")

    assert event_chains(ended.connection).examples == [Break(Damage.CUT_OFF, 0, run_id)]


def test_event_appended_after_the_end_is_found(ended: Site) -> None:
    record(ended.connection, ended.provenance.run_id, [Event("finished")])

    found = event_chains(ended.connection)
    assert found.examples == [Break(Damage.CUT_OFF, 0, ended.provenance.run_id)]


def test_inserted_event_is_found_even_with_a_hash_of_its_own(ended: Site) -> None:
    run_id = ended.provenance.run_id
    rows = select(event).where(event.c.run_id == run_id).order_by(event.c.seq)
    before, after = ended.connection.execute(rows).mappings().all()[1:3]
    foreign = {**after, "event_id": 9999, "kind": "vanished", "prev_hash": before["hash"]}
    fields = [foreign[name] for name in CHAINED]
    foreign["hash"] = chain.link(before["hash"], fields)
    with unguarded(ended.connection):
        without_unique(ended.connection, "event")
        ended.connection.execute(event.insert().values(foreign))

    found = event_chains(ended.connection)
    assert Damage.UNLINKED in {one.damage for one in found.examples}
    assert {one.run_id for one in found.examples} == {run_id}


def test_chain_computed_anew_does_not_end_as_the_run_wrote_down(ended: Site) -> None:
    """Whoever can recompute hashes still meets the end that stands in `run`."""
    run_id = ended.provenance.run_id
    rows = select(event).where(event.c.run_id == run_id).order_by(event.c.seq)
    before = seed(run_id)
    with unguarded(ended.connection):
        for row in ended.connection.execute(rows).mappings().all():
            fields = [{**row, "reason": None}[name] for name in CHAINED]
            own = chain.link(before, fields)
            forged = {"reason": None, "prev_hash": before, "hash": own}
            where = event.c.event_id == row["event_id"]
            ended.connection.execute(event.update().where(where).values(forged))
            before = own

    assert event_chains(ended.connection).examples == [Break(Damage.CUT_OFF, 0, run_id)]


def test_event_of_a_run_that_is_gone_is_found(ended: Site) -> None:
    change(ended.connection, f"UPDATE event SET run_id = 9999 WHERE {of_run(ended, 4)}")

    assert Break(Damage.UNLINKED, 4, 9999) in event_chains(ended.connection).examples


def test_hash_taken_away_is_found(ended: Site) -> None:
    run_id = ended.provenance.run_id
    change(ended.connection, f"UPDATE event SET hash = NULL WHERE {of_run(ended, 3)}")
    assert Break(Damage.UNLINKED, 3, run_id) in event_chains(ended.connection).examples

    change(ended.connection, f"UPDATE event SET hash = NULL WHERE run_id = {run_id}")
    found = event_chains(ended.connection)
    assert (found.unchained, found.examples) == (4, [Break(Damage.CUT_OFF, 0, run_id)])


def test_events_from_before_there_were_hashes_are_counted_apart(ended: Site) -> None:
    bare = (
        "INSERT INTO event (event_id, run_id, seq, event_at, kind)"
        " VALUES (9999, NULL, 1, '2020-01-01T00:00:00.000000Z', 'finished')"
    )
    change(ended.connection, bare)

    found = event_chains(ended.connection)
    assert (found.rows, found.unchained, found.broken) == (5, 1, 0)


def test_run_that_goes_on_has_no_end_yet(inbox: Site) -> None:
    inbox.arrive(scored(facts("e1")), "a")

    found = event_chains(inbox.connection)
    assert (found.runs, found.open_runs, found.broken) == (2, 1, 0)


# Acts


@pytest.mark.parametrize(
    "altered",
    [
        "actor = 'nobody'",
        "act = 'ignore'",
        "selector = 'all'",
        "reason = 'other'",
        "count = 7",
        "act_at = '2020-01-01T00:00:00.000000Z'",
    ],
)
def test_altered_act_is_found(ended: Site, altered: str) -> None:
    change(ended.connection, f"UPDATE audit SET {altered} WHERE actor = 'bob'")

    found = audit_chain(ended.connection)
    assert [one.damage for one in found.examples] == [Damage.ALTERED]


@pytest.mark.parametrize(("removed", "seen_at"), [("ann", "bob"), ("bob", "cid")])
def test_removed_act_is_found(ended: Site, removed: str, seen_at: str) -> None:
    change(ended.connection, f"DELETE FROM audit WHERE actor = '{removed}'")

    found = audit_chain(ended.connection)
    assert found.examples == [Break(Damage.UNLINKED, act(ended, seen_at))]


def test_acts_exchanged_are_found(ended: Site) -> None:
    newest = act(ended, "cid")
    change(ended.connection, f"UPDATE audit SET audit_id = 99999 WHERE audit_id = {newest - 1}")

    assert audit_chain(ended.connection).broken


def test_inserted_act_without_a_hash_is_found(ended: Site) -> None:
    bare = (
        "INSERT INTO audit (audit_id, act_at, actor, act, selector, reason, count)"
        " VALUES (99999, '2020-01-01T00:00:00.000000Z', 'eve', 'halt', 'all', 'x', 1)"
    )
    change(ended.connection, bare)

    assert audit_chain(ended.connection).examples == [Break(Damage.UNLINKED, 99999)]


def test_acts_from_before_there_were_hashes_are_counted_apart(ended: Site) -> None:
    bare = (
        "INSERT INTO audit (audit_id, act_at, actor, act, selector, reason, count)"
        " VALUES (-1, '2020-01-01T00:00:00.000000Z', 'old', 'acknowledge', 'all', 'x', 1)"
    )
    change(ended.connection, bare)

    found = audit_chain(ended.connection)
    assert (found.rows, found.unchained, found.broken) == (3, 1, 0)


def test_cut_off_acts_are_found_with_the_head_that_was_kept(ended: Site) -> None:
    kept = audit_chain(ended.connection).head
    change(ended.connection, "DELETE FROM audit WHERE actor = 'cid'")

    assert audit_chain(ended.connection).broken == 0
    assert audit_chain(ended.connection, kept).examples == [Break(Damage.CUT_OFF, 0)]


def test_all_acts_cut_off_are_found_with_the_head_that_was_kept(ended: Site) -> None:
    kept = audit_chain(ended.connection).head
    change(ended.connection, "DELETE FROM audit")

    assert audit_chain(ended.connection, kept).broken == 1


def test_acts_since_a_head_are_counted(ended: Site) -> None:
    kept = audit_chain(ended.connection).head
    operators.acknowledge(ended.connection, "dan", "known", ReasonCode.INCOMPLETE, ())

    found = audit_chain(ended.connection, kept)
    assert (found.since, found.broken) == (1, 0)
    assert audit_chain(ended.connection, audit_log.SEED).since == 4


def test_many_rows_are_streamed(ended: Site) -> None:
    run_id = ledger.start_run(ended.connection, "test", None, "w")
    for _ in range(5):
        record(ended.connection, run_id, [Event("finished")] * 500)
    ledger.end_run(ended.connection, run_id, 0, {})

    found = event_chains(ended.connection)
    assert (found.rows, found.broken) == (2505, 0)
    ended.connection.execute(text("SELECT 1"))
