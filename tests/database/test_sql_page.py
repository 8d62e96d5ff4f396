"""docs/sql.md names every column, and its recipes run as they stand."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from ecgbatch.records import Quarantined
from ecgbatch.store.tables_ledger import metadata
from ecgbatch.terms import ReasonCode
from tests.support.ledger import Site, facts, rejected, scored, sighting

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)


def documented(name: str) -> list[str]:
    section = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert section is not None, f"{name} is not documented"
    rows = re.findall(r"^\| (`[^|]*) \|", section.group(1), flags=re.MULTILINE)
    return [column for row in rows for column in re.findall(r"`(\w+)`", row)]


@pytest.mark.parametrize("name", sorted(metadata.tables))
def test_every_column_of_every_table_is_documented_once(name: str) -> None:
    assert sorted(documented(name)) == sorted(column.name for column in metadata.tables[name].c)


def test_every_column_of_every_view_is_documented_once(connection: Connection) -> None:
    inspector = inspect(connection)
    for view in inspector.get_view_names():
        columns = [column["name"] for column in inspector.get_columns(view)]
        assert sorted(documented(view)) == sorted(columns)


def test_there_is_a_recipe_for_the_usual_questions() -> None:
    assert len(RECIPES) >= 8


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_recipe_runs_and_finds_something(inbox: Site, recipe: str) -> None:
    inbox.arrive(scored(facts("e1", patient_key="p")), "a")
    inbox.arrive(scored(facts("e1", patient_key="p")), "copy")
    inbox.arrive(rejected(facts("e2")), "b")
    inbox.arrive(Quarantined(None, ReasonCode.XML_INVALID, "decode"), "c")
    inbox.note(sighting("d"))

    assert inbox.connection.execute(text(recipe.strip().rstrip(";"))).all()
