"""K3: killed at every place in the course of the transactions, then done again.

One small folder has every way to end in it. A first process is killed at the n-th moment (before
a statement, after it, before a COMMIT); a second one finishes. What the ledger holds then must not
depend on n.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from ecgbatch.store import checks
from ecgbatch.store.engine import transaction
from tests.faults.field import Field, drop_unique_key, lay_out
from tests.faults.fork_server import ForkServer
from tests.support.effort import FULL
from tests.support.many import muse_ecg

_N_POINTS = 12
_SHOWN = text(
    "SELECT i.locator, d.disposition, d.reason, r.file_digest,"
    " (SELECT COUNT(*) FROM result t WHERE t.recording_id = d.recording_id) AS results,"
    " (SELECT SUM(s.probability) FROM result t JOIN score s ON s.result_id = t.result_id"
    "  WHERE t.recording_id = d.recording_id) AS risks"
    " FROM v_disposition d JOIN item i ON i.item_id = d.item_id"
    " LEFT JOIN recording r ON r.recording_id = d.recording_id ORDER BY i.locator"
)


def _fill(inbox: Path) -> None:
    whole = muse_ecg(1)
    (inbox / "a.xml").write_bytes(whole)
    (inbox / "amended.xml").write_bytes(
        whole.replace(b"<EditTime>09:34:21<", b"<EditTime>10:34:21<")
    )
    (inbox / "other.xml").write_bytes(muse_ecg(2))
    (inbox / "second_copy.xml").write_bytes(muse_ecg(2))
    (inbox / "damaged.xml").write_bytes(whole.replace(b"MICROVOLTS", b"PARSECS"))
    (inbox / "half.xml").write_bytes(whole[:60_000])
    (inbox / "foreign.bin").write_bytes(b"nothing that is known")


class _Places:
    """Copies of one migrated database with its champion, each at a URL of its own."""

    def __init__(self, backend: str, home: Path, request: pytest.FixtureRequest) -> None:
        self.backend = backend
        self._home, self._n = home, 0
        self._postgres = request.getfixturevalue("postgres") if backend == "postgresql" else None
        self._template = "template1" if self._postgres is None else self._postgres.create()
        self.field = lay_out(home / "field", self._template_url())
        at_once = "settle_s = 0.0\ngrace_s = 0.0"
        stated = self.field.config.read_text(encoding="utf-8")
        self.field.config.write_text(stated.replace("settle_s = 0.0", at_once), encoding="utf-8")

    def _template_url(self) -> str:
        if self._postgres is None:
            return f"sqlite:///{self._home / 'template.db'}"
        return str(self._postgres.url(self._template))

    def fresh(self) -> Field:
        self._n += 1
        if self._postgres is None:
            path = self._home / f"r{self._n}.db"
            shutil.copy(self._home / "template.db", path)
            url = f"sqlite:///{path}"
        else:
            url = self._postgres.url(self._postgres.create(self._template))
        text_ = self.field.config.read_text(encoding="utf-8")
        config = self.field.home / f"site{self._n}.toml"
        config.write_text(text_.replace(self._template_url(), url), encoding="utf-8")
        return Field(self.field.home, url, config, self.field.inbox)

    def drop(self, field: Field) -> None:
        if self._postgres is not None:
            self._postgres.drop(field.url.partition("@/")[2].partition("?")[0])


@pytest.fixture
def places(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> _Places:
    return _Places(backend, tmp_path, request)


@pytest.fixture
def server(places: _Places) -> Iterator[ForkServer]:
    with ForkServer(places.field.home / "workers.log") as started:
        started.warm(places.field.config)
        yield started


def _shown(field: Field) -> list[tuple[Any, ...]]:
    engine = create_engine(field.url)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(_SHOWN)]
    engine.dispose()
    return rows


def test_control_two_transactions_are_seen(
    places: _Places, server: ForkServer, tmp_path: Path
) -> None:
    (places.field.inbox / "one.xml").write_bytes(muse_ecg(1))
    how = {"without": "one_transaction"}
    answer = tmp_path / "moments"
    server.run("count_moments", config=str(places.fresh().config), answer=str(answer), **how)
    most = 0
    for moment in range(int(answer.read_text(encoding="ascii")), 0, -2):
        field = places.fresh()
        drop_unique_key(field.url)
        server.run("scan_and_work", config=str(field.config), die_at=moment, **how)
        server.run("scan_and_work", config=str(field.config), **how)
        most = max(most, *(row[4] for row in _shown(field)))
        places.drop(field)
        if most > 1:
            break
    assert most > 1


def _broken(field: Field) -> list[checks.Finding]:
    """`ledger check`."""
    engine = field.engine()
    with transaction(engine) as connection:
        found = checks.broken(connection)
    engine.dispose()
    return found


def _ended_twice(field: Field) -> int:
    engine = create_engine(field.url)
    with engine.connect() as connection:
        sql = text(
            "SELECT COUNT(*) FROM (SELECT work_id FROM event WHERE kind = 'finished'"
            " GROUP BY work_id HAVING COUNT(*) > 1) d"
        )
        found = int(connection.execute(sql).scalar_one())
    engine.dispose()
    return found


def test_the_end_does_not_depend_on_where_a_process_was_killed(
    places: _Places, server: ForkServer, tmp_path: Path
) -> None:
    _fill(places.field.inbox)
    undisturbed = places.fresh()
    answer = tmp_path / "moments"
    server.run("count_moments", config=str(undisturbed.config), answer=str(answer))
    n_moments = int(answer.read_text(encoding="ascii"))
    expected = _shown(undisturbed)
    assert {row[1] for row in expected} == {
        *("scored", "duplicate", "superseded", "failed", "unsupported"),
    }
    step = 1 if FULL else max(1, n_moments // _N_POINTS)
    n_killed = 0
    for moment in range(1, n_moments + 1, step):
        field = places.fresh()
        code = server.run("scan_and_work", config=str(field.config), die_at=moment)
        n_killed += code == -9
        server.run("scan_and_work", config=str(field.config))
        assert _shown(field) == expected, f"killed at moment {moment} of {n_moments}"
        assert _ended_twice(field) == 0
        assert _broken(field) == []
        places.drop(field)
    assert n_killed >= 0.9 * (n_moments // step)
