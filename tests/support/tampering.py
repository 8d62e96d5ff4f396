"""Rows changed behind the program's back, as a repair by hand or a broken disk would."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

_CHECKS = """
SELECT c.conname, t.relname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
WHERE c.contype = 'c' AND c.connamespace = CAST(current_schema() AS regnamespace)
"""


@contextmanager
def unguarded(connection: Connection) -> Iterator[None]:
    """Without triggers, references and CHECK constraints; afterwards the triggers stand again.

    The test's transaction is rolled back, and so are the constraints that were dropped.
    """
    if connection.dialect.name == "postgresql":
        for name, of_table in connection.execute(text(_CHECKS)).all():
            connection.execute(text(f"ALTER TABLE {of_table} DROP CONSTRAINT {name}"))
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield
        connection.execute(text("SET LOCAL session_replication_role = origin"))
        return
    wanted = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    triggers = connection.execute(text(wanted)).all()
    for name, _ in triggers:
        connection.execute(text(f"DROP TRIGGER {name}"))
    connection.execute(text("PRAGMA ignore_check_constraints = ON"))
    connection.execute(text("PRAGMA defer_foreign_keys = ON"))
    yield
    connection.execute(text("PRAGMA ignore_check_constraints = OFF"))
    for _, definition in triggers:
        connection.execute(text(definition))


def without_unique(connection: Connection, table: str) -> None:
    """Take the unique constraints from a table, which on SQLite means to build it anew."""
    if connection.dialect.name == "postgresql":
        wanted = text(
            "SELECT conname FROM pg_constraint WHERE contype = 'u'"
            f" AND conrelid = CAST('{table}' AS regclass)"
        )
        for name in connection.execute(wanted).scalars().all():
            connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
        return
    connection.execute(text("PRAGMA legacy_alter_table = ON"))
    wanted = f"SELECT sql FROM sqlite_master WHERE name = '{table}'"
    definition = connection.execute(text(wanted)).scalar_one()
    loose = re.sub(r",\s*CONSTRAINT \w+ UNIQUE \([^)]*\)", "", definition)
    assert loose != definition
    connection.exec_driver_sql(re.sub(rf"\b{table}\b", "copied", loose, count=1))
    connection.execute(text(f"INSERT INTO copied SELECT * FROM {table}"))
    connection.execute(text(f"DROP TABLE {table}"))
    connection.execute(text(f"ALTER TABLE copied RENAME TO {table}"))
    connection.execute(text("PRAGMA legacy_alter_table = OFF"))


def change(connection: Connection, statement: str) -> None:
    """One statement behind the program's back; it must hit something."""
    with unguarded(connection):
        assert connection.execute(text(statement)).rowcount > 0
