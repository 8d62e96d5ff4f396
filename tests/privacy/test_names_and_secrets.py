"""Threats S1 and S3: names from the settings stay names, secrets and values stay out of errors."""

from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, Engine, insert, inspect, select

from ecgbatch.errors import EcgbatchError, SetupFault
from ecgbatch.settings import load_settings
from ecgbatch.store import ledger
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.store.migrate import migrate, roles_sql
from ecgbatch.store.options import DatabaseOptions
from ecgbatch.store.revision import check_revision
from ecgbatch.store.tables import source
from ecgbatch.terms import ReasonCode
from tests.cli.command import ecgbatch
from tests.support.postgres import Postgres

HOSTILE = (
    "public; DROP TABLE result",
    'public"; DROP TABLE result; --',
    "public'--",
    "public,pg_temp",
    "public -c statement_timeout=0",
    "public\\ -c role=postgres",
    "$user",
    "PUBLIC",
    "sqlite_master --",
    "a.b",
    "a b",
    "a\nb",
    "a\0b",
    "schéma",
    "x" * 64,
)
RESERVED = ("select", "user", "table")


@pytest.mark.parametrize("name", HOSTILE)
def test_schema_names_of_another_form_are_refused_as_a_setting(name: str) -> None:
    with pytest.raises(SetupFault) as caught:
        load_settings(None, {"database": {"url": "sqlite:///a.db", "schema_name": name}}, {})

    assert caught.value.reason is ReasonCode.SETTINGS_INVALID
    assert "database.schema_name" in caught.value.detail
    assert name not in caught.value.detail


@pytest.mark.postgres
@pytest.mark.parametrize("name", RESERVED)
def test_schema_names_that_are_words_of_sql_are_quoted(postgres: Postgres, name: str) -> None:
    database, options = postgres.create(), DatabaseOptions(schema_name=name)
    migrate(postgres.url(database), options)
    engine = open_engine(postgres.url(database), options)
    try:
        check_revision(engine)
        with transaction(engine) as connection:
            ensure(connection, "ward")
        tables = inspect(engine).get_table_names(schema=name)
        outside = inspect(engine).get_table_names(schema="public")
    finally:
        engine.dispose()
    with psycopg.connect(host=str(postgres.home), user="postgres", dbname=database) as connection:
        connection.execute(roles_sql(name).encode())

    assert "result" in tables
    assert outside == []
    postgres.drop(database)


def ensure(connection: Connection, name: str) -> int:
    return ledger.ensure_source(
        connection,
        name,
        kind="folder",
        root=f"/{name}",
        authority=name,
        time_zone=None,
    )


@pytest.mark.parametrize("name", [name for name in HOSTILE if "\0" not in name])
def test_names_of_sources_and_authorities_are_data(engine: Engine, name: str) -> None:
    with transaction(engine) as connection:
        before = inspect(connection).get_table_names()
        number = ensure(connection, name)
        assert ensure(connection, name) == number
        row = connection.execute(select(source)).one()
        after = inspect(connection).get_table_names()

    assert (row.name, row.authority, before) == (name, name, after)


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """Settings whose database is not there, with a password in a file of its own."""
    secret = tmp_path / "url"
    secret.write_text(f"postgresql://worker:ZQPASSWORD@/db?host={tmp_path}\n")
    secret.chmod(0o600)
    config = tmp_path / "site.toml"
    config.write_text("[database]\nurl_file = 'url'\n[log]\nlevel = 'debug'\n")
    return config


@pytest.mark.parametrize(
    "command",
    [
        ("status", "--json"),
        ("doctor", "--json"),
        ("doctor",),
        ("migrate",),
        ("migrate", "--sql"),
        ("migrate", "--roles"),
        ("run-once", "--settle", "0", "--json"),
        ("show", "1"),
    ],
    ids=" ".join,
)
def test_no_command_says_a_password(nowhere: Path, command: tuple[str, ...]) -> None:
    done = ecgbatch(*command, "--config", nowhere)

    assert "ZQPASSWORD" not in done.out + done.err
    assert done.exit_code in {0, 4}


def test_a_password_in_a_setting_of_another_form_is_not_repeated(tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    config.write_text("[database]\nurl = ['postgresql://worker:ZQPASSWORD@/db']\n")

    done = ecgbatch("status", "--config", config)

    assert done.exit_code == 4
    assert "ZQPASSWORD" not in done.out + done.err


@pytest.mark.postgres
@pytest.mark.parametrize(("verbosity", "is_logged"), [("default", True), ("terse", False)])
def test_the_server_s_log_is_silent_on_values_with_the_advised_setting(
    postgres: Postgres, verbosity: str, is_logged: bool
) -> None:
    """The advice in docs/deploy.md; without it the DETAIL of an error repeats a row."""
    token = f"ZQROW{verbosity}"
    log = postgres.home / "log"
    name = postgres.create()
    migrate(postgres.url(name))
    with psycopg.connect(host=str(postgres.home), user="postgres", autocommit=True) as one:
        one.execute(f"ALTER DATABASE {name} SET log_error_verbosity = '{verbosity}'".encode())
    row = {"name": token, "kind": "folder", "root": "/", "authority": "a"}
    engine = open_engine(postgres.url(name))
    try:
        with pytest.raises(EcgbatchError) as caught, transaction(engine) as connection:
            connection.execute(insert(source), [row, row])
    finally:
        engine.dispose()

    assert token not in str(caught.value)
    assert "duplicate key value" in log.read_text()
    assert (token in log.read_text()) is is_logged
    postgres.drop(name)
