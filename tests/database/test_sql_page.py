"""docs/sql.md names every column."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect

from ecgbatch.store.tables_ledger import metadata

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")


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
