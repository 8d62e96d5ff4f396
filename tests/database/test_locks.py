"""One scan of a source at a time; who lost the lock writes nothing."""

import pytest
from sqlalchemy import Engine, func, select, text

from ecgbatch.errors import SetupFault
from ecgbatch.store import ledger
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.store.locks import Held, source_lock
from ecgbatch.store.tables import item
from ecgbatch.terms import ReasonCode
from tests.support.ledger import Site, sighting, site


@pytest.fixture
def placed(engine: Engine) -> Site:
    """A committed source, so that other connections see it."""
    with transaction(engine) as connection:
        return site(connection)


def another_source(engine: Engine) -> int:
    with transaction(engine) as connection:
        return ledger.ensure_source(
            connection, "other", kind="folder", root="/o", authority="MRN", time_zone=None
        )


def test_second_run_on_a_source_is_refused_until_the_first_ends(
    engine: Engine, database_url: str, placed: Site
) -> None:
    other, other_id = open_engine(database_url), another_source(engine)
    try:
        with source_lock(engine, placed.source_id) as held:
            with pytest.raises(SetupFault) as caught, source_lock(other, placed.source_id):
                pass
            with source_lock(other, other_id):
                pass
        with source_lock(other, placed.source_id) as later:
            pass
    finally:
        other.dispose()

    assert caught.value.reason is ReasonCode.RUN_LOCKED
    assert later.token > held.token


def test_lock_is_given_back_after_an_error(engine: Engine, placed: Site) -> None:
    with pytest.raises(ZeroDivisionError), source_lock(engine, placed.source_id):
        raise ZeroDivisionError

    with source_lock(engine, placed.source_id):
        pass


def scan_writes(engine: Engine, placed: Site, held: Held) -> None:
    """What a scan writes, each refused if the source has been taken over."""
    run_id = placed.provenance.run_id
    with pytest.raises(SetupFault) as noted, transaction(engine) as connection:
        ledger.note(connection, placed.source_id, [sighting("late")], run_id, held)
    with pytest.raises(SetupFault) as admitted, transaction(engine) as connection:
        ledger.admit(connection, placed.source_id, 0.0, 0.0, held=held)
    with transaction(engine) as connection:
        started = ledger.now(connection)
    with pytest.raises(SetupFault) as missed, transaction(engine) as connection:
        ledger.mark_missing(connection, placed.source_id, started, run_id, held)
    reasons = {fault.value.reason for fault in (noted, admitted, missed)}
    assert reasons == {ReasonCode.LOCK_LOST}


def test_scan_that_was_overtaken_writes_nothing(engine: Engine, placed: Site) -> None:
    with source_lock(engine, placed.source_id) as overtaken:
        pass
    with source_lock(engine, placed.source_id) as held:
        with transaction(engine) as connection:
            run_id = placed.provenance.run_id
            ledger.note(connection, placed.source_id, [sighting("a")], run_id, held)
        scan_writes(engine, placed, overtaken)

    with transaction(engine) as connection:
        row = connection.execute(select(func.count(), func.sum(item.c.missing_scans))).one()
    assert tuple(row) == (1, 0)


def test_control_without_the_fence_a_miss_is_counted_twice(engine: Engine, placed: Site) -> None:
    run_id = placed.provenance.run_id
    with transaction(engine) as connection:
        ledger.note(connection, placed.source_id, [sighting("a")], run_id)
    for _ in ("overtaken", "current"):
        with transaction(engine) as connection:
            ledger.mark_missing(connection, placed.source_id, ledger.now(connection), run_id)

    with transaction(engine) as connection:
        assert connection.execute(select(item.c.missing_scans)).scalar_one() == 2


def test_scan_whose_lock_was_ended_writes_nothing_once_another_has_begun(
    engine: Engine, placed: Site, backend: str
) -> None:
    if backend == "sqlite":
        pytest.skip("a file's lock ends with the process alone")
    with source_lock(engine, placed.source_id) as held:
        with transaction(engine) as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks"
                    " WHERE locktype = 'advisory' AND database ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )
        with source_lock(engine, placed.source_id):
            scan_writes(engine, placed, held)
