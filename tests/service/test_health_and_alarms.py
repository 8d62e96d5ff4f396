"""What the database says of the service, and who tells which alarm: one service each, once."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, text, update

from ecgbatch.reasons import advice
from ecgbatch.records import Quarantined
from ecgbatch.store import alarms, control, health, ledger, overview, retrying
from ecgbatch.store.acts import Choice
from ecgbatch.store.alarms import Phase
from ecgbatch.store.engine import transaction
from ecgbatch.store.tables import item
from ecgbatch.store.tables_ledger import alert, heartbeat
from ecgbatch.terms import Disposition, ReasonCode, WorkState
from tests.support.ledger import CHAMPION, Site, facts, scored, sighting, site


@pytest.fixture
def inbox(connection: Connection) -> Site:
    return site(connection)


def unsupported(name: str) -> Quarantined:
    return Quarantined(facts(name), ReasonCode.FORMAT_PDF, "decode")


def test_empty_database_has_zeros_and_no_moments(connection: Connection) -> None:
    found = health.read(connection)

    assert set(found.items.values()) == {0}
    assert (found.unaccounted, found.results, found.last_event) == (0, 0, 0)
    assert found.failures == {}
    assert found.queue == {WorkState.READY: 0, WorkState.LEASED: 0, WorkState.RETRY_WAIT: 0}
    moments = (found.oldest_waiting_at, found.newest_item_at, found.last_scan, found.halted_at)
    assert moments == (None, None, None, None)
    assert found.champion is None


def test_items_failures_queue_and_results_are_counted(inbox: Site) -> None:
    inbox.arrive(scored(facts("a")), "a")
    inbox.arrive(unsupported("b"), "b")
    inbox.arrive(unsupported("c"), "c")
    connection = inbox.connection
    connection.execute(
        text(
            "UPDATE item SET acknowledged_at = last_seen_at, acknowledged_by = 'op',"
            " acknowledged_why = 'known' WHERE locator = 'c'"
        )
    )
    inbox.note(sighting("d"), sighting("e"))
    inbox.admit()
    inbox.claim(limit=1)
    control.halt(connection, "op", "test")

    found = health.read(connection)

    counts = {name: number for name, number in found.items.items() if number}
    assert counts == {Disposition.SCORED: 1, Disposition.UNSUPPORTED: 2, Disposition.WAITING: 2}
    assert counts == {k: v for k, v in ledger.balance(connection).items() if v}
    assert found.failures == {ReasonCode.FORMAT_PDF: 1}
    assert found.queue == {WorkState.READY: 1, WorkState.LEASED: 1, WorkState.RETRY_WAIT: 0}
    assert found.results == 1
    assert found.oldest_waiting_at is not None
    assert found.newest_item_at is not None
    assert found.oldest_waiting_at <= found.newest_item_at <= found.moment
    assert found.halted_at is not None
    assert found.champion is not None
    assert found.champion.digest == CHAMPION


def test_item_without_a_disposition_is_unaccounted_for(inbox: Site) -> None:
    inbox.note(sighting("a"))
    inbox.admit()
    inbox.connection.execute(text("DELETE FROM work"))

    assert health.read(inbox.connection).unaccounted == 1


def test_words_of_a_newer_version_are_counted_and_end_nothing(inbox: Site) -> None:
    inbox.arrive(unsupported("b"), "b")
    inbox.connection.execute(text("UPDATE work SET reason = 'written_by_a_newer_version'"))

    assert health.read(inbox.connection).failures == {"other": 1}
    (shown,) = overview.reasons(inbox.connection)
    assert (shown.reason, shown.items) == ("other", 1)
    assert "newer version" in advice(shown.reason)


def test_item_that_is_tried_again_waits_from_then_on(inbox: Site) -> None:
    inbox.arrive(unsupported("b"), "b")
    connection = inbox.connection
    long_ago = ledger.now(connection) - timedelta(days=400)
    connection.execute(update(item).values(first_seen_at=long_ago))
    retrying.retry(connection, Choice("op", "the reader was mended", ReasonCode.FORMAT_PDF, ()))
    found = health.read(connection)

    assert found.items[Disposition.WAITING] == 1
    assert found.oldest_waiting_at is not None
    assert found.moment - found.oldest_waiting_at < timedelta(minutes=1)
    assert found.newest_item_at == long_ago


def test_success_and_newest_ecg_of_one_source_say_nothing_of_another(inbox: Site) -> None:
    connection = inbox.connection
    inbox.note(sighting("a"))
    run_id = ledger.start_run(connection, "scan", inbox.source_id, "w")
    ledger.end_run(connection, run_id, 0, {})
    other = health.read(connection, inbox.source_id + 1)
    own = health.read(connection, inbox.source_id)

    assert (other.last_scan, other.last_success_at, other.newest_item_at) == (None, None, None)
    assert None not in (own.last_scan, own.last_success_at, own.newest_item_at)
    assert other.oldest_waiting_at == own.oldest_waiting_at is not None


def test_scans_count_and_other_runs_do_not(inbox: Site) -> None:
    connection = inbox.connection
    ended = {}
    for kind, exit_code in (("scan", 1), ("scan", 4), ("work", 0)):
        run_id = ledger.start_run(connection, kind, inbox.source_id, "w")
        ledger.end_run(connection, run_id, exit_code, {})
        ended[kind, exit_code] = ledger.now(connection)

    found = health.read(connection)

    assert found.last_scan is not None
    assert (found.last_scan.kind, found.last_scan.exit_code) == ("scan", 4)
    assert found.last_success_at is not None
    assert found.last_success_at <= ended["scan", 1]


def test_only_workers_seen_lately_are_alive(inbox: Site) -> None:
    connection = inbox.connection
    for name, kind in (("a", "work"), ("b", "work"), ("c", "serve")):
        ledger.beat(connection, name, kind, None)
    past = ledger.now(connection) - timedelta(seconds=90)
    connection.execute(update(heartbeat).where(heartbeat.c.worker == "b").values(seen_at=past))
    found = health.read(connection)

    assert found.alive("work", 60) == 1
    assert found.alive("work", 120) == 2
    assert [beat.worker for beat in found.beats][-1] == "b"


def test_lost_leases_are_counted_from_where_one_has_looked(inbox: Site) -> None:
    inbox.note(sighting("a"), sighting("b"))
    inbox.admit()
    inbox.claim(lease_s=-1.0)
    before = health.read(inbox.connection).last_event
    inbox.claim(lease_s=60.0)
    after = health.read(inbox.connection).last_event

    assert health.lost_leases(inbox.connection, before, after) == 1
    assert health.lost_leases(inbox.connection, after, after) == 0


def test_alarm_begins_is_repeated_and_ends(connection: Connection) -> None:
    def decide(*holding: str) -> list[Phase]:
        sizes = dict.fromkeys(holding, 1)
        changes = alarms.decide(connection, sizes, {"disk_low", "queue_old"}, 60)
        return [change.phase for change in changes]

    assert decide() == []
    assert decide("disk_low") == [Phase.BEGINS]
    assert decide("disk_low") == []
    past = ledger.now(connection) - timedelta(seconds=61)
    connection.execute(update(alert).values(sent_at=past))
    assert decide("disk_low") == [Phase.HOLDS]
    assert decide("disk_low", "queue_old") == [Phase.BEGINS]
    assert [change.name for change in alarms.holding(connection)] == ["disk_low", "queue_old"]
    assert decide("queue_old") == [Phase.ENDS]
    assert decide("queue_old") == []
    assert decide("disk_low", "queue_old") == [Phase.BEGINS]


@pytest.mark.parametrize(
    ("told", "size", "waited_s", "phase"),
    [
        (1, 1, 0, None),
        (1, 2, 0, Phase.RISES),
        (10, 19, 0, None),
        (10, 20, 0, Phase.RISES),
        (10, 500, 0, Phase.RISES),
        (10, 3, 0, None),
        (10, 19, 60, Phase.HOLDS),
        (10, 20, 60, Phase.RISES),
        (10, 3, 60, Phase.HOLDS),
    ],
)
def test_alarm_is_due_again_where_it_has_doubled_or_is_old(
    told: int, size: int, waited_s: int, phase: Phase | None
) -> None:
    after = timedelta(seconds=60)

    assert alarms.due(told, size, timedelta(seconds=waited_s), after) is phase


def test_alarm_that_rises_is_measured_against_what_was_told_last(connection: Connection) -> None:
    def decide(size: int) -> list[Phase]:
        holding = {"failures_open": size} if size else {}
        changes = alarms.decide(connection, holding, {"failures_open"}, 60)
        return [change.phase for change in changes]

    assert decide(100) == [Phase.BEGINS]
    assert decide(199) == decide(20) == decide(199) == []
    assert decide(200) == [Phase.RISES]
    assert decide(399) == []
    past = ledger.now(connection) - timedelta(seconds=61)
    connection.execute(update(alert).values(sent_at=past))
    assert decide(30) == [Phase.HOLDS]  # so thirty is what was told
    assert decide(60) == [Phase.RISES]
    assert decide(0) == [Phase.ENDS]
    assert decide(2) == [Phase.BEGINS]


def test_what_cannot_be_judged_is_left_as_it_is(connection: Connection) -> None:
    alarms.decide(connection, {"queue_old": 1}, {"queue_old"}, 60)

    assert alarms.decide(connection, {}, set(), 60) == []
    assert len(alarms.holding(connection)) == 1


def test_services_that_decide_at_once_tell_each_change_once(engine: Engine) -> None:
    told: list[tuple[int, Phase]] = []
    together = threading.Barrier(6)

    def decide() -> None:
        for turn in range(6):
            together.wait()
            holding = [{"queue_old": 3}, {"queue_old": 7}, {}][turn % 3]
            with transaction(engine) as connection:
                changes = alarms.decide(connection, holding, {"queue_old"}, 3600)
            told.extend((turn, change.phase) for change in changes)
            together.wait()

    threads = [threading.Thread(target=decide) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(told) == [
        (turn, [Phase.BEGINS, Phase.RISES, Phase.ENDS][turn % 3]) for turn in range(6)
    ]
