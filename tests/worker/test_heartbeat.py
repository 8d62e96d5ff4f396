"""The thread beside the work: leases renewed, lost ones noticed, a hanging worker ended."""

import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, update

from ecgbatch.heartbeat import Heartbeat
from ecgbatch.records import WorkUnit
from ecgbatch.settings import Work, load_settings
from ecgbatch.store import ledger
from ecgbatch.store.engine import transaction
from ecgbatch.store.tables import work
from ecgbatch.store.tables_ledger import heartbeat
from tests.support.ledger import sighting, site


def _settings(lease_s: float = 0.6, expire_s: float = 60.0) -> Work:
    shipped = load_settings(environment={}).work
    return shipped.model_copy(update={"lease_s": lease_s, "expire_s": expire_s})


@pytest.fixture
def units(engine: Engine) -> list[WorkUnit]:
    with transaction(engine) as connection:
        here = site(connection)
        here.note(*(sighting(f"{name}.xml") for name in "abc"))
        here.admit()
        return here.claim(lease_s=0.6)


def _lease_left(engine: Engine, unit: WorkUnit) -> timedelta:
    with transaction(engine) as connection:
        until = connection.execute(
            select(work.c.lease_until).where(work.c.work_id == unit.work_id)
        ).scalar_one()
        assert until is not None
        return until - ledger.now(connection)


def test_leases_live_on_while_they_are_held_and_end_when_they_are_dropped(
    engine: Engine, units: list[WorkUnit]
) -> None:
    with Heartbeat(engine, "w1", "work", _settings()) as heart:
        heart.hold(units)
        heart.drop(units[2])
        time.sleep(2.5)
        assert _lease_left(engine, units[0]) > timedelta(0)
        assert _lease_left(engine, units[1]) > timedelta(0)
        assert _lease_left(engine, units[2]) < timedelta(0)
        assert heart.is_ours(units[0])


def test_a_unit_that_another_worker_has_taken_is_known_as_lost_until_it_is_held_again(
    engine: Engine, units: list[WorkUnit]
) -> None:
    with Heartbeat(engine, "w1", "work", _settings()) as heart:
        heart.hold(units)
        with transaction(engine) as connection:
            connection.execute(
                update(work).where(work.c.work_id == units[1].work_id).values(token=99)
            )
        time.sleep(1.5)
        assert heart.is_ours(units[0])
        assert not heart.is_ours(units[1])
        heart.hold([units[1]])
        assert heart.is_ours(units[1])


def test_the_row_of_a_worker_stands_while_it_lives_and_goes_when_it_leaves(engine: Engine) -> None:
    with Heartbeat(engine, "w1", "work", _settings()):
        with transaction(engine) as connection:
            first = connection.execute(select(heartbeat.c.seen_at)).scalar_one()
        time.sleep(1.5)
        with transaction(engine) as connection:
            assert connection.execute(select(heartbeat.c.seen_at)).scalar_one() > first
    with transaction(engine) as connection:
        assert connection.execute(select(heartbeat)).all() == []


def test_work_that_hangs_ends_the_process_and_a_wait_for_the_database_does_not(
    engine: Engine, units: list[WorkUnit]
) -> None:
    ended = threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    with Heartbeat(engine, "w1", "work", _settings(expire_s=0.3), end) as heart:
        heart.hold(units)
        heart.moved()
        heart.end()
        time.sleep(1.0)
        assert not ended.is_set()
        for _ in range(5):
            heart.moved()
            time.sleep(0.1)
        assert not ended.is_set()
        assert ended.wait(5.0)
    assert codes[0] == 70
