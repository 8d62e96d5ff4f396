"""Workers that are killed, frozen, stopped or poisoned: nothing lost, nothing twice.

The plan's numbers K1 to K7 stand at each test. A test's control takes one protection away and
must see what the protection prevents.
"""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from ecgbatch.records import Member, RecordingBytes
from tests.faults.field import Field, count, drop_unique_key, lay_out, n_finished
from tests.faults.fork_server import ForkServer, kill
from tests.faults.kill_run import kill_workers
from tests.support.bundles import save_quick_bundle
from tests.support.effort import effort
from tests.support.many import write_many
from tests.support.processes import children, is_alive, wait_for

_QUICK = "[work]\nidle_s = 0.05\nlease_s = 30.0\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    save_quick_bundle(folder)
    return folder


@pytest.fixture
def field(tmp_path: Path, empty_database_url: str, bundle: Path) -> Field:
    return lay_out(tmp_path / "field", empty_database_url, bundle=bundle, settings=_QUICK)


@pytest.fixture
def engine(field: Field) -> Iterator[Engine]:
    opened = field.engine()
    yield opened
    opened.dispose()


@pytest.fixture
def server(field: Field) -> Iterator[ForkServer]:
    with ForkServer(field.home / "workers.log") as started:
        started.warm(field.config)
        yield started


def _scan(field: Field, server: ForkServer, n_files: int) -> None:
    write_many(field.inbox, n_files)
    assert server.run("scan", config=str(field.config)) == 0


def _until(engine: Engine, n_done: int, timeout_s: float = 120.0) -> None:
    until = time.monotonic() + timeout_s
    while n_finished(engine) < n_done:
        assert time.monotonic() < until, f"{n_finished(engine)} of {n_done}"
        time.sleep(0.01)


def _stop(server: ForkServer, *workers: int) -> None:
    for pid in workers:
        kill(pid, signal.SIGTERM)
    assert [server.wait(pid) for pid in workers] == [0] * len(workers)


def _logged(field: Field, name: str) -> int:
    lines = (field.home / "workers.log").read_text(encoding="utf-8").splitlines()
    return sum(json.loads(line)["event"] == name for line in lines if line.startswith("{"))


@pytest.mark.timeout(900)
def test_killed_workers_lose_nothing_and_score_nothing_twice(field: Field) -> None:
    """K1, K2: the headline, 200 kills over 5,000 files (`make fault-headline`), here fewer."""
    n_files = effort(5000, with_every_change=1000)
    n_kills, n_copies = n_files // 25, n_files // 100
    run = kill_workers(field, n_files=n_files, n_kills=n_kills, n_copies=n_copies)

    assert run.kills == n_kills
    assert (run.count.lost, run.count.twice, run.count.quarantined) == (0, 0, 0)
    assert run.count.dispositions == {"scored": n_files - n_copies, "duplicate": n_copies}
    assert run.count.results == n_files - n_copies
    assert run.count.broken == ()


def test_control_a_result_and_its_state_in_two_transactions_are_seen(field: Field) -> None:
    drop_unique_key(field.url)

    run = kill_workers(field, n_files=500, n_kills=100, without="one_transaction")

    assert run.count.twice > 0


@pytest.mark.parametrize("without", ["", "fence"])
def test_frozen_workers_cannot_write_what_others_have_taken_over(
    field: Field, engine: Engine, server: ForkServer, without: str
) -> None:
    """K4: workers stopped past their leases, then woken: eight, with every change four."""
    n_freezes = effort(8, with_every_change=4)
    n_files = 100 + 100 * n_freezes
    settings = field.config.read_text(encoding="utf-8").replace("lease_s = 30.0", "lease_s = 1.0")
    field.config.write_text(settings, encoding="utf-8")
    _scan(field, server, n_files)
    how = {"config": str(field.config), "in_process": True, "slowly_s": 0.01, "without": without}
    workers = [server.fork("worker", **how) for _ in range(2)]

    for freeze in range(n_freezes):
        _until(engine, 20 + 50 * freeze)
        frozen = workers[freeze % 2]
        kill(frozen, signal.SIGSTOP)
        # The other one first ends what it holds, then takes over what was lost.
        time.sleep(3.5)
        kill(frozen, signal.SIGCONT)
    _until(engine, n_files)
    _stop(server, *workers)

    found = count(engine, n_files)
    if without:
        assert found.twice > 0
        return
    assert (found.lost, found.twice, found.quarantined) == (0, 0, 0)
    assert found.broken == ()
    assert _logged(field, "lease_lost") > 0


