"""D2: a minute without the server in the middle of finishing, and a hundred sessions ended."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults.field import Field
from tests.faults.fork_server import ForkServer, kill
from tests.faults.nightly import all_is_well, hospital, n_left, operator, scaled
from tests.faults.outages import Mortal
from tests.faults.test_kills import _logged, _stop
from tests.support.bundles import save_quick_bundle
from tests.support.many import write_many

pytestmark = [pytest.mark.nightly, pytest.mark.postgres]

_OUTAGE_S = 60.0
_END_ONE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'ecg'"
    " AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND xact_start IS NOT NULL"
    " ORDER BY md5(pid::text || %s) LIMIT 1"
)
_FINISHING = (
    "SELECT COUNT(*) FROM pg_stat_activity"
    " WHERE state = 'idle in transaction' AND query LIKE 'INSERT INTO result%'"
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    save_quick_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def place(tmp_path: Path, bundle: Path) -> Iterator[tuple[Field, Mortal]]:
    with hospital(tmp_path / "field", bundle) as made:
        yield made


class _Ender:
    """Ends sessions of the workers that are in a transaction, at even steps of the work."""

    def __init__(self, n_files: int, times: int) -> None:
        self.ended = 0
        self._n_files, self._times = n_files, times
        self._rng = random.Random(20261125)  # noqa: S311 - chance, no secret

    def until(self, connection: psycopg.Connection, n_left_then: int) -> None:
        """Work on until no more than so many files are left."""
        moved, before = time.monotonic(), -1
        while (left := n_left(connection)) > n_left_then:
            moved = time.monotonic() if left != before else moved
            before = left
            assert time.monotonic() - moved < 60, f"stalled at {left}"
            if self.ended < self._times * (1 - left / self._n_files):
                self.end_one(connection)
            time.sleep(0.005)

    def end_one(self, connection: psycopg.Connection) -> None:
        row = connection.execute(_END_ONE, (str(self._rng.random()),)).fetchone()
        self.ended += row is not None and row[0]


def test_a_minute_without_the_server_and_a_hundred_ended_sessions(
    place: tuple[Field, Mortal],
) -> None:
    field, database = place
    n_files, n_ended = scaled(5000), scaled(100)
    write_many(field.inbox, n_files)
    flag = field.home / "halt"
    ender = _Ender(n_files, n_ended)
    with ForkServer(field.home / "workers.log") as server:
        server.warm(field.config)
        assert server.run("scan", config=str(field.config)) == 0
        how = {"config": str(field.config), "in_process": True, "halting": str(flag)}
        workers = [server.fork("worker", **how) for _ in range(2)]
        with operator(database) as connection:
            ender.until(connection, n_files // 2)
            flag.touch()
            _until_all_are_finishing(connection, len(workers))
        database.stop()
        flag.unlink()
        time.sleep(_OUTAGE_S)
        assert not any(server.has_ended(pid) for pid in workers)
        database.start()
        database.wait()
        with operator(database) as connection:
            ender.until(connection, 0)
        assert not any(server.has_ended(pid) for pid in workers)
        _stop(server, *workers)
    assert ender.ended >= n_ended - 1
    assert _logged(field, "database_away") > n_ended // 2
    all_is_well(field, n_files)


def _until_all_are_finishing(connection: psycopg.Connection, n_workers: int) -> None:
    until = time.monotonic() + 30
    while connection.execute(_FINISHING).fetchone() != (n_workers,):
        assert time.monotonic() < until
        time.sleep(0.005)


def test_control_a_worker_without_patience_ends(place: tuple[Field, Mortal]) -> None:
    field, database = place
    n_files = 200
    write_many(field.inbox, n_files)
    ender = _Ender(n_files, 20)
    with ForkServer(field.home / "workers.log") as server, operator(database) as connection:
        server.warm(field.config)
        assert server.run("scan", config=str(field.config)) == 0
        how = {"config": str(field.config), "in_process": True, "without": "patience"}
        worker = server.fork("worker", **how)
        while not server.has_ended(worker) and n_left(connection):
            ender.end_one(connection)
            time.sleep(0.05)
        assert ender.ended
        assert n_left(connection)
        assert server.wait(worker, 30.0) == 70
        kill(worker)


@pytest.mark.parametrize("without", ["", "patience"])
def test_an_idle_worker_closes_its_run_when_the_server_is_back(
    place: tuple[Field, Mortal], without: str
) -> None:
    field, database = place
    write_many(field.inbox, 5)
    closed = "SELECT COUNT(*) FROM run WHERE kind = 'work' AND ended_at IS NOT NULL"
    with ForkServer(field.home / "workers.log") as server, operator(database) as connection:
        server.warm(field.config)
        assert server.run("scan", config=str(field.config)) == 0
        how = {"config": str(field.config), "in_process": True, "losing_its_session": True}
        worker = server.fork("worker", without=without, **how)
        if without:
            assert server.wait(worker, 60.0) == 70
            return
        until = time.monotonic() + 60
        while connection.execute(closed).fetchone() != (1,):
            assert time.monotonic() < until
            time.sleep(0.05)
        _stop(server, worker)
    assert _logged(field, "database_away") == 1
    all_is_well(field, 5)
