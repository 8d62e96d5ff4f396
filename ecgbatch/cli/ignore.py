"""`ecgbatch ignore`."""

from pathlib import Path

import click

from ecgbatch.cli.choice import choice_of, choice_options
from ecgbatch.cli.options import print_json, settings_from, settings_options


@click.command("ignore")
@choice_options("Why it is ignored, or no longer.")
@click.option("--undo", is_flag=True, help="Take ignored items up again, by number.")
@settings_options
def command(
    items: tuple[int, ...],
    code: str | None,
    why: str,
    undo: bool,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """Take items out of the work, by number or by reason code.

    An ignored item is not read, needs no attention and stands against no other export: of two
    exports in an identity conflict, ignoring the wrong one makes the other current. By reason
    these are items that wait, failed, are unsupported, rejected or vanished; by number also
    duplicates and superseded ones. Scored items stay as they are.

    --undo takes an item up where it was: its work waits again, its failure is shown again, and a
    conflict that had ended begins again. Where its place has had other bytes since, it is
    superseded. Who did it, when and why stands in the audit table.
    """
    from ecgbatch.preparation import open_database
    from ecgbatch.store.engine import transaction
    from ecgbatch.store.ignoring import ignore, undo_ignore

    if undo and code is not None:
        raise click.UsageError("--undo goes by item numbers")
    choice = choice_of(items, code, why)
    engine, _ = open_database(settings_from(config_file, db_url))
    with transaction(engine) as connection:
        number = (undo_ignore if undo else ignore)(connection, choice)
    if as_json:
        print_json({"taken_up" if undo else "ignored": number})
    else:
        click.echo(f"{'taken up again' if undo else 'ignored'}: {number}")
