"""docs/threats.md names a test for every threat, and each of them exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
ROWS = {
    threat: re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
    for threats, row in re.findall(r"^\| ([A-Z]\d[^|]*) \|(.*)$", PAGE, flags=re.MULTILINE)
    for threat in threats.split(", ")
}
NAMED = sorted({test for tests in ROWS.values() for test in tests})


@pytest.mark.parametrize(
    "threat", [f"M{number}" for number in range(1, 6)] + ["S1", "S2", "S3", "C1", "L1"]
)
def test_the_threat_has_a_row_with_tests(threat: str) -> None:
    assert ROWS[threat]


def test_no_row_is_without_a_test() -> None:
    assert [threat for threat, tests in ROWS.items() if not tests] == []


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_named_test_exists(file: str, name: str) -> None:
    source = (ROOT / file).read_text(encoding="utf-8")

    assert re.search(rf"^def {name}\(", source, flags=re.MULTILINE)
