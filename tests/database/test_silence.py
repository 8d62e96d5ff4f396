"""A server that says nothing any more: the client ends the connection by itself."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine

from ecgbatch.errors import TransientFault
from ecgbatch.store.engine import open_engine, owner_engine, take_time, transaction
from ecgbatch.store.options import DatabaseOptions
from ecgbatch.store.silence import Heard, limit_silence
from ecgbatch.terms import ReasonCode
from tests.support.broken_network import Kind, Network, broken_network
from tests.support.postgres import Postgres

pytestmark = pytest.mark.postgres

_PLAIN = DatabaseOptions(tls="off")
_LIMIT_S = 0.5


@pytest.fixture
def network(postgres: Postgres) -> Iterator[Network]:
    with broken_network(postgres.home / ".s.PGSQL.5432") as opened:
        yield opened


@pytest.fixture
def engine(network: Network) -> Iterator[Engine]:
    """Of a short patience."""
    opened = owner_engine(network.url("postgres"), _PLAIN)
    opened.dispose()
    limit_silence(opened, _LIMIT_S)
    yield opened
    opened.dispose()


def _ask(engine: Engine, sql: str = "SELECT 1") -> object:
    with transaction(engine) as connection:
        return connection.exec_driver_sql(sql).scalar_one()


def test_a_silent_server_is_left_and_the_next_connection_works(
    network: Network, engine: Engine
) -> None:

    def ask() -> None:
        with transaction(engine) as connection:
            network.fail("blackhole")
            connection.exec_driver_sql("SELECT 1")

    began = time.monotonic()
    with pytest.raises(TransientFault) as caught:
        ask()

    assert caught.value.reason is ReasonCode.DATABASE_UNAVAILABLE
    assert _LIMIT_S <= time.monotonic() - began < 10 * _LIMIT_S
    assert _ask(engine) == 1


def test_a_server_that_works_for_longer_is_silent_too(engine: Engine) -> None:
    with pytest.raises(TransientFault):
        _ask(engine, "SELECT 1 FROM pg_sleep(2)")


def test_whoever_takes_time_waits_until_the_end_of_the_transaction(engine: Engine) -> None:
    with transaction(engine) as connection:
        take_time(connection)
        slow = connection.exec_driver_sql("SELECT 1 FROM pg_sleep(1.5)")
        assert slow.scalar_one() == 1
    with pytest.raises(TransientFault):
        _ask(engine, "SELECT 1 FROM pg_sleep(2)")


def test_the_client_waits_longer_than_the_server_lets_a_statement_run(network: Network) -> None:
    worker, owner = (
        opened(network.url("postgres"), _PLAIN) for opened in (open_engine, owner_engine)
    )
    with worker.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, Heard)
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "10s"
        assert driver.limit_s == 20.0
    with owner.connect() as connection:
        # A migration takes as long as it takes.
        assert not isinstance(connection.connection.driver_connection, Heard)
    worker.dispose()
    owner.dispose()


@pytest.mark.parametrize("kind", ["reset", "lost_commit"])
def test_a_broken_connection_is_a_fault_of_the_surroundings(
    network: Network, engine: Engine, kind: Kind
) -> None:
    _ask(engine)

    def make() -> None:
        with transaction(engine) as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS kept (a int)")
            network.fail(kind)

    with pytest.raises(TransientFault):
        make()

    assert network.done == {kind: 1}
    # Only the answer was lost, not what it was about; a reset came before the COMMIT.
    is_there = _ask(engine, "SELECT to_regclass('kept') IS NOT NULL")
    assert is_there is (kind == "lost_commit")
    with transaction(engine) as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS kept")


def test_control_without_a_limit_nobody_notices(network: Network) -> None:
    with psycopg.connect(network.url("postgres").replace("+psycopg", "")) as connection:
        connection.execute("SELECT 1")
        network.fail("blackhole")
        watched = connection.pgconn
        watched.send_query(b"SELECT 1")
        time.sleep(4 * _LIMIT_S)
        watched.consume_input()
        assert watched.is_busy()
        assert network.noticed_s == []
        connection.close()
