"""Writes docs/cli.md from the commands' own help and their examples: `make docs`."""

from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from ecgbatch.cli.main import cli
from tests.support.cli_examples import NOTES, path_of

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
_INTRODUCTION = """# Commands

Written by `make docs` from the commands' own help; the examples are what the commands printed, on
the shipped samples with the demonstration bundle. Words like `<time>` and `<account>` stand for
what differs from run to run, … for what was left out. A command that uses a database takes
`--config FILE` or `--db URL`; every command takes `--json`.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | the answer is no: failed or unsupported ECGs are not acknowledged, a bundle is broken |
| 2 | usage, also a folder on the command line that does not exist, or an unknown record |
| 3 | another run holds the source |
| 4 | the set-up is unfit; the line says what to mend |
| 70 | an internal fault, or a ledger that does not add up |
| 130 | stopped by hand or by the service manager; work was given back |
"""


def text() -> str:
    """The page, one section per command."""
    return _INTRODUCTION + "".join(_sections(cli, ()))


def _sections(group: click.Group, path: tuple[str, ...]) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        here = (*path, name)
        if isinstance(command, click.Group):
            yield from _sections(command, here)
            continue
        runner = CliRunner(env={"COLUMNS": "80"})
        shown = runner.invoke(cli, [*here, "--help"], prog_name="ecgbatch", terminal_width=80)
        yield f"\n## ecgbatch {' '.join(here)}\n\n```\n{shown.stdout.rstrip()}\n```\n"
        yield _example(" ".join(here))


def _example(command: str) -> str:
    if command in NOTES:
        return f"\n{NOTES[command]}\n"
    return f"\n```console\n{path_of(command).read_text(encoding='utf-8')}```\n"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
