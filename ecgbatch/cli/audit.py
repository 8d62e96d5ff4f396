"""`ecgbatch audit`: check."""

import sys
from pathlib import Path

import click

from ecgbatch.cli.options import print_json, print_table, settings_from, settings_options
from ecgbatch.terms import ExitCode


@click.group("audit")
def command() -> None:
    """Check that nobody changed what was written down."""


@command.command("check")
@click.option(
    "--head",
    metavar="HASH",
    help="The head that an earlier check printed: its row must still be there.",
)
@settings_options
def check(head: str | None, config_file: Path | None, db_url: str | None, as_json: bool) -> None:
    """Follow the hash chains of the events, run by run, and of the operators' acts.

    A row that was altered, removed or inserted breaks its chain, and the cut-off end of a run's
    events is seen by what the run wrote down of it. The newest operators' acts can be cut off
    unseen: keep the head that is printed here somewhere else, and give it with --head next time.

    Exit code 0: whole. 1: broken.
    """
    from ecgbatch.preparation import open_to_read
    from ecgbatch.store import chain_check
    from ecgbatch.store.engine import take_time, transaction

    engine = open_to_read(settings_from(config_file, db_url))
    with transaction(engine) as connection:
        take_time(connection)
        events = chain_check.event_chains(connection)
        acts = chain_check.audit_chain(connection, head.strip().lower() if head else None)
    is_whole = not events.broken and not acts.broken
    if as_json:
        print_json({"ok": is_whole, "events": events, "audit": acts})
        sys.exit(ExitCode.DONE if is_whole else ExitCode.ATTENTION)
    print_table(
        ("chain", "rows", "from before the hashes", "broken"),
        [
            (f"events of {events.runs} runs", events.rows, events.unchained, events.broken),
            ("operators' acts", acts.rows, acts.unchained, acts.broken),
        ],
    )
    for one in events.examples:
        where = f"event {one.number}" if one.number else "the end"
        click.echo(f"run {one.run_id}, {where}: {one.damage}")
    for one in acts.examples:
        where = f"act {one.number}" if one.number else "the head that was given is not there"
        click.echo(f"{where}: {one.damage}")
    if events.open_runs:
        click.echo(f"{events.open_runs} runs wrote down no end: still going, killed, or older")
    if acts.since is not None:
        click.echo(f"acts since the head that was given: {acts.since}")
    click.echo(f"head: {acts.head}\n{'whole' if is_whole else 'broken'}")
    sys.exit(ExitCode.DONE if is_whole else ExitCode.ATTENTION)
