"""The scheduled sample: what it writes, who runs it, and which alarm it raises and ends."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DatabaseError

from ecgbatch.run import run_once
from ecgbatch.service import sampler as sampler_module
from ecgbatch.service.sample import take_sample
from ecgbatch.service.sampler import Sampler
from ecgbatch.settings import Settings, load_settings
from ecgbatch.store import health, proofs
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.terms import ReplayOutcome
from ecgbatch.working import Reporter
from tests.faults.field import Field, lay_out
from tests.support.many import write_many

QUIET = Reporter(notice=lambda line: None, progress=lambda reading: None)
DUE = datetime(2026, 5, 1, 3, tzinfo=UTC)
N_ECGS = 3


@pytest.fixture
def field(tmp_path: Path, empty_database_url: str) -> Field:
    made = lay_out(tmp_path, empty_database_url)
    write_many(made.inbox, N_ECGS)
    run_once(load_settings(made.config), QUIET)
    return made


@pytest.fixture
def engine(field: Field) -> Iterator[Engine]:
    opened = open_engine(field.url)
    yield opened
    opened.dispose()


def _settings(field: Field, sample: int) -> Settings:
    return load_settings(field.config, {"verification": {"sample": sample}})


def _sample(field: Field, day: int, sample: int = 100, service: str = "a") -> bool:
    due_at = DUE.replace(day=day)
    return take_sample(_settings(field, sample), due_at, service, threading.Event())


def _rows(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def _proofs(engine: Engine) -> proofs.Proofs:
    with transaction(engine) as connection:
        return health.read(connection).proofs


def test_sample_is_taken_once_and_what_differs_raises_the_alarm_until_it_agrees(
    field: Field, engine: Engine
) -> None:
    assert _sample(field, 1, sample=2)
    assert not _sample(field, 1, sample=2, service="b")

    written = "SELECT outcome, stage, run_id FROM verification ORDER BY verification_id"
    (run_id,) = _rows(engine, "SELECT run_id FROM run WHERE kind = 'verify'")[0]
    assert _rows(engine, written) == [("identical", None, run_id)] * 2
    assert len(_rows(engine, "SELECT DISTINCT result_id FROM verification")) == 2
    assert _rows(engine, "SELECT exit_code, counts FROM run WHERE kind = 'verify'") == [
        (0, '{"identical":2}')
    ]
    assert _proofs(engine).verified[ReplayOutcome.IDENTICAL] == 2
    assert _proofs(engine).differing == 0

    # Bytes that change in place, with the size and time that they had.
    file = field.inbox / "ecg000001.xml"
    whole, times = file.read_bytes(), (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.write_bytes(whole.replace(b"MALE", b"male", 1))
    assert file.read_bytes() != whole
    _back_in_time(file, times)
    assert _sample(field, 2)
    assert _rows(engine, f"{written} LIMIT 3 OFFSET 2") != []
    assert _rows(engine, "SELECT stage FROM verification WHERE outcome = 'differs'") == [("bytes",)]
    assert _proofs(engine).differing == 1
    spoilt = _rows(engine, "SELECT recording_id FROM item WHERE locator = 'ecg000001.xml'")
    assert list(spoilt[0]) == list(_proofs(engine).differing_recordings)

    # A sample of one still looks at what differed, and finds it mended.
    file.write_bytes(whole)
    _back_in_time(file, times)
    assert _sample(field, 3, sample=1)
    assert _proofs(engine).differing == 0


def test_file_that_is_known_to_be_replaced_raises_no_alarm_and_one_that_is_gone_is_counted(
    field: Field, engine: Engine
) -> None:
    replaced, gone = field.inbox / "ecg000000.xml", field.inbox / "ecg000002.xml"
    write_many(field.inbox / "later", 1, first=7)
    (field.inbox / "later" / "ecg000007.xml").rename(replaced)
    gone.unlink()

    assert _sample(field, 1)
    assert _proofs(engine).differing == 1  # until a scan has seen the new file

    run_once(load_settings(field.config), QUIET)
    found = _proofs(engine)
    assert found.differing == 0
    assert found.verified == {
        ReplayOutcome.IDENTICAL: 1,
        ReplayOutcome.TOLERANCE: 0,
        ReplayOutcome.DIFFERS: 1,
        ReplayOutcome.GONE: 1,
    }


def test_gates_that_were_changed_since_raise_no_alarm(field: Field, engine: Engine) -> None:
    gates = {"amplitude": {"limit": 0.05}}
    stricter = load_settings(field.config, {"quality": gates})

    assert take_sample(stricter, DUE, "a", threading.Event())

    assert _rows(engine, "SELECT exit_code, counts FROM run WHERE kind = 'verify'") == [
        (0, f'{{"other_gates":{N_ECGS}}}')
    ]
    assert _proofs(engine).differing == 0


def test_what_was_verified_cannot_be_changed(field: Field, engine: Engine) -> None:
    _sample(field, 1, sample=1)
    for act in ("UPDATE verification SET outcome = 'gone'", "DELETE FROM verification"):
        with pytest.raises(DatabaseError, match="append-only"), engine.begin() as connection:
            connection.execute(text(act))


def test_canary_of_each_machine_counts_by_its_newest(field: Field, engine: Engine) -> None:
    assert (_proofs(engine).unfit_machines, _proofs(engine).canary is not None) == (0, True)
    started = _rows(engine, "SELECT max(started_at) FROM run")[0][0]
    with engine.begin() as connection:
        for worker, outcome, kind in (
            ("a/1:1:1", "differs: net", "work"),
            ("b/1:1:1", "passed", "work"),
            ("b/1:1:1", "differs: net", "challenger"),
            ("c/1:1:1", "differs: net", "work"),
            ("c/1:1:2", "passed", "work"),
            ("d/1:1:1", "not sent", "work"),
        ):
            connection.execute(
                text(
                    "INSERT INTO run (kind, worker, started_at, canary)"
                    " VALUES (:kind, :worker, :at, :outcome)"
                ),
                {"kind": kind, "worker": worker, "at": started, "outcome": outcome},
            )

    assert _proofs(engine).unfit_machines == 1


def test_service_starts_a_process_that_takes_the_sample(tmp_path: Path) -> None:
    field = lay_out(tmp_path, f"sqlite:///{tmp_path / 'r.db'}")
    write_many(field.inbox, 1)
    run_once(load_settings(field.config), QUIET)
    service = Sampler(_settings(field, 5), field.config, "a", {"OMP_NUM_THREADS": "1"})
    service.tend()
    assert service._process is None  # the workers come first
    service._not_before = time.monotonic()
    service.tend()
    process = service._process
    assert process is not None
    assert process.wait(120) == 0
    service.tend()
    assert service._process is None  # not due again

    engine = open_engine(field.url)
    # Another number of threads than here may round the last digits in another way.
    ((outcome,),) = _rows(engine, "SELECT outcome FROM verification")
    assert outcome in (ReplayOutcome.IDENTICAL, ReplayOutcome.TOLERANCE)
    assert _rows(engine, "SELECT worker FROM firing") == [("a",)]
    engine.dispose()


def test_sample_that_fails_is_tried_again_and_one_of_zero_never_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    class Failed:
        returncode = 4

        def poll(self) -> int:
            return self.returncode

    def start(module: str, arguments: tuple[str, ...], environment: object) -> Failed:
        started.append(arguments[1])
        return Failed()

    monkeypatch.setattr(sampler_module, "start_child", start)
    settings = load_settings(None, {"verification": {"schedule": "0 3 * * *"}}, {})
    sampler = Sampler(settings, tmp_path / "site.toml", "a", {})
    sampler._not_before = time.monotonic()
    for _ in range(3):
        sampler.tend()
    assert len(started) == 1
    monkeypatch.setattr(sampler, "_not_before", time.monotonic())
    sampler.tend()
    assert len(started) == 2
    assert started[0] == started[1]
    assert datetime.fromisoformat(started[0]).hour == 3

    off = load_settings(None, {"verification": {"sample": 0}}, {})
    idle = Sampler(off, tmp_path / "site.toml", "a", {})
    idle._not_before = time.monotonic()
    idle.tend()
    assert len(started) == 2


def _back_in_time(file: Path, times: tuple[int, int]) -> None:
    os.utime(file, ns=times)
