"""Kept identifiers: apart from everything else, for their owner alone, one row for each patient."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from ecgbatch.errors import SetupFault, TransientFault
from ecgbatch.records import Named, Outcome, Quarantined
from ecgbatch.store import identifiers
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.store.identifiers import file_beside
from ecgbatch.terms import ReasonCode
from tests.support.ledger import facts, rejected, scored

KEY = "a" * 64
SOMEBODY = Named(KEY, "hospital-mpi", "PLANTED-IDENTIFIER")


def named(outcome: Outcome, who: Named | None = SOMEBODY) -> Outcome:
    return replace(outcome, named=who)  # type: ignore[call-arg]


def beside(engine: Engine) -> Path:
    return file_beside(Path(engine.url.database or ""))


@pytest.mark.parametrize("outcome", [scored(facts("one")), rejected(facts("one"))], ids=["s", "r"])
def test_what_was_kept_is_read_once_however_often_it_came(engine: Engine, outcome: Outcome) -> None:
    for _ in range(3):
        with transaction(engine) as connection:
            identifiers.keep(connection, named(outcome))

    with transaction(engine) as connection:
        assert identifiers.read(connection, (KEY, "b" * 64)) == (SOMEBODY,)


def test_nothing_is_kept_where_the_outcome_says_nothing(engine: Engine) -> None:
    for outcome in (
        scored(facts("one", patient_key=KEY)),
        Quarantined(facts("two", patient_key=KEY), ReasonCode.SIZE_MISMATCH, "decode"),
    ):
        with transaction(engine) as connection:
            identifiers.keep(connection, outcome)

    with transaction(engine) as connection:
        assert identifiers.read(connection, (KEY,)) == ()
    if engine.dialect.name == "sqlite":
        assert not beside(engine).exists()


def test_identifiers_are_in_no_other_table(engine: Engine) -> None:
    with transaction(engine) as connection:
        identifiers.keep(connection, named(scored(facts("one"))))
    with transaction(engine) as connection:
        for table in inspect(connection).get_table_names():
            for row in connection.execute(text(f"SELECT * FROM {table}")):
                assert "PLANTED" not in str(row)
    if engine.dialect.name == "sqlite":
        assert b"PLANTED" not in Path(engine.url.database or "").read_bytes()
        assert b"PLANTED" in beside(engine).read_bytes()


def test_no_text_of_an_outcome_has_the_identifier() -> None:
    outcome = named(scored(facts("one", patient_key=KEY)))

    assert "PLANTED" not in f"{outcome!r} {outcome} {SOMEBODY!r}"
    assert "hospital-mpi" not in repr(SOMEBODY)


@pytest.fixture
def sqlite(tmp_path: Path, sqlite_template: Path) -> Iterator[Engine]:
    shutil.copy(sqlite_template, tmp_path / "ecg.db")
    opened = open_engine(f"sqlite:///{tmp_path / 'ecg.db'}")
    yield opened
    opened.dispose()


def test_the_second_file_is_for_its_owner_alone(sqlite: Engine) -> None:
    before = os.umask(0)
    try:
        with transaction(sqlite) as connection:
            identifiers.keep(connection, named(scored(facts("one"))))
    finally:
        os.umask(before)

    assert stat.S_IMODE(beside(sqlite).stat().st_mode) == 0o600


def test_a_second_file_that_others_can_read_is_refused(sqlite: Engine) -> None:
    with transaction(sqlite) as connection:
        identifiers.keep(connection, named(scored(facts("one"))))
    beside(sqlite).chmod(0o640)

    for act in (
        lambda connection: identifiers.keep(connection, named(scored(facts("two")))),
        lambda connection: identifiers.read(connection, (KEY,)),
    ):
        with pytest.raises(SetupFault) as caught, transaction(sqlite) as connection:
            act(connection)
        assert caught.value.reason is ReasonCode.SITE_KEY_PERMISSIONS


def test_a_second_file_that_cannot_be_written_stops_the_first_too(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No recording without its identifier: the transaction is not committed either."""
    with transaction(sqlite) as connection:
        identifiers.keep(connection, named(scored(facts("one"))))
    other = sqlite3.connect(beside(sqlite), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(identifiers, "_BUSY_S", 0.05)

    def write() -> None:
        with transaction(sqlite) as connection:
            connection.execute(text("UPDATE control SET halted_by = 'x'"))
            identifiers.keep(
                connection, named(scored(facts("two")), Named("b" * 64, "local", "PLANTED-2"))
            )

    with pytest.raises(TransientFault) as caught:
        write()
    other.close()

    assert caught.value.reason is ReasonCode.DATABASE_UNAVAILABLE
    with transaction(sqlite) as connection:
        halted_by = connection.execute(text("SELECT halted_by FROM control")).scalar_one()
    assert halted_by is None


def test_a_second_file_that_is_no_database_is_said_without_its_content(sqlite: Engine) -> None:
    beside(sqlite).write_bytes(b"PLANTED" * 1000)
    beside(sqlite).chmod(0o600)

    with pytest.raises(SetupFault) as caught, transaction(sqlite) as connection:
        identifiers.read(connection, (KEY,))

    assert caught.value.reason is ReasonCode.DATABASE_UNAVAILABLE
    assert "PLANTED" not in str(caught.value)


@pytest.mark.postgres
def test_the_table_of_the_migration_is_the_one_that_is_written(postgresql_engine: Engine) -> None:
    found = inspect(postgresql_engine).get_columns("patient_identifier", schema="identity")

    assert [(one["name"], one["nullable"]) for one in found] == [
        (column.name, False) for column in identifiers.patient_identifier.c
    ]
