"""The trainer's pages are what the code says, and what the publication said."""

import re
import shlex
from pathlib import Path

import click
import pytest

from ecgbatch.terms import Vessel
from tests.support import training_commands_page, training_settings_page
from training.cli.main import COMMANDS, main

DOCS = Path(__file__).parents[2] / "docs"
EVIDENCE = (DOCS / "evidence.md").read_text(encoding="utf-8")
PUBLISHED = {
    "RCA": (".794 / .749 / .793", ".744 / .714 / .693"),
    "LM": (".818 / .971 / .896", ".706 / .713 / .659"),
    "LAD": (".744 / .667 / .707", ".716 / .700 / .673"),
    "LCX": (".755 / .727 / .765", ".736 / .673 / .716"),
}


def test_page_of_the_trainers_commands_is_up_to_date() -> None:
    page = training_commands_page.PAGE.read_text(encoding="utf-8")
    assert page == training_commands_page.text()
    assert all(f"\n## ecgbatch-train {name}\n" in page for name in COMMANDS)


def test_page_of_the_experiments_settings_is_up_to_date() -> None:
    page = training_settings_page.PAGE.read_text(encoding="utf-8")
    assert page == training_settings_page.text()


@pytest.mark.parametrize(
    "row",
    [
        "| `learning_rate` | none: state it |",
        "| `final_learning_rate_share` | `0.01` | of `learning_rate`. |",
        "| `strength_to` | `0.5` | c, from the first to the last epoch along a half cosine",
        "| `nonspecific_st_mv` | none: state it | SD per axis",
        "| `columns` | table `[data.columns]` |",
        "\n## `[evaluation.sweep.VESSEL]`\n",
    ],
)
def test_a_key_stands_with_its_default_and_its_meaning(row: str) -> None:
    assert row in training_settings_page.text()


def test_both_revisions_of_the_published_areas_are_told() -> None:
    for vessel, (first, latest) in PUBLISHED.items():
        assert f"| {vessel} | {first} | {latest} |" in EVIDENCE


def test_our_own_table_has_the_same_layout_and_a_cell_for_each_value() -> None:
    table = EVIDENCE.partition("<!-- evidence:begin -->")[2].partition("<!-- evidence:end -->")[0]
    rows = [line for line in table.splitlines() if re.match(r"\| (RCA|LM|LAD|LCX) \|", line)]
    assert [row.split("|")[1].strip() for row in rows] == list(Vessel)
    assert all(len(row.strip("|").split("|")) == 4 for row in rows)


def _printed() -> list[tuple[str, str]]:
    """Every `ecgbatch-train` or torchrun line of a block, or of a cell, with its page."""
    found = []
    for page in (DOCS / "training.md", *sorted((DOCS / "training").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        blocks = "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL))
        lines = re.findall(r"^(?:ecgbatch-train|torchrun .* training) .*", blocks, re.MULTILINE)
        cells = re.findall(r"`((?:ecgbatch-train )?(?:evaluate|cross-validate) --[^`]*)`", text)
        found += [(page.name, line) for line in (*lines, *cells)]
    return found


@pytest.mark.parametrize(("page", "line"), _printed())
def test_a_printed_command_has_these_options_and_lacks_none(page: str, line: str) -> None:
    words = shlex.split(re.sub(r"^(ecgbatch-train|torchrun .* training) ", "", line), comments=True)
    command = main.get_command(click.Context(main), words[0])
    assert command is not None, page
    options = [one for one in command.params if isinstance(one, click.Option)]
    known = {name for option in options for name in option.opts}
    given = {
        word.strip("[]").partition("=")[0] for word in words if word.strip("[").startswith("--")
    }
    assert given <= known, page
    is_whole = line.startswith(("ecgbatch-train", "torchrun"))
    needed = {option.opts[0] for option in options if option.required}
    assert needed <= given or not is_whole, page


def test_every_page_of_the_trainer_is_linked_from_the_first() -> None:
    text = (DOCS / "training.md").read_text(encoding="utf-8")
    for page in (DOCS / "training").glob("*.md"):
        assert f"](training/{page.name})" in text, page.name
