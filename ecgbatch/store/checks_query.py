"""What a check of the ledger is, and how a closed list of words gets into its query."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One query: its id (`I3` of the invariants, then a letter), what holds, and of which rows."""

    id: str
    title: str
    rows: str
    sql: str


def listed(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def with_lists(sql: str, **lists: Iterable[str]) -> str:
    """Put closed lists of words into a query; nothing from outside comes here."""
    for name, words in lists.items():
        sql = sql.replace(f"<{name}>", listed(words))
    return sql
