"""D6: the n-th system call on an SQLite ledger fails under a worker; a second one goes on."""

import errno
import random
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ecgbatch.store import checks
from tests.faults.failing_calls import compiled
from tests.faults.field import Count, Field, count, drop_unique_key, lay_out
from tests.faults.fork_server import ForkServer
from tests.faults.nightly import scaled
from tests.support.bundles import save_quick_bundle
from tests.support.many import write_many

pytestmark = pytest.mark.nightly

_ERRORS = (errno.EIO, errno.ENOSPC, errno.EINTR)
_N_FILES = 6
_N_CALLS = 300


@dataclass(frozen=True)
class _End:
    """The ledger after both workers; `has_hit` says whether the call that failed was reached."""

    has_hit: bool
    code: int
    is_intact: bool
    count: Count
    broken: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        nothing = (self.count.lost, self.count.twice, self.count.quarantined)
        return self.is_intact and nothing == (0, 0, 0) and not self.broken


class _Bench:
    """A scanned ledger to copy, and two workers for each copy."""

    def __init__(self, template: Field, server: ForkServer) -> None:
        self.url = template.url
        self._template, self._server = template, server

    def run(self, nth: int, error: int = 0, without: str = "") -> _End:
        field = self._copy()
        answer = field.home / "answer"
        path = field.url.removeprefix("sqlite:///")
        how = {"database": path, "nth": nth, "error": error, "answer": str(answer)}
        code = self._server.run("failing_worker", config=str(field.config), without=without, **how)
        n_calls = int(answer.read_text(encoding="ascii"))
        second = {"config": str(field.config), "drain": True, "in_process": True}
        self._server.run("worker", without=without, **second)
        return self._end(field, path, n_calls >= nth, code)

    def n_calls(self) -> int:
        """How many calls an undisturbed worker makes."""
        self.run(0)
        return int((self._template.home / "answer").read_text(encoding="ascii"))

    def _copy(self) -> Field:
        """Always in the same place: what is left of the last one goes."""
        template = self._template.url.removeprefix("sqlite:///")
        path = self._template.home / "copy.db"
        for old in self._template.home.glob("copy.db*"):
            old.unlink()
        shutil.copy(template, path)
        config = self._template.home / "copy.toml"
        stated = self._template.config.read_text(encoding="utf-8")
        config.write_text(stated.replace(template, str(path)), encoding="utf-8")
        return Field(self._template.home, f"sqlite:///{path}", config, self._template.inbox)

    @staticmethod
    def _end(field: Field, path: str, has_hit: bool, code: int) -> _End:
        connection = sqlite3.connect(path)
        is_intact = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        engine = field.engine()
        found = count(engine, _N_FILES)
        with engine.connect() as reading:
            broken = tuple(finding.id for finding in checks.broken(reading))
        engine.dispose()
        return _End(has_hit, code, is_intact, found, broken)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Bench]:
    library = compiled(tmp_path)
    if library is None:
        pytest.skip("no C compiler on this machine")
    save_quick_bundle(tmp_path / "bundle")
    url = f"sqlite:///{tmp_path / 'template.db'}"
    field = lay_out(
        tmp_path / "field", url, bundle=tmp_path / "bundle", settings="[work]\nidle_s = 0.05\n"
    )
    write_many(field.inbox, _N_FILES)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    with ForkServer(field.home / "workers.log") as server:
        server.warm(field.config)
        assert server.run("scan", config=str(field.config)) == 0
        yield _Bench(field, server)


def test_any_call_may_fail_once(bench: _Bench) -> None:
    last = min(_N_CALLS, bench.n_calls())
    assert last >= 0.9 * _N_CALLS
    calls = range(1, last + 1, last // scaled(last))
    rng = random.Random(20261125)  # noqa: S311 - chance, no secret
    n_hit = n_ended = 0
    for nth in calls:
        error = rng.choice(_ERRORS)
        end = bench.run(nth, error)
        assert end.is_well, f"{errno.errorcode[error]} at call {nth} of {last}: {end}"
        assert end.count.dispositions == {"scored": _N_FILES}
        n_hit += end.has_hit
        n_ended += end.code != 0
    assert n_hit == len(calls)
    # Once it works, a worker goes on by itself.
    assert n_ended < 0.2 * len(calls)


def test_control_a_database_without_a_journal_is_damaged(bench: _Bench) -> None:
    last = bench.n_calls()
    assert bench.run(0, without="journal").is_well
    assert any(
        not bench.run(nth, errno.EIO, without="journal").is_well for nth in range(1, last, 5)
    )


def test_control_a_result_and_its_state_in_two_transactions_are_seen(bench: _Bench) -> None:
    last = bench.n_calls()
    drop_unique_key(bench.url)
    assert bench.run(0, without="one_transaction").count.twice == 0
    assert any(
        bench.run(nth, errno.EIO, without="one_transaction").count.twice
        for nth in range(last // 4, last, 5)
    )
