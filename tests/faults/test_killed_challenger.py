"""A worker killed in a challenger's ECG: nothing lost, nothing twice, nothing shown changes."""

import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from ecgbatch.lifecycle import activate
from ecgbatch.settings import load_settings
from ecgbatch.store.engine import open_engine
from ecgbatch.terms import BundleRole
from tests.faults.field import Field, count, lay_out
from tests.faults.fork_server import ForkServer, kill
from tests.support.bundles import save_small_bundle
from tests.support.effort import FULL
from tests.support.many import write_many

_N_FILES = 8
_LEASED = (
    "SELECT COUNT(*) FROM work w JOIN activation a ON a.bundle_digest = w.bundle_digest"
    " WHERE a.role = 'challenger' AND w.state = 'leased'"
)
_DONE = _LEASED.replace("'leased'", "'scored'")
_SHOWN = "SELECT * FROM v_latest_risk ORDER BY recording_id"
_ONE_BY_ONE = "[scoring]\nbatch = 1\n[work]\nwrite = 1\n"


def _challenge(field: Field) -> None:
    save_small_bundle(field.home / "second", name="second demonstration")
    engine = open_engine(field.url)
    settings = load_settings(field.config)
    role = BundleRole.CHALLENGER
    activate(engine, settings, field.home / "second", "a trial", role=role, since=None)
    engine.dispose()


def _number(engine: Engine, sql: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(sql)).scalar_one())


def test_a_worker_killed_in_a_challenger_s_ecg(tmp_path: Path, empty_database_url: str) -> None:
    if not FULL and empty_database_url.startswith("postgresql"):
        pytest.skip("at night")
    field = lay_out(tmp_path / "field", empty_database_url, settings=_ONE_BY_ONE)
    engine = field.engine()
    write_many(field.inbox, _N_FILES)
    how = {"config": str(field.config), "in_process": True}
    with ForkServer(field.home / "workers.log") as server:
        _challenge(field)
        assert server.run("scan", config=str(field.config)) == 0
        victim = server.fork("worker", slowly_s=0.1, **how)
        until = time.monotonic() + 120
        while not (_number(engine, _DONE) and _number(engine, _LEASED)):
            assert time.monotonic() < until
            time.sleep(0.01)
        with engine.connect() as connection:
            before = connection.execute(text(_SHOWN)).all()
        kill(victim)
        server.wait(victim)
        assert _number(engine, _LEASED) > 0
        assert _number(engine, _DONE) < _N_FILES

        assert server.run("worker", drain=True, **how) == 0

    found = count(engine, _N_FILES)
    assert (found.lost, found.twice, found.quarantined, found.broken) == (0, 0, 0, ())
    assert (found.results, found.dispositions) == (2 * _N_FILES, {"scored": _N_FILES})
    with engine.connect() as connection:
        assert connection.execute(text(_SHOWN)).all() == before
    engine.dispose()
