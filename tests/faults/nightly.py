"""What the nightly tests share: their size, a server that can be stopped, and what must hold."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import text

from ecgbatch.store import checks
from tests.faults.field import Field, count, lay_out
from tests.faults.outages import Mortal, mortal_server

_SHARE = float(os.environ.get("ECGBATCH_TEST_NIGHTLY", "1"))
_QUICK = "[work]\nidle_s = 0.05\n"
_UNFINISHED = "SELECT COUNT(*) FROM work WHERE finished_at IS NULL"


def scaled(number: int) -> int:
    """A number of the plan; less of it with a share in `ECGBATCH_TEST_NIGHTLY`, such as 0.1."""
    return max(1, round(number * _SHARE))


@contextmanager
def hospital(home: Path, bundle: Path, *, work: str = "") -> Iterator[tuple[Field, Mortal]]:
    """A PostgreSQL server of its own, with a database for workers of the usual lease.

    Args:
        work: more of the settings' `[work]`.
    """
    with mortal_server() as server:
        with operator(server, "postgres") as connection:
            connection.execute("CREATE DATABASE ecg")
        yield lay_out(home, server.url("ecg"), bundle=bundle, settings=_QUICK + work), server


@contextmanager
def operator(server: Mortal, name: str = "ecg") -> Iterator[psycopg.Connection]:
    """A session beside the workers', which no fault hits."""
    with psycopg.connect(
        host=str(server.home), user="postgres", dbname=name, autocommit=True
    ) as connection:
        yield connection


def n_left(connection: psycopg.Connection) -> int:
    row = connection.execute(_UNFINISHED).fetchone()
    assert row is not None
    return int(row[0])


def all_is_well(field: Field, n_files: int, *, has_killed: bool = False) -> None:
    """Nothing lost, nothing twice, every check of the ledger holds.

    Args:
        has_killed: workers were killed too, which costs an attempt each; nothing else does.
    """
    engine = field.engine()
    found = count(engine, n_files)
    with engine.connect() as connection:
        most = connection.execute(text("SELECT MAX(attempts) FROM work")).scalar_one()
        broken = [finding.id for finding in checks.broken(connection)]
    engine.dispose()
    assert (found.lost, found.twice, found.quarantined) == (0, 0, 0)
    assert found.dispositions == {"scored": n_files}
    assert has_killed or most == 1
    assert broken == []
