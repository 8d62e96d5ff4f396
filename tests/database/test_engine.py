"""Connections: what is opened, what is refused, and where the library's errors end."""

import sqlite3
import threading
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, insert, select, text
from sqlalchemy.exc import DBAPIError

from ecgbatch.errors import EcgbatchError, SetupFault, TransientFault
from ecgbatch.store import faults
from ecgbatch.store.columns import UtcTime
from ecgbatch.store.engine import normalise, now, open_engine, read_only, sqlite_path, transaction
from ecgbatch.store.tables import source
from ecgbatch.terms import ReasonCode

SOURCE = {"name": "PLANTED-NAME", "kind": "folder", "root": "/", "authority": "MRN"}


@pytest.mark.parametrize(
    "url", ["postgres://h/db", "postgresql://h/db", "postgresql+psycopg://h/db"]
)
def test_every_spelling_of_postgresql_gets_the_one_driver(url: str) -> None:
    assert normalise(url).drivername == "postgresql+psycopg"
    assert sqlite_path(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "",
        "mysql://h/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=ro",
        "postgresql://h:notaport/db",
    ],
)
def test_other_databases_are_refused_with_the_setting_to_mend(url: str) -> None:
    with pytest.raises(SetupFault) as caught:
        normalise(url)

    assert caught.value.reason is ReasonCode.SETTINGS_INVALID


def test_sqlite_url_names_its_file() -> None:
    assert sqlite_path("sqlite:////data/ecg.db") == Path("/data/ecg.db")


def test_missing_sqlite_file_is_said_to_be_missing_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(SetupFault) as caught:
        open_engine(f"sqlite:///{tmp_path / 'ecg.db'}")

    assert caught.value.reason is ReasonCode.DATABASE_MISSING
    assert not (tmp_path / "ecg.db").exists()


def test_file_that_vanishes_later_is_not_made_again(tmp_path: Path, sqlite_template: Path) -> None:
    path = tmp_path / "ecg.db"
    path.write_bytes(sqlite_template.read_bytes())
    engine = open_engine(f"sqlite:///{path}")
    engine.dispose()
    path.unlink()

    with pytest.raises(EcgbatchError) as caught, transaction(engine):
        pass

    assert caught.value.reason is ReasonCode.DATABASE_UNAVAILABLE
    assert not path.exists()


def test_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "ecg.db").write_bytes(b"x" * 5000)

    with pytest.raises(SetupFault) as caught:
        open_engine(f"sqlite:///{tmp_path / 'ecg.db'}")

    assert caught.value.reason is ReasonCode.DATABASE_UNAVAILABLE


def test_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(SetupFault) as caught:
        open_engine(f"postgresql://user:s3cret@/db?host={tmp_path}")

    assert caught.value.reason is ReasonCode.DATABASE_UNAVAILABLE
    assert "s3cret" not in str(caught.value)


def test_transaction_that_fails_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(EcgbatchError), transaction(engine) as connection:
        connection.execute(insert(source), [{**SOURCE, "name": "first"}, SOURCE, SOURCE])

    with transaction(engine) as connection:
        assert connection.execute(select(source)).all() == []


def test_refused_value_is_an_internal_fault_without_the_value(engine: Engine) -> None:
    with pytest.raises(EcgbatchError) as caught, transaction(engine) as connection:
        connection.execute(insert(source), [SOURCE, SOURCE])

    assert caught.value.reason is ReasonCode.INTERNAL_FAULT
    assert "PLANTED" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_library_s_own_error_hides_the_values(engine: Engine) -> None:
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.execute(insert(source), [{**SOURCE, "kind": "PLANTED-KIND"}])

    assert "PLANTED-KIND" not in str(caught.value).split("DETAIL")[0]


def test_read_only_engine_cannot_write(database_url: str) -> None:
    engine = read_only(database_url)
    try:
        with engine.connect() as connection:
            assert connection.execute(select(source)).all() == []
        with pytest.raises(EcgbatchError), transaction(engine) as connection:
            connection.execute(insert(source).values(SOURCE))
    finally:
        engine.dispose()


def test_foreign_keys_are_enforced(engine: Engine) -> None:
    with pytest.raises(EcgbatchError), transaction(engine) as connection:
        connection.execute(
            text(
                "INSERT INTO run (kind, source_id, worker, started_at)"
                " VALUES ('x', 999, 'w', '2026-01-01T00:00:00.000000Z')"
            )
        )


def test_database_clock_is_in_utc_and_moves(engine: Engine) -> None:
    with transaction(engine) as connection:
        first, second = now(connection), now(connection)

    assert first.utcoffset() is not None
    assert first <= second


def test_sqlite_keeps_a_rollback_journal_and_full_sync(
    tmp_path: Path, sqlite_template: Path
) -> None:
    path = tmp_path / "ecg.db"
    path.write_bytes(sqlite_template.read_bytes())
    engine = open_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    engine.dispose()

    assert pragmas == ["delete", 2, 1, 30000]


def test_two_sqlite_writers_wait_for_each_other(tmp_path: Path, sqlite_template: Path) -> None:
    path = tmp_path / "ecg.db"
    path.write_bytes(sqlite_template.read_bytes())
    engine = open_engine(f"sqlite:///{path}")

    def write(worker: int) -> None:
        for number in range(10):
            with transaction(engine) as connection:
                # Read first, then write: a deferred transaction would fail here.
                connection.execute(select(source)).all()
                connection.execute(insert(source).values({**SOURCE, "name": f"{worker}/{number}"}))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with transaction(engine) as connection:
        assert len(connection.execute(select(source)).all()) == 30
    engine.dispose()


def test_full_disk_is_told_from_other_faults(tmp_path: Path, sqlite_template: Path) -> None:
    path = tmp_path / "ecg.db"
    path.write_bytes(sqlite_template.read_bytes())
    engine = open_engine(f"sqlite:///{path}")

    def fill() -> None:
        with transaction(engine) as connection:
            # SQLite itself says "disk is full" at a limit of its pages.
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
            connection.execute(insert(source).values({**SOURCE, "root": "x" * 500_000}))

    with pytest.raises(TransientFault) as caught:
        fill()
    engine.dispose()

    assert caught.value.reason is ReasonCode.DISK_FULL


def test_other_program_can_read_what_we_wrote(tmp_path: Path, sqlite_template: Path) -> None:
    path = tmp_path / "ecg.db"
    path.write_bytes(sqlite_template.read_bytes())
    engine = open_engine(f"sqlite:///{path}")
    with transaction(engine) as connection:
        connection.execute(insert(source).values(SOURCE))
    engine.dispose()

    plain = sqlite3.connect(path)
    try:
        assert plain.execute("SELECT name FROM source").fetchall() == [("PLANTED-NAME",)]
    finally:
        plain.close()


def test_times_without_a_zone_are_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - what has to be refused
    with pytest.raises(EcgbatchError):
        UtcTime().process_bind_param(naive, create_engine("sqlite://").dialect)


def test_missing_right_is_named_and_no_outage() -> None:
    class Refused(Exception):
        sqlstate = "42501"

    refused = faults.fault(DBAPIError("PLANTED", {}, Refused("PLANTED")))

    assert isinstance(refused, SetupFault)
    assert refused.reason is ReasonCode.DATABASE_UNAVAILABLE
    assert "lacks a right" in str(refused)
    assert "PLANTED" not in str(refused)
