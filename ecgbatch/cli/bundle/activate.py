"""`ecgbatch bundle activate`."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from ecgbatch.cli.bundle.choice import FOLDER, print_pin, settings_of
from ecgbatch.cli.choice import stated
from ecgbatch.cli.options import print_json, settings_options
from ecgbatch.terms import DEMONSTRATION_NOTICE, BundleRole


@click.command("activate")
@click.argument("folder", type=FOLDER)
@click.option(
    "--role",
    type=click.Choice([role.value for role in BundleRole]),
    default=BundleRole.CHAMPION.value,
    show_default=True,
    help="A challenger scores beside the champion and is not shown.",
)
@click.option("--reason", "why", required=True, help="Why it gets this role.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    help="For a challenger: also score ECGs of this day or later that have a result.",
)
@settings_options
def command(
    folder: Path,
    role: str,
    why: str,
    since: datetime | None,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """Make the bundle in FOLDER the champion, or a challenger.

    The champion scores and is what the views show; unfinished work moves to a new one, results
    that are there stay. A challenger scores what the champion has scored, whenever the champion
    has nothing to do, from now on or --since a day; no view but v_bundle_comparison shows it.

    Its golden ECGs must be reproduced on this machine. Who did it, when and why stands in the
    activation table and in `audit`.
    """
    from ecgbatch import lifecycle
    from ecgbatch.preparation import open_database

    chosen = BundleRole(role)
    if since is not None and chosen is BundleRole.CHAMPION:
        raise click.UsageError("--since goes with --role challenger; `rescore` is the champion's")
    why = stated(why)
    settings = settings_of(config_file, db_url)
    engine, _ = open_database(settings)
    if chosen is BundleRole.CHALLENGER and lifecycle.is_champion(engine, folder):
        raise click.UsageError("this bundle is the champion; it challenges nobody")
    row, change = lifecycle.activate(engine, settings, folder, why, role=chosen, since=since)
    if as_json:
        print_json({**asdict(row), **asdict(change), "role": chosen})
        return
    again = "" if change.is_new else " (it was already)"
    click.echo(f"{chosen}: {row.name} {row.version}, digest {row.digest}{again}")
    if since is not None:
        click.echo(f"{change.given} ECGs that have a result wait to be scored by it too")
    if chosen is BundleRole.CHAMPION:
        print_pin(settings, row)
    if not row.is_clinical:
        click.echo(DEMONSTRATION_NOTICE)
