"""`ecgbatch halt`."""

from pathlib import Path

import click

from ecgbatch.cli.choice import stated
from ecgbatch.cli.options import print_json, settings_from, settings_options


@click.command("halt")
@click.option("--reason", "why", required=True, help="Why nothing may be scored.")
@settings_options
def command(why: str, config_file: Path | None, db_url: str | None, as_json: bool) -> None:
    """Let nothing more be scored in this database, by any worker, until `resume`.

    Workers end the ECGs that they hold; runs still note what arrives. A database that is halted
    already stays so, with its first reason. Who did it, when and why stands in the audit table.
    """
    from ecgbatch.preparation import open_database
    from ecgbatch.provenance import actor
    from ecgbatch.store.control import halt
    from ecgbatch.store.engine import transaction

    why = stated(why)
    engine, _ = open_database(settings_from(config_file, db_url))
    with transaction(engine) as connection:
        changed = halt(connection, actor(), why)
    if as_json:
        print_json({"halted": True, "changed": changed})
    else:
        click.echo("halted" if changed else "was halted already")
