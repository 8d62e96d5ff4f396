"""The migrations make exactly the tables of the program, on both databases."""

import os
import re
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from ecgbatch.errors import SetupFault
from ecgbatch.store import migrate as migrations
from ecgbatch.store.engine import open_engine, owner_engine
from ecgbatch.store.migrate import Migration, head, migrate, migration_sql
from ecgbatch.store.revision import check_revision
from ecgbatch.store.tables_ledger import metadata
from ecgbatch.store.views_0004 import views_0004
from ecgbatch.terms import ReasonCode
from tests.support.postgres import Postgres

pytestmark = pytest.mark.filterwarnings(
    "ignore:Skipped unsupported reflection of expression-based index"
)
"""On SQLite: `expressions` reads these."""

OWN_TABLES = set(metadata.tables)


def plain(index: Mapping[str, object]) -> dict[str, object]:
    options = index.get("dialect_options")
    texts = {k: str(v) for k, v in options.items()} if isinstance(options, dict) else {}
    return {**index, "dialect_options": texts}


def described(engine: Engine) -> dict[str, object]:
    """Everything the database itself says of its tables, without the order of definition."""
    inspector = inspect(engine)
    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(table)
            },
            "key": inspector.get_pk_constraint(table),
            "foreign": sorted(map(str, inspector.get_foreign_keys(table))),
            "unique": sorted(map(str, inspector.get_unique_constraints(table))),
            "checks": sorted(
                (str(check["name"]), re.sub(r"\s+", " ", check["sqltext"]))
                for check in inspector.get_check_constraints(table)
            ),
            "indexes": sorted(str(plain(index)) for index in inspector.get_indexes(table)),
            "expressions": expressions(engine, table),
        }
        for table in OWN_TABLES
    }


def expressions(engine: Engine, table: str) -> list[str]:
    """Indexes of a table on SQLite, as they were made."""
    if engine.dialect.name != "sqlite":
        return []
    with engine.connect() as connection:
        made = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql NOT NULL",
            (table,),
        )
        return sorted(re.sub(r"\s+", " ", sql) for sql in made.scalars())


def opened(url: str) -> Engine:
    return owner_engine(url)


@pytest.fixture
def second_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if backend == "sqlite":
        path = tmp_path / "second.db"
        path.touch()
        return f"sqlite:///{path}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.create())


def test_migrated_tables_are_those_of_the_metadata(database_url: str, second_url: str) -> None:
    migrated, made = opened(database_url), opened(second_url)
    try:
        metadata.create_all(made)

        assert described(migrated) == described(made)
    finally:
        migrated.dispose()
        made.dispose()


def test_no_check_is_lost_on_the_way(database_url: str) -> None:
    migrated = opened(database_url)
    try:
        names = {check for table in described(migrated).values() for check, _ in table["checks"]}  # type: ignore[index]
    finally:
        migrated.dispose()

    assert {"ck_work_state", "ck_score_probability", "ck_result_any_vessel"} <= names


def test_every_view_of_the_newest_set_is_there(database_url: str, backend: str) -> None:
    migrated = opened(database_url)
    try:
        assert set(inspect(migrated).get_view_names()) == set(views_0004(backend))
    finally:
        migrated.dispose()


def test_program_and_migrations_agree_on_the_head() -> None:
    assert ScriptDirectory.from_config(migrations._config()).get_current_head() == head()


def test_migrating_twice_changes_nothing_the_second_time(empty_database_url: str) -> None:
    first, second = migrate(empty_database_url), migrate(empty_database_url)

    is_file = empty_database_url.startswith("sqlite")
    assert first == Migration(None, head(), created=is_file)
    assert second == Migration(head(), head(), created=False)


def test_downgrade_leaves_nothing_and_upgrade_brings_it_back(database_url: str) -> None:
    engine = opened(database_url)
    config = migrations._config()
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "base")
        left = set(inspect(engine).get_table_names()) | set(inspect(engine).get_view_names())
        with pytest.raises(SetupFault) as caught:
            check_revision(engine)
    finally:
        engine.dispose()

    assert left == {"alembic_version"}
    assert caught.value.reason is ReasonCode.DATABASE_REVISION
    assert migrate(database_url).before is None


def test_offline_sql_makes_the_same_tables(
    backend: str, database_url: str, second_url: str, tmp_path: Path
) -> None:
    sql = migration_sql(backend)

    if backend == "sqlite":
        with_sql = sqlite3.connect(tmp_path / "second.db")
        with_sql.executescript(sql)
        with_sql.close()
    else:
        engine = opened(second_url)
        with engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.execute(sql)  # type: ignore[attr-defined]
        engine.dispose()
    by_program, by_hand = opened(database_url), opened(second_url)
    try:
        assert described(by_hand) == described(by_program)
        check_revision(by_hand)
    finally:
        by_program.dispose()
        by_hand.dispose()


def test_offline_sql_of_a_url_never_connects() -> None:
    assert migration_sql("postgresql://nobody@nowhere.invalid/x") == migration_sql("postgresql")


def test_new_sqlite_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a 100% new#.db"
    before = os.umask(0)
    try:
        migrate(f"sqlite:///{path}")
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_missing_folder_is_a_missing_database(tmp_path: Path) -> None:
    with pytest.raises(SetupFault) as caught:
        migrate(f"sqlite:///{tmp_path / 'nowhere' / 'ecg.db'}")

    assert caught.value.reason is ReasonCode.DATABASE_MISSING


def test_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ecg.db"
    path.write_bytes(b"not a database, but long enough to look like one" * 100)

    with pytest.raises(SetupFault) as caught:
        migrate(f"sqlite:///{path}")

    assert caught.value.reason is ReasonCode.DATABASE_UNAVAILABLE
    assert path.read_bytes().startswith(b"not a database")


def test_failed_first_migration_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ecg.db"
    monkeypatch.setattr(migrations, "folder", lambda _: tmp_path / "no migrations here")

    with pytest.raises(SetupFault):
        migrate(f"sqlite:///{path}")

    assert not path.exists()


def test_database_newer_than_the_program_is_refused(database_url: str) -> None:
    engine = opened(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    with pytest.raises(SetupFault) as migrating:
        migrate(database_url)
    engine = open_engine(database_url)
    try:
        with pytest.raises(SetupFault) as checking:
            check_revision(engine)
    finally:
        engine.dispose()

    assert migrating.value.reason is checking.value.reason is ReasonCode.DATABASE_REVISION


def test_the_migration_prints_nothing(
    empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate(empty_database_url)

    assert capsys.readouterr() == ("", "")
