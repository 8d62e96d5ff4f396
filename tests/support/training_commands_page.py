"""Writes docs/training/commands.md from the help of `ecgbatch-train`: `make docs`."""

from pathlib import Path

import click
from click.testing import CliRunner

from training.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "training" / "commands.md"
_INTRODUCTION = """# Commands of the trainer

Written by `make docs` from the commands' own help. `ecgbatch-train` is also `python -m training`.
What each one reads and writes: [training.md](../training.md).

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | the answer is no; the line says to what |
| 2 | usage, also a file or folder on the command line that does not exist |
| 4 | settings, data, bundle or disk unfit; the line says what to mend |
| 70 | a fault of ecgbatch itself |
| 130 | interrupted (Ctrl-C) |

With `--json` standard output is one JSON object; where the exit code is 4 or 70, `exit_code` and
`error` with `reason` ([all of them](../reasons.md)), `detail` and `advice`.
"""


def text() -> str:
    """The page, one section per command."""
    parts = [_INTRODUCTION]
    for name in main.list_commands(click.Context(main)):
        shown = CliRunner(env={"COLUMNS": "80"}).invoke(
            main, [name, "--help"], prog_name="ecgbatch-train", terminal_width=80
        )
        parts.append(f"\n## ecgbatch-train {name}\n\n```\n{shown.stdout.rstrip()}\n```\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
