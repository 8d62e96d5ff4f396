"""The `ecgbatch-train` command: a table of sub-commands, loaded one at a time."""

import os
import sys
from importlib import import_module
from typing import NoReturn

import click

from ecgbatch import __version__
from ecgbatch.terms import ExitCode
from training.cli.faults import internal

COMMANDS = {
    "synthesise": ("synthesise", "command", "Write a synthetic cohort: ECG files and their table."),
    "check-data": ("check_data", "command", "Read manifest and ECGs, and count what they give."),
    "fit": ("fit", "command", "Fit the weights; predict the parts that they have not seen."),
    "cross-validate": ("cross_validate", "command", "Fit every fold; predict out of fold."),
    "operating-points": (
        "operating_points",
        "command",
        "Set calibrators and cuts; see how they hold.",
    ),
    "evaluate": ("evaluate", "command", "Compare risks with what the CCTA found; write a report."),
    "export": ("export", "command", "Write the bundle of a finished run, proved."),
    "explain": ("explain", "command", "Draw what moved a bundle's output over the 12-lead page."),
    "study-pcgrad": ("study_pcgrad", "command", "Compare PCGrad with plain multi-task learning."),
    "golden-ecgs": ("golden_ecgs", "command", "Write the synthetic golden ECGs of the package."),
}
"""Name: module in `training.cli`, attribute, help line."""


class _Table(click.Group):
    """Sub-commands by name; their help lines stand in the table, so --help imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"training.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=_Table)
@click.version_option(__version__, prog_name="ecgbatch-train")
def main() -> None:
    """From ECGs and CCTA reports to a bundle that ecgbatch scores with.

    Exit codes: 0 done, 1 the answer is no, 2 usage, 4 settings, data or bundle unfit, 70 a fault
    of ecgbatch, 130 interrupted.
    """


def run() -> NoReturn:
    """Run the command line; every fault becomes one line and an exit code, never a traceback."""
    # Threads that wait by spinning starve each other where the cores are shared: a fit came to a
    # halt beside other work. To be set before torch is loaded; no effect on any number.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        sys.exit(main.main(prog_name="ecgbatch-train", standalone_mode=False) or ExitCode.DONE)
    except click.exceptions.Exit as wish:
        sys.exit(wish.exit_code)
    except click.Abort:
        click.echo("interrupted; the same command goes on, or starts again", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except click.ClickException as fault:
        fault.show()
        sys.exit(ExitCode.USAGE)
    except Exception as fault:  # noqa: BLE001 - its text may carry paths or identifiers
        sys.exit(internal(fault, as_json="--json" in sys.argv).code)
