"""The recipes of docs/sql.md as a test reads them: question, roles, SQL and the answer below it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import isclose
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"

_RECIPE = re.compile(
    r"^#### (?P<number>\d+)\. (?P<title>.+)\n\n(?P<text>(?:.+\n)+)\n"
    r"```sql\n(?P<sql>(?:.*\n)+?.*);\n```\n\n(?P<table>(?:\|.*\n)+)",
    flags=re.MULTILINE,
)
_ROLES = re.compile(r"Roles:\s((?:`\w+`[,.]\s?)+)")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z?")

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_TRUTHS = ("false", "true")

_DOWN = ["column", "value"]
"""The head of a table that shows one long row from top to bottom."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One question; `rows` are the cells of the answer as the page shows them."""

    number: int
    title: str
    roles: tuple[str, ...]
    sql: str
    columns: list[str]
    rows: list[list[str]]


def recipes(page: str) -> list[Recipe]:
    """All recipes of the page, in its order."""
    return [_recipe(found) for found in _RECIPE.finditer(page[page.index("\n## Recipes\n") :])]


def _recipe(found: re.Match[str]) -> Recipe:
    roles = _ROLES.search(found["text"])
    assert roles is not None, f"recipe {found['number']} names no role"
    head, _, *body = [_cells(line) for line in found["table"].splitlines()]
    if head == _DOWN:
        head, body = [row[0] for row in body], [[row[1] for row in body]]
    named = tuple(re.findall(r"\w+", roles[1]))
    return Recipe(int(found["number"]), found["title"], named, found["sql"], head, body)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def as_on_the_page(rows: Sequence[Sequence[object]], page: list[list[str]]) -> list[list[str]]:
    """An answer as the page would show it; the page says which numbers stand for true and false."""
    padded = [*page, *([[""] * 50] * len(rows))]
    return [
        [_shown(value, cell) for value, cell in zip(row, cells, strict=False)]
        for row, cells in zip(rows, padded, strict=False)
    ]


def _shown(value: object, cell: str) -> str:
    match value:
        case int() | float() | Decimal():
            return _number(value, cell)
        case datetime():
            moment = value.astimezone(UTC) if value.tzinfo else value
            return moment.strftime("%Y-%m-%d %H:%M:%S")
        case str() if moment := _MOMENT.fullmatch(value):
            return f"{moment[1]} {moment[2]}"
        case _:
            return "" if value is None else str(value)


def _number(value: float | Decimal, cell: str) -> str:
    if isinstance(value, bool) or (cell in _TRUTHS and value in {0, 1}):
        return _TRUTHS[bool(value)]
    is_same = _NUMBER.fullmatch(cell) and isclose(float(cell), value, rel_tol=1e-9, abs_tol=1e-9)
    return cell if is_same else str(value)
