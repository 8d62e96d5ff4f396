"""COPY: the quickest way of many rows into a table of PostgreSQL."""

from collections.abc import Iterable, Sequence
from typing import cast

import psycopg
from sqlalchemy import Connection

from ecgbatch.store.faults import postgres_fault


def copy_rows(
    connection: Connection, table: str, names: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Add rows to a table in the caller's transaction; every constraint and trigger holds.

    Args:
        table, names: of this program's own tables.

    Raises:
        TransientFault, SetupFault, EcgbatchError: as of any other statement.
    """
    driver = cast("psycopg.Connection[tuple[object, ...]]", connection.connection.driver_connection)
    statement = f"COPY {table} ({', '.join(names)}) FROM STDIN".encode()
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise postgres_fault(
            error.sqlstate or "", isinstance(error, psycopg.OperationalError)
        ) from None
