"""`ecgbatch bundle retire`."""

from pathlib import Path

import click

from ecgbatch.cli.bundle.choice import challenger_of, settings_of, without_place
from ecgbatch.cli.choice import stated
from ecgbatch.cli.options import print_json, settings_options


@click.command("retire")
@click.argument("challenger", required=False)
@click.option("--reason", "why", required=True, help="Why it scores no more.")
@settings_options
def command(
    challenger: str | None, why: str, config_file: Path | None, db_url: str | None, as_json: bool
) -> None:
    """End the challenge: CHALLENGER is its name, its digest (8 digits) or its folder.

    It scores nothing more; its results stay and can be compared. Activated again it goes on where
    it ended.
    """
    from ecgbatch import lifecycle
    from ecgbatch.preparation import open_database

    why = stated(why)
    engine, _ = open_database(settings_of(config_file, db_url))
    row = challenger_of(engine, challenger)
    lifecycle.retire(engine, row, why)
    if as_json:
        print_json({"retired": without_place(row)})
        return
    click.echo(f"retired: {row.name} {row.version}, digest {row.digest}")
