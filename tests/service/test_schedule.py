"""The running schedule: one scan per due time among services, late ones once, faults survived."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from sqlalchemy import Engine, select

from ecgbatch.errors import SetupFault
from ecgbatch.service import timetable
from ecgbatch.service.schedule import Schedule, schedule_name
from ecgbatch.settings import Service, load_settings
from ecgbatch.store import firings
from ecgbatch.store.engine import transaction
from ecgbatch.store.tables_ledger import firing
from ecgbatch.terms import ReasonCode

ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"])


def settings(interval_s: int = 1, schedule: str = "") -> Service:
    table = {"interval_s": interval_s, "schedule": schedule}
    return load_settings(None, {"service": table}, {}).service


@contextmanager
def running(
    engine: Engine, scan: Callable[[], object], of: Service, identity: str = "a"
) -> Iterator[Schedule]:
    schedule = Schedule(of, 1, engine, identity, scan)
    schedule.start()
    try:
        yield schedule
    finally:
        schedule.stop()
        assert schedule.is_idle(5.0)


def due_times(engine: Engine) -> list[datetime]:
    with transaction(engine) as connection:
        return list(connection.execute(select(firing.c.due_at).order_by(firing.c.due_at)).scalars())


def wait_for(is_true: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_true()


def test_two_services_share_one_schedule_and_run_nothing_twice(engine: Engine) -> None:
    scans: list[str] = []
    with (
        running(engine, lambda: scans.append("a"), settings(), "a"),
        running(engine, lambda: scans.append("b"), settings(), "b"),
    ):
        assert wait_for(lambda: len(scans) >= 4)

    due = due_times(engine)
    assert len(scans) == len(due)
    assert len(set(due)) == len(due)


@ON_SQLITE
def test_scan_longer_than_the_interval_runs_alone_and_the_next_one_late(engine: Engine) -> None:
    at_once, most = 0, 0

    def scan() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(2.2)
        at_once -= 1

    with running(engine, scan, settings()) as schedule:
        assert wait_for(lambda: len(due_times(engine)) >= 3, 15.0)
        assert schedule.last_fault is None

    assert most == 1


def test_service_that_comes_late_makes_the_missed_scan_up_once(engine: Engine) -> None:
    missed = datetime.now(UTC) - timedelta(hours=5)
    nightly = settings(schedule=f"{missed.minute} {missed.hour} * * *")
    scanned = Event()

    with running(engine, scanned.set, nightly):
        assert scanned.wait(10)
    assert due_times(engine) == [missed.replace(second=0, microsecond=0)]

    scanned.clear()
    with running(engine, scanned.set, nightly, "its successor"):
        assert not scanned.wait(1)


@ON_SQLITE
def test_failed_scan_is_shown_and_the_next_one_runs(engine: Engine) -> None:
    outcomes = iter([SetupFault(ReasonCode.SOURCE_UNAVAILABLE), ValueError("/a/path"), None])
    seen: list[ReasonCode | None] = []

    def scan() -> None:
        seen.append(schedule.last_fault)
        if (fault := next(outcomes, None)) is not None:
            raise fault

    schedule = Schedule(settings(), 1, engine, "a", scan)
    schedule.start()
    assert wait_for(lambda: len(seen) >= 4)
    schedule.stop()

    assert seen[:4] == [None, ReasonCode.SOURCE_UNAVAILABLE, ReasonCode.INTERNAL_FAULT, None]


@ON_SQLITE
def test_fault_stays_until_a_scan_of_this_service_succeeds(engine: Engine) -> None:
    schedule = Schedule(settings(), 1, engine, "a", lambda: None)
    schedule.last_fault = ReasonCode.SOURCE_UNAVAILABLE
    due = datetime.now(UTC)

    schedule._run(due, lambda *_: False)  # another service's
    assert (schedule.last_fault, schedule.has_scanned) == (ReasonCode.SOURCE_UNAVAILABLE, False)
    schedule._run(due, lambda *_: True)
    assert (schedule.last_fault, schedule.has_scanned) == (None, True)


@ON_SQLITE
def test_scan_of_a_service_that_died_is_made_up_for(engine: Engine) -> None:
    of = settings(schedule="30 1 * * *")
    due = timetable.last_due(timetable.trigger(of), datetime.now(UTC))
    assert due is not None
    with transaction(engine) as connection:
        assert firings.take(connection, schedule_name(of, 1), due, "one that died")
    scans: list[int] = []

    with running(engine, lambda: scans.append(1), of) as schedule:
        time.sleep(0.3)
        assert scans == []  # taken: at the start nobody knows yet whether it died
        schedule._again()

    assert scans == [1]


@ON_SQLITE
@pytest.mark.parametrize("shift_s", [3600.0, -3600.0])
def test_clock_that_is_set_by_an_hour_stops_nothing(engine: Engine, shift_s: float) -> None:
    scans: list[int] = []
    with running(engine, lambda: scans.append(1), settings(), f"a {shift_s}") as schedule:
        assert wait_for(lambda: len(scans) >= 1)
        # What a clock that goes back leaves behind: everything is due an hour too late.
        for job in ("scan", "again", "tick"):
            late = datetime.now(UTC) + timedelta(hours=1)
            schedule._scheduler.modify_job(job, next_run_time=late)
        before = len(scans)
        time.sleep(1.5)
        assert len(scans) <= before + 1  # control: nothing runs by itself

        schedule._offset -= shift_s
        schedule.watch_clock()
        reached = len(scans)
        assert wait_for(lambda: len(scans) >= reached + 2)
        assert wait_for(lambda: schedule.age_s() < 1.0)


@ON_SQLITE
def test_stopped_schedule_begins_nothing(engine: Engine) -> None:
    scans: list[int] = []
    with running(engine, lambda: scans.append(1), settings(), "s"):
        assert wait_for(lambda: len(scans) >= 1)
    number = len(scans)

    time.sleep(1.3)
    assert len(scans) == number
