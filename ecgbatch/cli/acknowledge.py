"""`ecgbatch acknowledge`."""

from pathlib import Path

import click

from ecgbatch.cli.choice import choice_of, choice_options
from ecgbatch.cli.options import print_json, settings_from, settings_options


@click.command("acknowledge")
@choice_options("Why this needs no more attention.")
@settings_options
def command(
    items: tuple[int, ...],
    code: str | None,
    why: str,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """Take note of failed or unsupported items, by number or by reason code.

    They stay in the ledger and in `v_failures`, but no longer raise the exit code. Who did it,
    when and why stands in the audit table. Working an item again clears its acknowledgement.
    """
    from ecgbatch.preparation import open_database
    from ecgbatch.store.audit import acknowledge
    from ecgbatch.store.engine import transaction

    choice = choice_of(items, code, why)
    engine, _ = open_database(settings_from(config_file, db_url))
    with transaction(engine) as connection:
        number = acknowledge(connection, choice.actor, choice.why, choice.code, choice.items)
    if as_json:
        print_json({"acknowledged": number})
    else:
        click.echo(f"acknowledged: {number}")
