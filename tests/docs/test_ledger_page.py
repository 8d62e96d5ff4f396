"""The page of the ledger names every check and every command, and only tests that there are."""

import re
from pathlib import Path

from ecgbatch.cli.main import COMMANDS
from ecgbatch.store.checks_sql import CHECKS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")


def test_every_check_is_on_the_page_once() -> None:
    named = re.findall(r"^\| ([IC]\d+[a-z]?) \|", PAGE, flags=re.MULTILINE)

    assert len(named) == len(set(named))
    assert set(named) == {check.id for check in CHECKS} | {"I7a", "I7b", "I7c"}


def test_sentences_of_the_same_acquisition_have_their_tests() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.partition("## Same acquisition")[2]))
    tests = (ROOT / "tests" / "database" / "test_same_acquisition.py").read_text(encoding="utf-8")

    assert len(named) > 15
    assert named <= set(re.findall(r"^def (test_\w+)", tests, flags=re.MULTILINE))


def test_operators_commands_are_there() -> None:
    acts = ("quarantine", "acknowledge", "retry", "ignore", "halt", "resume", "rescore")

    for act in acts:
        assert f"`{act}" in PAGE
        assert act in COMMANDS
