"""A PostgreSQL over a network is only spoken to where nobody else can listen or pretend."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ecgbatch.errors import SetupFault
from ecgbatch.identity import create_site_key
from ecgbatch.resources import demonstration
from ecgbatch.store.engine import open_engine, owner_engine, read_only
from ecgbatch.store.options import DatabaseOptions
from ecgbatch.terms import ReasonCode
from tests.cli.command import ecgbatch
from tests.support.ecgs import SAMPLES
from tests.support.postgres import Postgres
from tests.support.tls import Authority, authority, door, find_openssl

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def openssl() -> str:
    program = find_openssl()
    if program is None and os.environ.get("CI"):
        pytest.fail("no openssl program: CI does not pass over TLS")
    if program is None:
        pytest.skip("no openssl program on this machine")
    return program


@pytest.fixture(scope="module")
def ours(openssl: str, tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(openssl, tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def others(openssl: str, tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(openssl, tmp_path_factory.mktemp("tls") / "others")


@pytest.fixture(scope="module")
def encrypted(postgres: Postgres, ours: Authority) -> Iterator[int]:
    with door(postgres.home / ".s.PGSQL.5432", ours) as port:
        yield port


@pytest.fixture(scope="module")
def plain(postgres: Postgres) -> Iterator[int]:
    """The real server's own answer to a client that wants TLS: it has none."""
    with door(postgres.home / ".s.PGSQL.5432", None) as port:
        yield port


def url(port: int, host: str = "localhost", more: str = "") -> str:
    return f"postgresql://postgres:s3cret@{host}:{port}/postgres{more}"


def reach(url: str, **options: str) -> None:
    """Open it as the worker, the reader and the owner do, and ask something."""
    for opened in (open_engine, read_only, owner_engine):
        engine = opened(url, DatabaseOptions(**options))
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
        engine.dispose()


def refused(url: str, **options: str) -> None:
    for opened in (open_engine, read_only, owner_engine):
        with pytest.raises(SetupFault) as caught:
            opened(url, DatabaseOptions(**options))
        assert caught.value.reason is ReasonCode.DATABASE_UNAVAILABLE
        assert "database.tls" in caught.value.detail
        assert "s3cret" not in str(caught.value)


def test_our_authority_and_the_right_name_are_let_in(encrypted: int, ours: Authority) -> None:
    reach(url(encrypted), tls_root=str(ours.root))


def test_another_authority_is_refused(encrypted: int, others: Authority) -> None:
    refused(url(encrypted), tls_root=str(others.root))


def test_the_system_s_authorities_do_not_know_ours(encrypted: int) -> None:
    refused(url(encrypted))


def test_another_name_is_refused(encrypted: int, ours: Authority) -> None:
    refused(url(encrypted, "127.0.0.1"), tls_root=str(ours.root))


def test_a_missing_file_of_authorities_is_refused(encrypted: int, tmp_path: Path) -> None:
    refused(url(encrypted), tls_root=str(tmp_path / "none.crt"))


def test_a_server_without_tls_is_refused(plain: int, ours: Authority) -> None:
    refused(url(plain), tls_root=str(ours.root))


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
def test_the_url_cannot_weaken_it(plain: int, ours: Authority, mode: str) -> None:
    refused(url(plain, more=f"?sslmode={mode}"), tls_root=str(ours.root))


def test_without_our_settings_such_a_url_would_connect(plain: int, encrypted: int) -> None:
    """So the refusals above are ours, and the door is open."""
    for port in (plain, encrypted):
        psycopg.connect(url(port, "127.0.0.1", "?sslmode=prefer")).close()


def test_off_is_off(plain: int) -> None:
    reach(url(plain), tls="off")


def test_unix_sockets_need_none(postgres: Postgres) -> None:
    reach(postgres.url("postgres"))


def test_scored_over_tls_and_refused_by_another_authority(
    postgres: Postgres, encrypted: int, ours: Authority, others: Authority, tmp_path: Path
) -> None:
    name = postgres.create()
    create_site_key(tmp_path / "site.key")
    config = tmp_path / "site.toml"
    lines = (
        f"[database]\nurl = 'postgresql://postgres@localhost:{encrypted}/{name}'",
        "schema_name = 'ecg_scores'\ntls_root = 'root.crt'",
        f"[source]\nfolder = '{SAMPLES}'\nname = 'ward'",
        "[site]\nkey_file = 'site.key'\n[bundle]\nallow_demonstration = true",
    )
    config.write_text("\n".join(lines))
    (tmp_path / "root.crt").write_bytes(ours.root.read_bytes())
    for command in (
        ("migrate",),
        ("bundle", "activate", demonstration("bundle"), "--reason", "first"),
        ("run-once", "--settle", 0),
        ("status",),
    ):
        done = ecgbatch(*command, "--config", config)
        assert done.exit_code == 0, done.out + done.err

    (tmp_path / "root.crt").write_bytes(others.root.read_bytes())
    stopped = ecgbatch("run-once", "--settle", 0, "--config", config)

    assert (stopped.exit_code, "database_unavailable" in stopped.err) == (4, True)
    with psycopg.connect(host=str(postgres.home), user="postgres", dbname=name) as connection:
        counted = connection.execute("SELECT count(*) FROM ecg_scores.v_latest_risk").fetchone()
        outside = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchone()
    assert (counted, outside) == ((7,), (0,))
    postgres.drop(name)
