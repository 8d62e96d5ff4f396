"""Statements of other people: in a session that cannot write, for a time, row by row."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ecgbatch.errors import EcgbatchError
from ecgbatch.store import reading_sqlite
from ecgbatch.store.answer import Question
from ecgbatch.store.engine import transaction
from ecgbatch.store.faults import fault
from ecgbatch.store.reading_faults import clue_of, fault_of
from ecgbatch.store.statement import Statement

_SQLITE_NAMES = """
SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c
WHERE m.type IN ('table', 'view') ORDER BY m.type DESC, m.name, c.cid
"""
_POSTGRES_NAMES = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = current_schema() ORDER BY table_name DESC, ordinal_position
"""
_BUNDLES = ("bundle", "v_bundle_stratum")
"""Where it stands whether a bundle is clinical; a reader sees the second alone."""


@contextmanager
def reading(engine: Engine, statement: Statement, timeout_s: float) -> Iterator[Question]:
    """Put a statement to the database of a read-only engine.

    Args:
        timeout_s: seconds for the statement, its answer included.

    Raises:
        SetupFault: STATEMENT_INVALID, with the unknown name and the nearest ones there are;
            STATEMENT_REFUSED, it does more than read; STATEMENT_TOO_SLOW; the database is unfit.
        TransientFault: the database failed.
    """
    try:
        with engine.connect() as connection:
            until_s = time.monotonic() + timeout_s
            with _question(connection, statement, until_s) as question:
                yield question
    except SQLAlchemyError as error:
        raise fault(error) from None
    except Exception as error:
        clue = clue_of(error, statement)
        if clue is None:
            raise
        raise fault_of(clue, statement, _names(engine) if clue.unknown else {}) from None


def _question(
    connection: Connection, statement: Statement, until_s: float
) -> AbstractContextManager[Question]:
    if connection.dialect.name == "sqlite":
        return reading_sqlite.question(connection, statement, until_s)
    # Only with the driver installed, which SQLite does without.
    from ecgbatch.store import reading_postgres  # noqa: PLC0415

    return reading_postgres.question(connection, statement, until_s)


def has_demonstration(engine: Engine) -> bool:
    """Whether a bundle in the database is not clinical; also if this account cannot tell."""
    for relation in _BUNDLES:
        try:
            with transaction(engine) as connection:
                asked = f"SELECT count(*) FROM {relation} WHERE NOT is_clinical"  # noqa: S608
                return bool(connection.exec_driver_sql(asked).scalar_one())
        except EcgbatchError:
            continue
    return True


def _names(engine: Engine) -> dict[str, tuple[str, ...]]:
    """Columns by view and table, views first, as far as this account may see them."""
    statement = _SQLITE_NAMES if engine.dialect.name == "sqlite" else _POSTGRES_NAMES
    found: dict[str, tuple[str, ...]] = {}
    with transaction(engine) as connection:
        for relation, column in connection.exec_driver_sql(statement):
            found[relation] = (*found.get(relation, ()), column)
    return found
