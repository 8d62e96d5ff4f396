"""Workers whose clocks are an hour off, and a clock that jumps (T1, the ledger's part)."""

import datetime as clock
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

from ecgbatch.errors import LeaseLost
from ecgbatch.records import WorkUnit
from ecgbatch.store import engine as store_engine
from ecgbatch.store import ledger
from ecgbatch.store.engine import transaction
from tests.support.ledger import CHAMPION, PIPELINE, facts, provenance, scored, sighting, site

SKEWS_S = (-3600, 0, 3600)
FILES = 60
DEAD = 10
"""Units whose worker has died before the others begin."""


@pytest.fixture
def queue(engine: Engine) -> Engine:
    """Work for all, some of it held by a worker that is dead."""
    with transaction(engine) as connection:
        made = site(connection)
        made.note(*(sighting(f"{n:04}") for n in range(FILES)))
        made.admit()
        assert len(made.claim(DEAD, lease_s=0.2)) == DEAD
    return engine


def work_side_by_side(url: str, whose_clock: str) -> list[dict[str, int]]:
    workers = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.faults.skewed_worker"),
                *(url, str(skew_s), f"host{number}:1", whose_clock),
            ],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, skew_s in enumerate(SKEWS_S)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    said = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * len(SKEWS_S)
    return [json.loads(one) for one in said]


def events(engine: Engine) -> Counter[str]:
    with transaction(engine) as connection:
        return Counter(connection.execute(text("SELECT kind FROM event")).scalars())


def scored_once(engine: Engine) -> bool:
    sql = "SELECT COUNT(*), COUNT(DISTINCT recording_id) FROM result"
    with transaction(engine) as connection:
        n_results, n_recordings = connection.execute(text(sql)).one()
        return bool(n_results == n_recordings == ledger.balance(connection)["scored"] == FILES)  # type: ignore[index]


@pytest.mark.parametrize("backend", [pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_leases_are_the_databases_time_whatever_the_workers_clocks_say(
    queue: Engine, database_url: str
) -> None:
    said = work_side_by_side(database_url, "the database's")

    assert scored_once(queue)
    assert sum(one["finished"] for one in said) == FILES
    assert all(one["finished"] for one in said)
    assert sum(one["lost"] for one in said) == 0
    counted = events(queue)
    assert counted["finished"] == FILES
    assert counted["lost"] + counted["lost_alone"] == DEAD


@pytest.mark.parametrize("backend", [pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_control_by_their_own_clocks_they_take_what_others_hold(
    queue: Engine, database_url: str
) -> None:
    work_side_by_side(database_url, "its own")

    counted = events(queue)
    assert counted["lost"] + counted["lost_alone"] > DEAD


def jump(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The clock of this machine, which is that of an SQLite file, is set."""

    class Jumped(clock.datetime):
        @classmethod
        def now(cls, tz: clock.tzinfo | None = None) -> clock.datetime:
            return clock.datetime.now(tz) + clock.timedelta(seconds=seconds)

    monkeypatch.setattr(store_engine, "datetime", Jumped)


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("hours", [1, -1])
def test_clock_of_an_sqlite_ledger_may_jump_and_nothing_is_scored_twice(
    queue: Engine, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    with transaction(queue) as connection:
        run_id = ledger.start_run(connection, "run-once", None, "a:1")
        (held,) = claim(connection, "a:1", run_id, 1)
    jump(monkeypatch, 3600.0 * hours)
    while True:
        with transaction(queue) as connection:
            units = claim(connection, "b:2", run_id, 16)
        for unit in units:
            with transaction(queue) as connection:
                outcome = scored(facts(unit.locator))
                ledger.finish(connection, unit, outcome, provenance(run_id), 0.0)
        if not units:
            break
    with transaction(queue) as connection:
        is_waiting = ledger.balance(connection)["waiting"]  # type: ignore[index]
    late = scored(facts(held.locator))

    if hours > 0:
        # Everything looked overdue: the other took it, and the first one's write is refused.
        with pytest.raises(LeaseLost), transaction(queue) as connection:
            ledger.finish(connection, held, late, provenance(run_id), 0.0)
        assert is_waiting == 0
        assert scored_once(queue)
        return
    # Leases look longer than they are: what the dead worker held waits, nothing is taken away.
    assert is_waiting == 1 + DEAD
    with transaction(queue) as connection:
        ledger.finish(connection, held, late, provenance(run_id), 0.0)
        ledger.bury(connection, "w1")
        assert claim(connection, "b:2", run_id, 16)


def claim(connection: Connection, worker: str, run_id: int, limit: int) -> list[WorkUnit]:
    return ledger.claim(
        connection,
        None,
        CHAMPION,
        pipeline_id=PIPELINE,
        worker=worker,
        limit=limit,
        lease_s=60.0,
        run_id=run_id,
    )
