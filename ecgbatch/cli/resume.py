"""`ecgbatch resume`."""

from pathlib import Path

import click

from ecgbatch.cli.choice import stated
from ecgbatch.cli.options import print_json, settings_from, settings_options


@click.command("resume")
@click.option("--reason", "why", required=True, help="Why scoring may go on.")
@settings_options
def command(why: str, config_file: Path | None, db_url: str | None, as_json: bool) -> None:
    """Let scoring go on after `halt`.

    Who did it, when and why stands in the audit table.
    """
    from ecgbatch.preparation import open_database
    from ecgbatch.provenance import actor
    from ecgbatch.store.control import resume
    from ecgbatch.store.engine import transaction

    why = stated(why)
    engine, _ = open_database(settings_from(config_file, db_url))
    with transaction(engine) as connection:
        changed = resume(connection, actor(), why)
    if as_json:
        print_json({"halted": False, "changed": changed})
    else:
        click.echo("resumed" if changed else "was not halted")
