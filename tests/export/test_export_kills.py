"""Exports that are killed at every step, and beside writers: nothing twice, nothing missed."""

import os
import shutil
import threading
import time
from pathlib import Path
from random import Random

import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, text

from ecgbatch.export.run import export
from ecgbatch.store.engine import transaction
from ecgbatch.store.tables import result
from tests.support.exports import (
    KILLED,
    PARQUET,
    committed,
    export_killed,
    exported_ids,
    kill_many,
    result_ids,
)
from tests.support.ledger import facts, rejected, scored


def _numbers(out: Path) -> list[int]:
    """Export numbers of all data that readers see, each of one snapshot and so whole."""
    return sorted(set(pd.read_parquet(out / "results")["export_number"]))


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("is_first", [True, False])
def test_an_export_killed_before_any_step_is_made_good_by_the_next(
    engine: Engine, database_url: str, tmp_path: Path, is_first: bool
) -> None:
    before = tmp_path / "before"
    with committed(engine) as site:
        for number in range(3):
            site.arrive(scored(facts(f"e{number}")), f"a{number}")
    if not is_first:
        export(engine, before, PARQUET)
        with committed(engine) as site:
            site.arrive(rejected(facts("e8")), "a8")
            site.arrive(scored(facts("copy", ecg_id="e1")), "b1")
    whole = result_ids(engine)
    old = [] if is_first else whole[:3]
    seen: set[tuple[int, ...]] = set()
    step = 0
    while True:
        # Every step of an export onto others; of a first one, which has the same, every third.
        step += 3 if is_first else 1
        out = tmp_path / f"out{step}"
        if before.exists():
            shutil.copytree(before, out)
        code = export_killed(database_url, out, step)
        found = exported_ids(out)
        seen.add(tuple(found))
        assert found in (old, whole), "whole files, and only what is committed"
        export(engine, out, PARQUET)
        assert exported_ids(out) == whole
        assert not (out / "_ecgbatch" / "staging").exists()
        if code != KILLED:
            break
    assert code == 0
    assert step > 15
    assert seen == {tuple(old), tuple(whole)}


def test_many_kills_beside_writers_that_roll_back_lose_and_double_nothing(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with committed(engine) as site:
        for number in range(20):
            site.arrive(scored(facts(f"e{number}")), f"a{number}")
    killer = kill_many(database_url, out, 6, seed=13)
    is_over = threading.Event()
    writers = [
        threading.Thread(target=_write, args=(engine, seed, is_over))
        for seed in range(1 if engine.dialect.name == "sqlite" else 3)
    ]
    for writer in writers:
        writer.start()
    try:
        ended = (0, 0)
        while not ended[0]:
            found = exported_ids(out)
            assert len(found) == len(set(found))
            time.sleep(0.05)
            ended = os.waitpid(killer, os.WNOHANG)
    finally:
        is_over.set()
        for writer in writers:
            writer.join()
    assert ended[1] == 0
    last = export(engine, out, PARQUET)

    assert exported_ids(out) == result_ids(engine)
    assert last.n_open == 0
    assert len(_numbers(out)) > 2


def _write(engine: Engine, seed: int, is_over: threading.Event) -> None:
    """Results that stay open for a moment, and are committed or not."""
    random = Random(seed)  # noqa: S311 - the same course every time
    number = 0
    while not is_over.is_set():
        number += 1
        with engine.connect() as connection, connection.begin() as transaction_:
            _copy_result(connection, f"{seed}-{number}")
            time.sleep(random.uniform(0.0, 0.03))
            if random.random() < 0.3:
                transaction_.rollback()
        time.sleep(0.005)


def _copy_result(connection: Connection, pipeline: str) -> int:
    """The first result once more, as if of another pipeline; returns its number."""
    names = ", ".join(c.name for c in result.c if c.name not in ("result_id", "pipeline_id"))
    statement = text(
        f"INSERT INTO result (pipeline_id, {names})"
        f" SELECT :pipeline, {names} FROM result WHERE result_id = 1 RETURNING result_id"
    )
    found = connection.execute(statement, {"pipeline": pipeline})
    return int(found.scalar_one())


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_lower_numbers_that_are_committed_later_come_later(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with committed(engine) as site:
        site.arrive(scored(facts("e1")), "a")
    with engine.connect() as late, engine.connect() as lost:
        late.begin()
        lost.begin()
        low = _copy_result(late, "late")
        never = _copy_result(lost, "lost")
        with transaction(engine) as connection:
            high = _copy_result(connection, "high")
        assert low < never < high

        first = export(engine, out, PARQUET)
        assert exported_ids(out) == [1, high]
        assert (first.result_id, first.n_open) == (high, 2)

        lost.rollback()
        assert export(engine, out, PARQUET).n_open == 2, "who has which number is not known"
        late.commit()
    last = export(engine, out, PARQUET)

    assert exported_ids(out) == [1, low, high] == result_ids(engine)
    assert (last.rows["results"], last.n_open) == (1, 0)


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_gaps_that_nobody_can_fill_are_not_kept(engine: Engine, tmp_path: Path) -> None:
    with committed(engine) as site:
        site.arrive(scored(facts("e1")), "a")
    with engine.connect() as connection:
        connection.begin()
        _copy_result(connection, "lost")
        connection.rollback()
    with transaction(engine) as connection:
        _copy_result(connection, "kept")

    assert export(engine, tmp_path / "out", PARQUET).n_open == 0
    assert exported_ids(tmp_path / "out") == [1, 3]


def test_a_backlog_goes_in_parts_and_each_part_is_kept(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    with committed(engine) as site:
        site.arrive(scored(facts("e1")), "a")
        for number in range(9):
            _copy_result(site.connection, f"p{number}")
    done = export(engine, tmp_path / "out", PARQUET, most_results=4)

    assert done.exports == (1, 2, 3)
    assert done.rows["results"] == 10
    assert exported_ids(tmp_path / "out") == result_ids(engine)
