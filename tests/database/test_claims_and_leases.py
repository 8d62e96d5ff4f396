"""Work is leased to one worker; whoever lost the lease writes nothing."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select, text, update

from ecgbatch.errors import LeaseLost, SetupFault
from ecgbatch.records import NotYet, RetryLater, WorkUnit
from ecgbatch.store import bundles, control, ledger, overview
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.claims import CHALLENGER_PRIORITY, RESCORE_PRIORITY
from ecgbatch.store.engine import transaction
from ecgbatch.store.finish import backoff_s
from ecgbatch.store.tables import audit, event, finding, recording, result, work
from ecgbatch.store.tables_ledger import heartbeat
from ecgbatch.terms import BundleRole, Disposition, ReasonCode, WorkState
from tests.support.ledger import CHAMPION, OTHER, Site, activate, facts, scored, sighting, site


def admitted(inbox: Site, *locators: str) -> None:
    inbox.note(*(sighting(locator) for locator in locators))
    inbox.admit()


def expire(inbox: Site, unit: WorkUnit) -> None:
    past = ledger.now(inbox.connection) - timedelta(seconds=1)
    inbox.connection.execute(
        update(work).where(work.c.work_id == unit.work_id).values(lease_until=past)
    )


def test_claim_takes_up_to_the_limit_in_order(inbox: Site) -> None:
    admitted(inbox, "a", "b", "c")

    assert [unit.locator for unit in inbox.claim(limit=2)] == ["a", "b"]
    assert [unit.locator for unit in inbox.claim(limit=2)] == ["c"]
    assert inbox.claim() == []


def test_claim_counts_an_attempt_and_moves_the_token(inbox: Site) -> None:
    admitted(inbox, "a")
    (unit,) = inbox.claim()

    assert unit.token == 1
    assert inbox.work_row(unit) == ("leased", "new", 1, 1)


def test_lost_worker_s_unit_is_claimed_alone(inbox: Site) -> None:
    admitted(inbox, "a", "b", "c")
    lost, _, _ = inbox.claim()
    inbox.connection.execute(
        update(work).where(work.c.work_id != lost.work_id).values(state="ready", lease_until=None)
    )
    expire(inbox, lost)

    assert [(unit.work_id, unit.token) for unit in inbox.claim()] == [(lost.work_id, 2)]
    assert len(inbox.claim()) == 2


def test_worker_whose_lease_was_taken_over_changes_nothing(inbox: Site) -> None:
    admitted(inbox, "a")
    (slow,) = inbox.claim()
    expire(inbox, slow)
    (fast,) = inbox.claim()

    with pytest.raises(LeaseLost), inbox.connection.begin_nested():
        inbox.finish(slow, scored(facts("e1")))

    for table in (recording, result, finding):
        assert inbox.connection.execute(select(func.count()).select_from(table)).scalar_one() == 0
    assert inbox.work_row(fast)[0] == "leased"
    assert inbox.finish(fast, scored(facts("e1"))).disposition is Disposition.SCORED


def test_finished_unit_cannot_be_finished_again(inbox: Site) -> None:
    admitted(inbox, "a")
    (unit,) = inbox.claim()
    inbox.finish(unit, scored(facts("e1")))

    with pytest.raises(LeaseLost):
        inbox.finish(unit, scored(facts("e1")))


def test_work_that_loses_three_workers_alone_is_quarantined(inbox: Site) -> None:
    admitted(inbox, "poison", "innocent")
    for _ in range(3):
        (unit,) = inbox.claim(limit=1)
        assert unit.locator == "poison"
        expire(inbox, unit)

    assert [unit.locator for unit in inbox.claim()] == ["innocent"]
    assert inbox.state("poison") == [("failed", "crash_loop")]


def test_leases_lost_together_count_against_none_of_them(inbox: Site) -> None:
    admitted(inbox, "a", "b", "c")
    for unit in inbox.claim():
        expire(inbox, unit)
    for _ in "abc":
        (unit,) = inbox.claim()
        inbox.finish(unit, scored(facts(unit.locator)))

    losses = inbox.connection.execute(select(func.sum(work.c.losses))).scalar_one()
    assert losses == 0


def test_a_try_that_comes_back_clears_the_losses(inbox: Site) -> None:
    admitted(inbox, "a")
    for _ in range(2):
        expire(inbox, inbox.claim()[0])
    (unit,) = inbox.claim()
    inbox.finish(unit, NotYet(None, ReasonCode.INCOMPLETE, "decode"))
    for _ in range(2):
        expire(inbox, inbox.claim()[0])

    assert [unit.locator for unit in inbox.claim()] == ["a"]


def test_renewed_leases_are_not_lost(inbox: Site) -> None:
    admitted(inbox, "a", "b")
    first, second = inbox.claim()
    expire(inbox, first)
    expire(inbox, second)

    assert ledger.renew(inbox.connection, [first], 60.0) == {first.work_id}
    assert [unit.work_id for unit in inbox.claim()] == [second.work_id]


def test_lease_that_another_worker_took_is_not_renewed(inbox: Site) -> None:
    admitted(inbox, "a", "b")
    first, second = inbox.claim()
    expire(inbox, first)
    inbox.claim()
    inbox.finish(second, scored(facts("e")))

    assert ledger.renew(inbox.connection, [first, second], 60.0) == set()
    assert ledger.renew(inbox.connection, [], 60.0) == set()


def test_worker_that_beats_has_one_row(inbox: Site) -> None:
    run_id = inbox.provenance.run_id
    ledger.beat(inbox.connection, "w1", "work", run_id)
    first = inbox.connection.execute(select(heartbeat)).one()
    ledger.beat(inbox.connection, "w1", "work", run_id)
    second = inbox.connection.execute(select(heartbeat)).one()

    assert (second.kind, second.run_id) == ("work", run_id)
    assert second.started_at == first.started_at
    assert second.seen_at >= first.seen_at


def test_nothing_is_claimed_while_the_ledger_is_halted(inbox: Site) -> None:
    admitted(inbox, "a")

    assert control.halt(inbox.connection, "op", "maintenance")
    assert not control.halt(inbox.connection, "op", "again")
    assert inbox.claim() == []
    assert control.resume(inbox.connection, "op", "done")
    assert not control.resume(inbox.connection, "op", "done")
    assert len(inbox.claim()) == 1
    acts = select(audit.c.act, audit.c.count).order_by(audit.c.audit_id)
    assert [tuple(row) for row in inbox.connection.execute(acts)] == [
        ("halt", 1),
        ("halt", 0),
        ("resume", 1),
        ("resume", 0),
    ]


def test_database_of_another_revision_gives_out_no_work(inbox: Site) -> None:
    admitted(inbox, "a")
    inbox.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SetupFault) as caught:
        inbox.claim()

    assert caught.value.reason is ReasonCode.DATABASE_REVISION


def test_rescorings_have_a_lane_of_their_own(inbox: Site) -> None:
    admitted(inbox, "a", "b")
    second = select(func.max(work.c.work_id)).scalar_subquery()
    inbox.connection.execute(
        update(work).where(work.c.work_id == second).values(request="1", priority=RESCORE_PRIORITY)
    )

    assert [(one.locator, one.request) for one in inbox.claim()] == [("a", "new")]
    assert [(one.locator, one.request) for one in inbox.claim(lane="rescore")] == [("b", "1")]


def test_release_gives_back_what_is_still_held(inbox: Site) -> None:
    admitted(inbox, "a", "b")
    first, second = inbox.claim()
    inbox.finish(first, scored(facts("e1")))

    assert ledger.release(inbox.connection, [first, second], inbox.provenance.run_id) == 1
    assert inbox.work_row(second) == ("ready", "interrupted", 0, 1)
    assert inbox.state("b") == [("waiting", "interrupted")]
    assert [unit.token for unit in inbox.claim()] == [2]


def test_fault_of_the_surroundings_spends_no_attempt_and_waits(inbox: Site) -> None:
    admitted(inbox, "a")
    (unit,) = inbox.claim()

    shown = inbox.finish(unit, RetryLater(ReasonCode.READ_FAILED, "read"))

    assert (shown.disposition, shown.reason) == (Disposition.WAITING, ReasonCode.READ_FAILED)
    assert inbox.work_row(unit) == ("retry_wait", "read_failed", 0, 1)
    assert inbox.claim() == []
    inbox.connection.execute(
        update(work).values(next_at=ledger.now(inbox.connection) - timedelta(seconds=1))
    )
    assert len(inbox.claim()) == 1


def test_waiting_doubles_up_to_an_hour() -> None:
    waits = [
        backoff_s(WorkUnit(7, 7, "a", "1", token, CHAMPION, 1, "new")) for token in range(1, 40)
    ]

    for doublings, wait in enumerate(waits):
        longest = min(3600.0, 5.0 * 2**doublings)
        assert 0.5 * longest <= wait <= 1.5 * longest
    assert len({round(wait / 3600, 6) for wait in waits[-10:]}) == 10


def test_what_was_put_back_in_a_run_waits_for_the_next_one(inbox: Site) -> None:
    admitted(inbox, "a")
    (unit,) = inbox.claim()
    run_start = ledger.now(inbox.connection)
    inbox.finish(unit, NotYet(None, ReasonCode.INCOMPLETE, "decode"))

    again = ledger.claim(
        inbox.connection,
        inbox.source_id,
        CHAMPION,
        pipeline_id="p",
        worker="w",
        limit=9,
        lease_s=60,
        as_of=run_start,
    )
    assert again == []
    assert overview.due(inbox.connection, inbox.source_id, CHAMPION, run_start) == 0
    assert len(inbox.claim()) == 1


def test_due_counts_what_claims_hand_out(inbox: Site) -> None:
    admitted(inbox, "a", "b", "c")
    lost, _ = inbox.claim(limit=2)
    expire(inbox, lost)
    moment = ledger.now(inbox.connection)

    assert overview.due(inbox.connection, inbox.source_id, CHAMPION, moment) == 2


def test_bytes_that_changed_under_the_reader_are_not_written(inbox: Site) -> None:
    admitted(inbox, "a")
    (unit,) = inbox.claim()
    inbox.note(sighting("a", "2"))

    shown = inbox.finish(unit, scored(facts("e1")))

    assert shown.reason is ReasonCode.CHANGED_WHILE_READING
    assert inbox.current() == set()
    inbox.connection.execute(update(work).values(next_at=ledger.now(inbox.connection)))
    inbox.admit()
    assert [one.fingerprint for one in inbox.claim()] == ["2"]


def test_challenger_gets_work_of_its_own_behind_the_champion(inbox: Site) -> None:
    bundles.register(inbox.connection, BundleRow(OTHER, "next", "2", False), ())
    activate(inbox.connection, OTHER, BundleRole.CHALLENGER)
    admitted(inbox, "a")

    rows = inbox.connection.execute(
        select(work.c.bundle_digest, work.c.priority).order_by(work.c.priority)
    ).all()
    assert [tuple(row) for row in rows] == [(CHAMPION, 0), (OTHER, CHALLENGER_PRIORITY)]


def test_another_source_s_work_is_left_alone(inbox: Site) -> None:
    admitted(inbox, "a")
    other = ledger.ensure_source(
        inbox.connection, "other", kind="folder", root="/o", authority="MRN", time_zone=None
    )

    arguments = {"pipeline_id": "p", "worker": "w", "limit": 9, "lease_s": 60.0}
    assert ledger.claim(inbox.connection, other, CHAMPION, **arguments) == []  # type: ignore[arg-type]
    assert len(ledger.claim(inbox.connection, None, CHAMPION, **arguments)) == 1  # type: ignore[arg-type]


def test_two_workers_at_once_never_claim_the_same(engine: Engine) -> None:
    with transaction(engine) as connection:
        inbox = site(connection)
        admitted(inbox, *(f"{number}" for number in range(60)))
    claimed: list[int] = []

    def worker() -> None:
        while True:
            with transaction(engine) as connection:
                units = ledger.claim(
                    connection,
                    inbox.source_id,
                    CHAMPION,
                    pipeline_id="p",
                    worker="w",
                    limit=5,
                    lease_s=60,
                )
            if not units:
                return
            claimed.extend(unit.work_id for unit in units)

    threads = [threading.Thread(target=worker) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == len(set(claimed)) == 60


def test_every_end_has_its_event_in_order(inbox: Site) -> None:
    admitted(inbox, "a", "b")
    for number, unit in enumerate(inbox.claim()):
        inbox.finish(unit, scored(facts(f"e{number}")))

    rows = inbox.connection.execute(
        select(event.c.seq, event.c.kind, event.c.to_state)
        .where(event.c.run_id == inbox.provenance.run_id)
        .order_by(event.c.seq)
    )
    assert [tuple(row) for row in rows] == [
        (1, "finished", WorkState.SCORED),
        (2, "finished", WorkState.SCORED),
    ]
