"""Whether the triggers that keep results, scores, events and audit rows as they are still stand."""

from sqlalchemy import Connection, text

_TABLES = ("result", "score", "event", "audit", "verification")
_ON_SQLITE = ("no_update", "no_delete")
_ON_POSTGRESQL = ("append_only",)
_CHAINED = ("event_chained", "audit_chained")

_SQLITE = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
_POSTGRESQL = """
SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND t.tgenabled IN ('O', 'A')
"""


def missing_guards(connection: Connection) -> tuple[str, ...]:
    """The names of the triggers that are not there, or switched off."""
    is_sqlite = connection.dialect.name == "sqlite"
    ends = _ON_SQLITE if is_sqlite else _ON_POSTGRESQL
    expected = [*(f"{name}_{end}" for name in _TABLES for end in ends), *_CHAINED]
    standing = set(connection.execute(text(_SQLITE if is_sqlite else _POSTGRESQL)).scalars())
    return tuple(f"trigger {name}" for name in expected if name not in standing)
