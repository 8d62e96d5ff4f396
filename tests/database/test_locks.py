"""One scan of a source at a time."""

import pytest
from sqlalchemy import Engine

from ecgbatch.errors import SetupFault
from ecgbatch.store.engine import open_engine
from ecgbatch.store.locks import source_lock
from ecgbatch.terms import ReasonCode


def test_second_run_on_a_source_is_refused_until_the_first_ends(
    engine: Engine, database_url: str
) -> None:
    other = open_engine(database_url)
    try:
        with source_lock(engine, 1):
            with pytest.raises(SetupFault) as caught, source_lock(other, 1):
                pass
            with source_lock(other, 2):
                pass
        with source_lock(other, 1):
            pass
    finally:
        other.dispose()

    assert caught.value.reason is ReasonCode.RUN_LOCKED


def test_lock_is_given_back_after_an_error(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), source_lock(engine, 1):
        raise ZeroDivisionError

    with source_lock(engine, 1):
        pass
