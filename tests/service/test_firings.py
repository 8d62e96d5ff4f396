"""A due time is one service's: taken once, and taken over only from a dead or failed one."""

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, select, update

from ecgbatch.store import firings, ledger
from ecgbatch.store.engine import transaction
from ecgbatch.store.tables_ledger import firing, heartbeat

DUE = datetime(2026, 5, 1, 1, 30, tzinfo=UTC)
SCHEDULE = "every 300 s, source abc"


def take_over(connection: Connection, worker: str, silent_s: float = 60.0) -> bool:
    return firings.take_over(
        connection, SCHEDULE, DUE, worker, source_id=source(connection), silent_s=silent_s
    )


def source(connection: Connection, name: str = "inbox") -> int:
    return ledger.ensure_source(
        connection, name, kind="folder", root="/inbox", authority="MRN", time_zone=None
    )


def scan_ended(connection: Connection, exit_code: int, name: str = "inbox") -> None:
    run_id = ledger.start_run(connection, "scan", source(connection, name), "h:1")
    ledger.end_run(connection, run_id, exit_code, {})


def test_services_that_ask_at_once_share_the_due_times_between_them(engine: Engine) -> None:
    names = [f"service {n}" for n in range(8)]
    taken: list[tuple[int, str]] = []
    together = threading.Barrier(len(names))

    def ask(name: str) -> None:
        for minute in range(5):
            together.wait()
            with transaction(engine) as connection:
                if firings.take(connection, SCHEDULE, DUE + timedelta(minutes=minute), name):
                    taken.append((minute, name))

    threads = [threading.Thread(target=ask, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(minute for minute, _ in taken) == [0, 1, 2, 3, 4]
    with transaction(engine) as connection:
        rows = connection.execute(select(firing.c.due_at, firing.c.worker)).all()
    assert {(row.due_at, row.worker) for row in rows} == {
        (DUE + timedelta(minutes=minute), name) for minute, name in taken
    }


def test_own_time_is_taken_again_only_where_the_clock_may_have_gone_back(
    connection: Connection,
) -> None:
    assert firings.take(connection, SCHEDULE, DUE, "a")

    assert not firings.take(connection, SCHEDULE, DUE, "a")
    assert firings.take(connection, SCHEDULE, DUE, "a", repeats=True)
    assert not firings.take(connection, SCHEDULE, DUE, "b", repeats=True)
    assert firings.take(connection, "another schedule", DUE, "b")


def test_failed_scan_is_taken_up_again_and_a_done_one_not(connection: Connection) -> None:
    assert not take_over(connection, "a")  # nobody has taken it
    firings.take(connection, SCHEDULE, DUE, "a")
    scan_ended(connection, 4)
    scan_ended(connection, 0, "another source")

    assert take_over(connection, "a")
    scan_ended(connection, 1)
    assert not take_over(connection, "a")


def test_only_the_time_of_a_dead_service_is_taken_over(connection: Connection) -> None:
    firings.take(connection, SCHEDULE, DUE, "a")
    ledger.beat(connection, "a", "serve", None)
    ledger.beat(connection, "b", "serve", None)

    assert not take_over(connection, "b")
    past = ledger.now(connection) - timedelta(seconds=61)
    connection.execute(update(heartbeat).where(heartbeat.c.worker == "a").values(seen_at=past))
    assert take_over(connection, "b")
    assert not take_over(connection, "c")
