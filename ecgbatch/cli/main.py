"""The `ecgbatch` command: a table of sub-commands, loaded one at a time so that --help is quick."""

import json
import os
import sys
import traceback
from importlib import import_module
from typing import NoReturn

import click

from ecgbatch import __version__
from ecgbatch.errors import EcgbatchError, exit_code_of
from ecgbatch.reasons import advice
from ecgbatch.terms import ExitCode, ReasonCode

COMMANDS = {
    "run-once": ("run", "Find new ECGs, score them, write the results, and stop."),
    "work": ("work", "Claim and score what scans have admitted; any number at once."),
    "serve": ("serve", "Scan by a timetable and keep workers scoring, with metrics and alarms."),
    "status": ("status", "What became of the ECGs; with --failures each that needs a person."),
    "sql": ("sql", "Ask the database: one SQL statement that only reads; table, CSV, Parquet."),
    "show": ("show", "Everything known about one recording, scores and provenance included."),
    "verify": ("verify", "Compute results again from their files and compare."),
    "doctor": ("doctor", "Check the set-up; each line says how to mend what is wrong."),
    "acknowledge": (
        "acknowledge",
        "Take note of failures, so that they no longer raise the exit code.",
    ),
    "patient": ("patient", "Merge, unmerge or look up a patient; identifiers are never arguments."),
    "quarantine": ("quarantine", "List what failed or is unsupported, by number and reason."),
    "retry": ("retry", "Try failed or unsupported ECGs again."),
    "ignore": ("ignore", "Take ECGs out of the work, or up again."),
    "rescore": ("rescore", "Ask for ECGs to be scored again; results are added."),
    "halt": ("halt", "Let nothing more be scored in a database."),
    "resume": ("resume", "Let scoring go on after a halt."),
    "ledger": ("ledger", "Check every promise of the ledger with a query."),
    "audit": ("audit", "Check the hash chains of events and of operators' acts."),
    "migrate": ("migrate", "Create the database or bring it to this version's revision."),
    "bundle": ("bundle", "Show, verify, activate, compare, measure or import model bundles."),
    "formats": ("formats", "The ECG formats that are read or refused by name, with evidence."),
    "inspect": ("inspect", "What is understood of one ECG; with --plot the 12-lead page."),
    "report": ("report", "One HTML file of a period: runs, files, strata, worklist, bundle."),
    "convert": ("convert", "Write ECGs as 12 x 5000 millivolts at 500 Hz: npy, WFDB or Parquet."),
    "export": ("export", "Add new results to a folder of Parquet or CSV, each exactly once."),
    "demo": ("demo", "Score the shipped sample ECGs with the shipped demonstration model."),
}


_ASKED_WRONGLY = {
    ReasonCode.RECORD_UNKNOWN,
    ReasonCode.PATIENT_MERGE_REFUSED,
    ReasonCode.STATEMENT_INVALID,
    ReasonCode.STATEMENT_REFUSED,
    ReasonCode.STATEMENT_TOO_SLOW,
}


class _Table(click.Group):
    """Sub-commands by name; their help lines stand in the table, so --help imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"ecgbatch.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Table)
@click.version_option(__version__, prog_name="ecgbatch")
def cli() -> None:
    """Score hospital 12-lead ECGs in batches: a risk and a stratum per coronary artery, in SQL.

    A risk enriches the choice of who is looked at; it does not diagnose.
    """
    if os.geteuid() == 0:
        click.echo("warning: running as root; a service account is safer", err=True)


def main() -> NoReturn:
    """Run the command line; every fault becomes one line and an exit code, never a traceback."""
    try:
        sys.exit(cli.main(prog_name="ecgbatch", standalone_mode=False) or ExitCode.DONE)
    except click.exceptions.Exit as wish:
        sys.exit(wish.exit_code)
    except click.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except click.ClickException as fault:
        fault.show()
        sys.exit(ExitCode.USAGE)
    except EcgbatchError as fault:
        sys.exit(_told(fault.reason, fault.detail, _exit_code(fault)))
    except Exception as fault:  # noqa: BLE001 - its text may carry paths or identifiers
        sys.exit(_told(ReasonCode.INTERNAL_FAULT, _whereabouts(fault), ExitCode.INTERNAL))


def _exit_code(fault: EcgbatchError) -> int:
    return ExitCode.USAGE if fault.reason in _ASKED_WRONGLY else exit_code_of(fault)


def _told(reason: ReasonCode, detail: str, exit_code: int) -> int:
    """One line for a person; with --json an object on standard output for a program."""
    line = f"{reason}: {detail}. {advice(reason)}" if detail else f"{reason}. {advice(reason)}"
    click.echo(f"ecgbatch: {line}", err=True)
    if "--json" in sys.argv:
        fault = {"reason": reason, "detail": detail, "advice": advice(reason)}
        click.echo(json.dumps({"exit_code": exit_code, "error": fault}))
    return exit_code


def _whereabouts(fault: Exception) -> str:
    """Type of the fault and our own innermost line; the message itself stays inside."""
    frames = [
        frame for frame in traceback.extract_tb(fault.__traceback__) if "ecgbatch" in frame.filename
    ]
    place = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(fault).__name__}{place}"
