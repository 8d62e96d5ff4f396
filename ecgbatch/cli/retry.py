"""`ecgbatch retry`."""

from pathlib import Path

import click

from ecgbatch.cli.choice import choice_of, choice_options
from ecgbatch.cli.options import print_json, settings_from, settings_options


@click.command("retry")
@choice_options("Why it may succeed now.")
@settings_options
def command(
    items: tuple[int, ...],
    code: str | None,
    why: str,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """Try failed or unsupported items again, by number or by reason code.

    Their work is ready for the next run, its attempts and losses forgotten. Who asked for it,
    when and why stands in the audit table. Failed re-scorings are tried again too.
    """
    from ecgbatch.preparation import open_database
    from ecgbatch.store.engine import transaction
    from ecgbatch.store.retrying import retry

    choice = choice_of(items, code, why)
    engine, _ = open_database(settings_from(config_file, db_url))
    with transaction(engine) as connection:
        number = retry(connection, choice)
    if as_json:
        print_json({"retried": number})
    else:
        click.echo(f"ready to be tried again: {number}")
