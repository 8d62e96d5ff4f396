"""`ecgbatch bundle rollback`."""

from pathlib import Path

import click

from ecgbatch.cli.bundle.choice import FOLDER, print_pin, settings_of, without_place
from ecgbatch.cli.choice import stated
from ecgbatch.cli.options import print_json, settings_options
from ecgbatch.terms import DEMONSTRATION_NOTICE


@click.command("rollback")
@click.argument("folder", type=FOLDER, required=False)
@click.option("--reason", "why", required=True, help="Why the former champion comes back.")
@settings_options
def command(
    folder: Path | None, why: str, config_file: Path | None, db_url: str | None, as_json: bool
) -> None:
    """Make the champion before this one the champion again; a second rollback undoes the first.

    Its results are shown at once. ECGs that were scored since, and not by it, are scored by it
    behind new ones; until then the views show the other bundle's result. FOLDER is where its files
    lie, should they have moved.
    """
    from ecgbatch import lifecycle
    from ecgbatch.preparation import open_database

    why = stated(why)
    settings = settings_of(config_file, db_url)
    engine, _ = open_database(settings)
    row, change = lifecycle.roll_back(engine, settings, why, folder)
    if as_json:
        print_json({"champion": without_place(row), "given": change.given})
        return
    click.echo(f"champion: {row.name} {row.version}, digest {row.digest}")
    click.echo(f"{change.given} ECGs without a result of it wait to be scored by it")
    print_pin(settings, row)
    if not row.is_clinical:
        click.echo(DEMONSTRATION_NOTICE)