@pytest.mark.parametrize("without", ["", "isolation_of_suspects"])
def test_files_that_kill_their_workers_are_set_aside_and_no_others(
    field: Field, engine: Engine, server: ForkServer, without: str
) -> None:
    """K5: five poisonous files among a thousand (fewer with every change and for the control)."""
    n_files = 100 if without else effort(1000, with_every_change=300)
    _scan(field, server, n_files)
    poison = [field.inbox / f"ecg{number:06d}.xml" for number in range(7, n_files, n_files // 5)]
    how = {
        "config": str(field.config),
        "in_process": True,
        "without": without,
        "poison": [_digest(path) for path in poison],
    }
    workers = [server.fork("worker", **how) for _ in range(2)]
    crashes, until = 0, time.monotonic() + 180
    while n_finished(engine) < n_files:
        assert time.monotonic() < until
        time.sleep(0.01)
        for place, pid in enumerate(workers):
            if server.has_ended(pid):
                crashes += 1
                workers[place] = server.fork("worker", **how)
    _stop(server, *workers)

    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT i.locator, w.reason FROM work w JOIN item i ON i.item_id = w.item_id"
                " WHERE w.state = 'quarantined'"
            )
        ).all()
    innocent = {row.locator for row in rows} - {path.name for path in poison}
    if without:
        assert innocent
        return
    assert {row.locator for row in rows} == {path.name for path in poison}
    assert {row.reason for row in rows} == {"crash_loop"}
    # Once in a batch with others, then up to three times alone.
    assert crashes <= len(poison) * 4
    found = count(engine, n_files)
    assert found.dispositions == {"scored": n_files - 5, "failed": 5}
    assert found.broken == ()


def _digest(path: Path) -> str:
    return RecordingBytes((Member(path.name, path.read_bytes()),)).file_digest


@pytest.mark.parametrize("without", ["", "giving_back"])
def test_workers_told_to_stop_end_within_a_batch_and_give_everything_back(
    field: Field, engine: Engine, server: ForkServer, without: str
) -> None:
    """K6: SIGTERM under load, twenty times (with every change twelve), some of them twice."""
    n_files = effort(1000, with_every_change=400)
    _scan(field, server, n_files)
    how = {"config": str(field.config), "in_process": True, "slowly_s": 0.02, "without": without}
    kept = 0
    for number in range(3 if without else effort(20, with_every_change=12)):
        before = n_finished(engine)
        worker = server.fork("worker", **how)
        _until(engine, before + 1)
        time.sleep(0.01 * (number % 7))
        kill(worker, signal.SIGTERM)
        if number % 4 == 3:
            kill(worker, signal.SIGTERM)
        code = server.wait(worker, 10.0)
        # The second signal ends it like one by hand; what it held is given back all the same.
        assert code == 0 or number % 4 == 3
        with engine.connect() as connection:
            leased = text("SELECT COUNT(*) FROM work WHERE state = 'leased'")
            kept = int(connection.execute(leased).scalar_one())
        assert without or kept == 0
    if without:
        assert kept > 0
        return
    assert server.run("worker", config=str(field.config), drain=True, in_process=True) == 0
    found = count(engine, n_files)
    assert (found.lost, found.twice, found.broken) == (0, 0, ())


def test_a_killed_worker_leaves_no_reader_process_behind(
    field: Field, engine: Engine, server: ForkServer
) -> None:
    """K7: ten workers, each with a reader process of its own."""
    _scan(field, server, 200)
    for number in range(10):
        worker = server.fork("worker", config=str(field.config), slowly_s=0.02)
        assert wait_for(lambda worker=worker: children(worker) != [])
        if number == 0:
            _until(engine, 1)
        readers = children(worker)
        kill(worker)
        server.wait(worker)
        _until_ended(readers)


def test_a_killed_fork_server_takes_its_workers_with_it(field: Field, engine: Engine) -> None:
    with ForkServer(field.home / "workers.log") as server:
        _scan(field, server, 100)
        workers = [
            server.fork("worker", config=str(field.config), in_process=True, slowly_s=0.02)
            for _ in range(2)
        ]
        _until(engine, 2)
        kill(server.process_id)
        _until_ended(workers)


def test_control_a_child_that_does_not_ask_for_it_outlives_its_parent() -> None:
    parent = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    time.sleep(0.2)
    assert is_alive(orphan)
    kill(orphan)


def _until_ended(pids: list[int]) -> None:
    until = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.01)
