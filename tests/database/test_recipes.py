"""Each recipe of docs/sql.md answers as the page says, on both databases and under its roles.

The answers on the page follow by hand from `tests.support.seeded_ecgs` and `seeded_hospital`.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ecgbatch.store import checks
from ecgbatch.store.engine import open_engine, transaction
from tests.support.postgres import Postgres
from tests.support.recipes import PAGE, Recipe, as_on_the_page, recipes
from tests.support.roles import Hospital, hospital
from tests.support.seeded_hospital import seed

RECIPES = recipes(PAGE.read_text(encoding="utf-8"))
each = pytest.mark.parametrize("recipe", RECIPES, ids=[f"{one.number}" for one in RECIPES])

READERS = ("reader", "clinical", "operator")
"""Those who ask; what a recipe's line does not name is refused."""
WITH_A_RISK = ("risk", "stratum", "probability", "npv", "shift")
OF_THE_BUNDLE = {"bundle_name", "bundle_version", "is_clinical"}


@pytest.fixture(scope="module")
def sqlite_file(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipes") / "ecg.db"
    shutil.copy(sqlite_template, path)
    fill(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def on_postgresql(postgres: Postgres) -> Iterator[Hospital]:
    made = hospital(postgres)
    fill(made.url("owner"))
    yield made
    postgres.drop(made.name)


def fill(url: str) -> None:
    """With the seed, which is a sound ledger: what it shows could stand in a hospital."""
    opened = open_engine(url)
    with transaction(opened) as connection:
        seed(connection)
        assert checks.broken(connection) == []
    opened.dispose()


def check(recipe: Recipe, columns: list[str], rows: list[tuple[object, ...]]) -> None:
    assert columns == recipe.columns
    assert as_on_the_page(rows, recipe.rows) == recipe.rows


@each
def test_recipe_answers_as_the_page_says_on_sqlite(sqlite_file: Path, recipe: Recipe) -> None:
    connection = sqlite3.connect(f"file:{sqlite_file}?mode=ro", uri=True)
    try:
        cursor = connection.execute(recipe.sql)
        check(recipe, [column[0] for column in cursor.description], cursor.fetchall())
    finally:
        connection.close()


@pytest.mark.postgres
@each
def test_recipe_answers_on_postgresql_to_its_roles_and_to_no_other(
    on_postgresql: Hospital, recipe: Recipe
) -> None:
    for role in READERS:
        with on_postgresql.connect(role) as connection:
            connection.execute("SET TIME ZONE 'America/St_Johns'")
            if role not in recipe.roles:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(recipe.sql.encode())
                continue
            cursor = connection.execute(recipe.sql.encode())
            assert cursor.description is not None
            check(recipe, [column.name for column in cursor.description], cursor.fetchall())


def test_the_page_has_its_recipes_in_order() -> None:
    assert [one.number for one in RECIPES] == list(range(1, len(RECIPES) + 1))
    assert len(RECIPES) == PAGE.read_text(encoding="utf-8").count("```sql") >= 20
    assert all(one.rows and set(one.roles) <= set(READERS) for one in RECIPES)


@each
def test_whoever_reads_a_risk_reads_which_bundle_gave_it(recipe: Recipe) -> None:
    if any(word in column for column in recipe.columns for word in WITH_A_RISK):
        assert set(recipe.columns) >= OF_THE_BUNDLE


def test_another_answer_is_seen() -> None:
    page = [["E1", "true", "0.5", "", "2026-03-04 02:00:00"]]
    same = ("E1", 1, 0.5, None, "2026-03-04T02:00:00.000000Z")

    assert as_on_the_page([same], page) == page
    for place, other in enumerate(("E2", 0, 0.51, "x", "2026-03-04T02:00:01.000000Z")):
        changed = [*same[:place], other, *same[place + 1 :]]
        assert as_on_the_page([changed], page) != page
    assert as_on_the_page([same, same], page) != page
    assert as_on_the_page([], page) != page
