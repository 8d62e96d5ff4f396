"""`ecgbatch bundle promote`."""

from pathlib import Path

import click

from ecgbatch.cli.bundle.choice import challenger_of, print_pin, settings_of, without_place
from ecgbatch.cli.choice import stated
from ecgbatch.cli.options import print_json, settings_options
from ecgbatch.terms import DEMONSTRATION_NOTICE


@click.command("promote")
@click.argument("challenger", required=False)
@click.option("--reason", "why", required=True, help="Why it becomes the champion.")
@settings_options
def command(
    challenger: str | None, why: str, config_file: Path | None, db_url: str | None, as_json: bool
) -> None:
    """Make a challenger the champion: CHALLENGER is its name, its digest (8 digits) or its folder.

    What it has scored is shown from now on, and nothing is scored twice; of ECGs that it has not
    scored the views show the former champion's result. Its golden ECGs must be reproduced on this
    machine. `bundle rollback` goes back.
    """
    from ecgbatch import lifecycle
    from ecgbatch.preparation import open_database

    why = stated(why)
    settings = settings_of(config_file, db_url)
    engine, _ = open_database(settings)
    row = challenger_of(engine, challenger)
    before = lifecycle.promote(engine, settings, row, why)
    if as_json:
        print_json({"champion": without_place(row), "before": without_place(before)})
        return
    click.echo(f"champion: {row.name} {row.version}, digest {row.digest}")
    click.echo(f"before:   {before.name} {before.version}, digest {before.digest}")
    print_pin(settings, row)
    if not row.is_clinical:
        click.echo(DEMONSTRATION_NOTICE)
