"""`ecgbatch ledger`: check."""

import sys
from pathlib import Path

import click

from ecgbatch.cli.options import print_json, print_table, settings_from, settings_options
from ecgbatch.terms import ExitCode


@click.group("ledger")
def command() -> None:
    """Check that the ledger keeps its promises."""


@command.command("check")
@click.option(
    "--late",
    "late_s",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    help="Seconds that a lease may have ended before it counts as overdue.",
)
@settings_options
def check(late_s: float, config_file: Path | None, db_url: str | None, as_json: bool) -> None:
    """Put every invariant to the database as a query; nothing is changed.

    Rows that break one are named by number. docs/ledger.md says what each check means.

    Exit code 0: all hold. 1: broken; keep the database as it is and report it.
    """
    from ecgbatch.preparation import open_to_read
    from ecgbatch.store import checks
    from ecgbatch.store.engine import transaction

    engine = open_to_read(settings_from(config_file, db_url))
    with transaction(engine) as connection:
        findings = list(checks.examine(connection, late_s=late_s))
    broken = [finding for finding in findings if finding.broken]
    if as_json:
        print_json({"ok": not broken, "checks": findings})
    else:
        print_table(
            ("check", "what holds", "broken", "rows"),
            [(one.id, one.title, one.broken, ", ".join(one.examples) or None) for one in findings],
        )
        verdict = f"{len(broken)} of {len(findings)} checks broken" if broken else "all hold"
        click.echo(f"\n{verdict}")
    sys.exit(ExitCode.ATTENTION if broken else ExitCode.DONE)
