"""A backup taken while a worker writes: it can be restored, adds up, and scores nothing twice."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from ecgbatch.store.engine import normalise
from tests.cli.command import ecgbatch
from tests.support.bundles import save_small_bundle
from tests.support.ecgs import heartbeats, write_wfdb
from tests.support.postgres import Postgres, find_binaries

_N_ECGS = 40
_WAIT_S = 60


def write_settings(folder: Path, url: str, key: Path) -> Path:
    path = folder / "site.toml"
    path.write_text(
        f"[database]\nurl = '{url}'\n[site]\nkey_file = '{key}'\n"
        "[source]\nfolder = 'inbox'\nname = 'inbox'\n[stability]\nsettle_s = 0.0\n"
        "[bundle]\nfolder = 'bundle'\nallow_demonstration = true\n"
        "[scoring]\nruntime = 'torch'\nbatch = 1\n"
        "[work]\nwrite = 1\nclaim = 4\nlease_s = 3.0\nidle_s = 0.1\n"
    )
    return path


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    """A site whose ECGs are admitted and not yet scored."""
    (tmp_path / "inbox").mkdir()
    for number in range(_N_ECGS):
        write_wfdb(tmp_path / "inbox", f"e{number:02}", heartbeats(number))
    save_small_bundle(tmp_path / "bundle")
    key = tmp_path / "site.key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    path = write_settings(tmp_path, database_url, key)
    activate = ("bundle", "activate", tmp_path / "bundle", "--reason", "test", "--config", path)
    assert ecgbatch(*activate).exit_code == 0
    scan = (
        "from ecgbatch.run import scan_once; from ecgbatch.working import Reporter;"
        "from ecgbatch.settings import load_settings; from pathlib import Path;"
        f"scan_once(load_settings(Path({str(path)!r})), Reporter(print, lambda *_: None))"
    )
    subprocess.run([sys.executable, "-c", scan], check=True, capture_output=True)
    return path


@contextmanager
def working(config: Path, engine: Engine) -> Iterator[None]:
    """While the block runs, a worker writes; it is in the middle when the block begins."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "ecgbatch", "work", "--config", config],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + _WAIT_S
        while len(results(engine)) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield
    finally:
        worker.terminate()
        worker.wait(30)


def results(engine: Engine) -> set[tuple[int, str, float]]:
    """What was given to which bytes, and when."""
    query = text(
        "SELECT t.result_id, r.file_digest, t.created_at, t.any_vessel_risk"
        " FROM result t JOIN recording r ON r.recording_id = t.recording_id"
    )
    with engine.connect() as connection:
        return {tuple(row) for row in connection.execute(query)}


def backed_up(engine: Engine, target: str) -> None:
    """As docs/operations.md has it."""
    if engine.dialect.name == "sqlite":
        source = sqlite3.connect(str(engine.url.database))
        source.execute("VACUUM INTO ?", (target,))
        source.close()
        return
    _run("pg_dump", "--format=custom", f"--file={target}", _plain(engine))


def restored(backup: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a database made from the backup."""
    if backup.endswith(".db"):
        for suffix in ("journal", "wal", "shm"):
            (tmp_path / f"restored.db-{suffix}").unlink(missing_ok=True)
        shutil.copy(backup, tmp_path / "restored.db")
        return f"sqlite:///{tmp_path / 'restored.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    url = server.url(server.create("template0"))
    plain = url.replace("postgresql+psycopg", "postgresql")
    _run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={plain}", backup)
    return url


def crashed(path: Path) -> None:
    """A database whose writer was killed in a transaction: its journal is left behind."""
    program = (
        "import os, sqlite3, sys;"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA journal_mode = DELETE'); c.execute('PRAGMA cache_size = 5');"
        "c.execute('CREATE TABLE IF NOT EXISTS t (x)'); c.execute('BEGIN IMMEDIATE');"
        "c.executemany('INSERT INTO t VALUES (?)', [('x' * 3000,)] * 2000);"
        "c.execute('DELETE FROM t WHERE rowid % 2');"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


@pytest.mark.parametrize("is_removed_first", [True, False])
def test_backup_restored_over_a_database_that_crashed(
    tmp_path: Path, is_removed_first: bool
) -> None:
    saved, live = tmp_path / "saved.db", tmp_path / "live.db"
    for path, rows in ((saved, 3), (live, 3000)):
        with closing(sqlite3.connect(path)) as made, made:
            made.execute("CREATE TABLE t (x)")
            made.executemany("INSERT INTO t VALUES (?)", [("y" * 2000,)] * rows)
    crashed(live)
    journal = tmp_path / "live.db-journal"
    assert journal.stat().st_size > 0

    if is_removed_first:  # as docs/operations.md has it; without, the control
        journal.unlink()
    shutil.copy(saved, live)

    assert _is_whole(live, 3) is is_removed_first


def _is_whole(path: Path, rows: int) -> bool:
    try:
        with closing(sqlite3.connect(path)) as opened:
            (verdict,) = opened.execute("PRAGMA integrity_check").fetchone()
            return verdict == "ok" and opened.execute("SELECT count(*) FROM t").fetchone() == (
                rows,
            )
    except sqlite3.DatabaseError:
        return False


def _plain(engine: Engine) -> str:
    return str(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))


def _run(program: str, *arguments: str) -> None:
    binaries = find_binaries()
    if binaries is None or not (binaries / program).exists():
        pytest.skip(f"no {program} on this machine")
    subprocess.run([binaries / program, *arguments], check=True, capture_output=True)


def test_backup_of_a_database_in_use_is_whole_and_goes_on_where_it_was_taken(
    config: Path, engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    suffix = "db" if engine.dialect.name == "sqlite" else "dump"
    backup = str(tmp_path / f"backup.{suffix}")
    with working(config, engine):
        before = results(engine)
        backed_up(engine, backup)
        after = results(engine)

    url = restored(backup, tmp_path, request)
    again = create_engine(normalise(url))
    kept = results(again)
    assert before <= kept <= after
    assert len(kept) < _N_ECGS  # taken in the middle, so that there is something left to score

    elsewhere = write_settings(tmp_path, url, tmp_path / "site.key")
    status = ecgbatch("status", "--config", elsewhere, "--json")
    assert status.exit_code == 0, status.err  # 70: it would not add up
    assert status.json["counts"]["scored"] == len(kept)
    time.sleep(3.5)  # the leases of the worker that was writing run out
    ended = ecgbatch("run-once", "--config", elsewhere, "--json")
    assert ended.exit_code == 0, ended.err
    assert ended.json["finished"] == {"scored": _N_ECGS - len(kept)}
    assert kept < results(again)
    assert len({digest for _, digest, *_ in results(again)}) == _N_ECGS

    nothing = ecgbatch("run-once", "--config", elsewhere, "--json")
    assert nothing.json["finished"] == {}
    again.dispose()
