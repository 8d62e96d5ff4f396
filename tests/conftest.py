"""Databases for every test: the same test runs on SQLite and on a real PostgreSQL.

Being here also puts the project on the path, so that tests import `tests.support`.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

from ecgbatch.store.engine import open_engine
from ecgbatch.store.migrate import migrate
from tests.support.postgres import Postgres, find_binaries, postgres_server


def pytest_configure(config: pytest.Config) -> None:
    """One cache of converted nets for all processes of these tests, none of the user's."""
    if hasattr(config, "workerinput"):
        return
    cache = tempfile.mkdtemp(prefix="ecgbatch-tests-")
    os.environ["XDG_CACHE_HOME"] = cache
    config.add_cleanup(lambda: shutil.rmtree(cache, ignore_errors=True))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server per session; under xdist one per worker."""
    binaries = find_binaries()
    if binaries is None and os.environ.get("CI"):
        pytest.fail("no PostgreSQL binaries: CI does not pass over them")
    if binaries is None:
        pytest.skip("no PostgreSQL binaries on this machine")
    with postgres_server(binaries) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """A migrated database to copy."""
    name = postgres.create()
    migrate(postgres.url(name))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_database_url(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    """A database without tables; the SQLite file does not exist yet."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'ecg.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database of this test's own."""
    if backend == "sqlite":
        path = tmp_path / "ecg.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create(request.getfixturevalue("postgres_template"))
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def sqlite_engine(sqlite_template: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{sqlite_template}")
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def postgresql_engine(postgres: Postgres, postgres_template: str) -> Iterator[Engine]:
    opened = open_engine(postgres.url(postgres.create(postgres_template)))
    yield opened
    opened.dispose()


@pytest.fixture
def connection(backend: str, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """One transaction around the test, rolled back: the database is shared by all of them."""
    shared: Engine = request.getfixturevalue(f"{backend}_engine")
    with shared.connect() as opened:
        yield opened
        opened.rollback()
