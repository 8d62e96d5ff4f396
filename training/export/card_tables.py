"""Markdown tables of a card."""

from collections.abc import Iterator


def head(*titles: str) -> Iterator[str]:
    """The first two lines."""
    yield cells(*titles)
    yield "|---" * len(titles) + "|"


def cells(*values: object) -> str:
    """One line."""
    return "| " + " | ".join(str(value) for value in values) + " |"
