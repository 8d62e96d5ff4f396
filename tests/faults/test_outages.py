"""The database away, locked or full: workers wait, no file is blamed, nothing is lost.

The plan's numbers D1, D4 and D5 stand at each test.
"""

import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from tests.faults.field import Field, count, lay_out, n_finished
from tests.faults.fork_server import ForkServer
from tests.faults.outages import mortal_server
from tests.faults.test_kills import _logged, _stop, _until
from tests.support.bundles import save_quick_bundle
from tests.support.effort import effort
from tests.support.many import write_many

_QUICK = "[work]\nidle_s = 0.05\nlease_s = 30.0\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    save_quick_bundle(folder)
    return folder


def _all_is_well(field: Field, n_files: int) -> None:
    engine = field.engine()
    found = count(engine, n_files)
    with engine.connect() as connection:
        most = connection.execute(text("SELECT MAX(attempts) FROM work")).scalar_one()
    engine.dispose()
    assert (found.lost, found.twice, found.quarantined) == (0, 0, 0)
    assert found.dispositions == {"scored": n_files}
    assert found.broken == ()
    # An outage is not the file's fault: no attempt was spent on it.
    assert most == 1


@pytest.mark.postgres
@pytest.mark.parametrize("without", ["", "patience"])
def test_a_server_that_crashes_three_times_is_waited_for(
    tmp_path: Path, bundle: Path, without: str
) -> None:
    """D1: `stop -m immediate` for 10 s, three times, under two workers."""
    n_files = 200 if without else effort(900, with_every_change=300)
    n_outages = effort(3, with_every_change=1)
    with mortal_server() as database:
        with psycopg.connect(
            host=str(database.home), user="postgres", autocommit=True
        ) as connection:
            connection.execute("CREATE DATABASE ecg")
        field = lay_out(tmp_path / "field", database.url("ecg"), bundle=bundle, settings=_QUICK)
        write_many(field.inbox, n_files)
        with ForkServer(field.home / "workers.log") as server:
            server.warm(field.config)
            assert server.run("scan", config=str(field.config)) == 0
            how = {"config": str(field.config), "in_process": True, "without": without}
            workers = [server.fork("worker", **how) for _ in range(2)]
            for outage in range(n_outages):
                engine = field.engine()
                _until(engine, 50 + n_files // 4 * outage)
                engine.dispose()
                database.stop()
                if without:
                    assert all(server.wait(pid) != 0 for pid in workers)
                    return
                time.sleep(10.0)
                assert not any(server.has_ended(pid) for pid in workers)
                database.start()
                database.wait()
            engine = field.engine()
            _until(engine, n_files)
            engine.dispose()
            _stop(server, *workers)
        _all_is_well(field, n_files)
        assert _logged(field, "database_away") > 0


def test_a_foreign_writer_that_locks_the_file_is_waited_for(tmp_path: Path, bundle: Path) -> None:
    """D4: SQLite locked for 20 s under four workers."""
    n_files = 400
    path = tmp_path / "r.db"
    field = lay_out(tmp_path / "field", f"sqlite:///{path}", bundle=bundle, settings=_QUICK)
    write_many(field.inbox, n_files)
    with ForkServer(field.home / "workers.log") as server:
        server.warm(field.config)
        assert server.run("scan", config=str(field.config)) == 0
        how = {"config": str(field.config), "in_process": True, "slowly_s": 0.01}
        workers = [server.fork("worker", **how) for _ in range(4)]
        engine = field.engine()
        _until(engine, 50)
        foreign = sqlite3.connect(path, timeout=30, isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")
        before = n_finished(engine)
        time.sleep(20.0)
        assert n_finished(engine) == before
        foreign.execute("ROLLBACK")
        foreign.close()
        _until(engine, n_files)
        engine.dispose()
        _stop(server, *workers)
    _all_is_well(field, n_files)


def test_control_a_lock_ends_a_transaction_that_does_not_wait(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    foreign = sqlite3.connect(path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    hasty = sqlite3.connect(path, timeout=0, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        hasty.execute("BEGIN IMMEDIATE")
    hasty.close()
    foreign.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("without", ["", "patience"])
def test_a_full_disk_is_waited_out_and_seen(
    small_disk: Path, tmp_path: Path, bundle: Path, without: str
) -> None:
    """D5: database, then log, on a file system that is full."""
    n_files = 300
    url = f"sqlite:///{small_disk / 'r.db'}"
    field = lay_out(tmp_path / "field", url, bundle=bundle, settings=_QUICK)
    write_many(field.inbox, n_files)
    log = small_disk / "workers.log"
    with ForkServer(log) as server:
        server.warm(field.config)
        assert server.run("scan", config=str(field.config)) == 0
        how = {"config": str(field.config), "in_process": True, "slowly_s": 0.01}
        worker = server.fork("worker", **how, without=without)
        engine = field.engine()
        _until(engine, 50)
        _fill(small_disk)
        if without:
            engine.dispose()
            assert server.wait(worker) != 0
            return
        stuck = _wait_until_nothing_moves(engine)
        assert stuck < n_files
        assert not server.has_ended(worker)
        (small_disk / "filler").unlink()
        freed = time.monotonic()
        _until(engine, stuck + 1)
        resumed_s = time.monotonic() - freed
        _until(engine, n_files)
        engine.dispose()
        _stop(server, worker)
    assert "disk_full" in log.read_text(encoding="utf-8")
    assert resumed_s < 15.0
    _all_is_well(field, n_files)


def _fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"\0" * 4096)
        except OSError:
            return


def _wait_until_nothing_moves(engine: object) -> int:
    before, still = -1, 0
    while still < 30:
        time.sleep(0.1)
        now = n_finished(engine)  # type: ignore[arg-type]
        still = still + 1 if now == before else 0
        before = now
    return before


def test_a_log_that_cannot_be_written_ends_no_worker(tmp_path: Path, bundle: Path) -> None:
    """D5: /dev/full takes no byte."""
    path = tmp_path / "r.db"
    field = lay_out(tmp_path / "field", f"sqlite:///{path}", bundle=bundle, settings=_QUICK)
    write_many(field.inbox, 20)
    (field.inbox / "broken.xml").write_bytes(b"<RestingECG>")
    with ForkServer(Path("/dev/full")) as server:
        assert server.run("scan_and_work", config=str(field.config)) in (0, 1)
    engine = field.engine()
    assert count(engine, 21).dispositions["scored"] == 20
    engine.dispose()
