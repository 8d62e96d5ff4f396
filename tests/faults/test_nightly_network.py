"""D3: a network that falls silent, resets, hesitates, or loses the answer to a COMMIT."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.faults.field import Field, count, drop_unique_key, n_finished
from tests.faults.fork_server import ForkServer, kill
from tests.faults.nightly import all_is_well, hospital, scaled
from tests.faults.test_kills import _logged, _stop
from tests.support.broken_network import Kind, Network, broken_network
from tests.support.bundles import save_quick_bundle
from tests.support.many import write_many

pytestmark = [pytest.mark.nightly, pytest.mark.postgres]

_NOTICED_S = 30.0
_OF_20: dict[Kind, int] = {"blackhole": 1, "latency": 2, "reset": 8, "lost_commit": 9}
"""Silence and latency cost seconds each, the others nothing."""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    save_quick_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def place(tmp_path: Path, bundle: Path) -> Iterator[tuple[Field, Network]]:
    """The workers reach the server through the network, the counting does not."""
    with (
        hospital(tmp_path / "field", bundle) as (field, server),
        broken_network(server.home / ".s.PGSQL.5432") as network,
    ):
        stated = field.config.read_text(encoding="utf-8")
        over_network = stated.replace(field.url, network.url("ecg"))
        over_network = over_network.replace("[database]\n", '[database]\ntls = "off"\n')
        config = field.config.with_name("over_network.toml")
        config.write_text(over_network, encoding="utf-8")
        yield replace(field, config=config), network


@pytest.fixture
def engine(place: tuple[Field, Network]) -> Iterator[Engine]:
    opened = place[0].engine()
    yield opened
    opened.dispose()


def _schedule(n_faults: int) -> list[Kind]:
    twenty = [kind for kind, number in _OF_20.items() for _ in range(number)]
    kinds = [twenty[number % len(twenty)] for number in range(n_faults)]
    random.Random(20261125).shuffle(kinds)  # noqa: S311 - chance, no secret
    return kinds


def _until_all_work(engine: Engine, n_workers: int) -> None:
    """A worker that starts without its database ends; one that has begun waits for it."""
    begun = text("SELECT COUNT(DISTINCT worker) FROM work WHERE finished_at IS NOT NULL")
    until = time.monotonic() + 60
    with engine.connect() as connection:
        while connection.execute(begun).scalar_one() < n_workers:
            connection.rollback()
            assert time.monotonic() < until
            time.sleep(0.01)


def _fail_through(engine: Engine, network: Network, kinds: list[Kind], n_files: int) -> None:
    """One fault at each even step of the work, until all of it is done."""
    step = 0.9 * n_files / len(kinds)
    begun, moved, before = 0, time.monotonic(), -1
    while (done := n_finished(engine)) < n_files:
        moved = time.monotonic() if done != before else moved
        before = done
        assert time.monotonic() - moved < 60, f"stalled at {done} of {n_files}"
        if begun < len(kinds) and done >= begun * step:
            network.fail(kinds[begun])
            begun += 1
        time.sleep(0.01)


def test_two_hundred_faults_of_the_network_cost_time_and_nothing_else(
    place: tuple[Field, Network], engine: Engine
) -> None:
    field, network = place
    n_files, kinds = scaled(4000), _schedule(scaled(200))
    write_many(field.inbox, n_files)
    with ForkServer(field.home / "workers.log") as server:
        server.warm(field.home / "site.toml")
        assert server.run("scan", config=str(field.config)) == 0
        how = {"config": str(field.config), "in_process": True}
        workers = [server.fork("worker", **how) for _ in range(3)]
        _until_all_work(engine, len(workers))
        _fail_through(engine, network, kinds, n_files)
        assert not any(server.has_ended(pid) for pid in workers)
        _stop(server, *workers)
    assert network.done == Counter(kinds)
    assert len(network.noticed_s) == network.done["blackhole"]
    assert max(network.noticed_s) < _NOTICED_S
    assert _logged(field, "database_away") > 0
    # What was committed although its answer was lost is met as a lease that is no longer held.
    assert _logged(field, "lease_lost") > 0
    all_is_well(field, n_files)


@pytest.mark.parametrize("without", ["fence", "one_transaction"])
def test_control_a_lost_answer_is_written_twice(
    place: tuple[Field, Network], engine: Engine, without: str
) -> None:
    field, network = place
    n_files = 200
    write_many(field.inbox, n_files)
    drop_unique_key(field.url)
    with ForkServer(field.home / "workers.log") as server:
        server.warm(field.home / "site.toml")
        assert server.run("scan", config=str(field.config)) == 0
        how = {"config": str(field.config), "in_process": True, "without": without}
        worker = server.fork("worker", **how)
        _until_all_work(engine, 1)
        _fail_through(engine, network, ["lost_commit"] * 20, n_files)
        kill(worker)
        server.wait(worker)
    assert count(engine, n_files).twice > 0


def test_control_without_a_limit_a_silent_network_holds_the_worker(
    place: tuple[Field, Network], engine: Engine
) -> None:
    field, network = place
    n_files = 200
    write_many(field.inbox, n_files)
    with ForkServer(field.home / "workers.log") as server:
        server.warm(field.home / "site.toml")
        assert server.run("scan", config=str(field.config)) == 0
        how = {"config": str(field.config), "in_process": True, "without": "limit_of_silence"}
        worker = server.fork("worker", **how)
        while n_finished(engine) < 5:
            time.sleep(0.01)
        network.fail("blackhole")
        while network.is_due():
            time.sleep(0.01)
        time.sleep(_NOTICED_S)
        assert network.noticed_s == []
        assert n_finished(engine) < n_files
        assert not server.has_ended(worker)
        kill(worker)
        server.wait(worker)
