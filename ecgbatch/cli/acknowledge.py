"""`ecgbatch acknowledge`."""

from pathlib import Path

import click

from ecgbatch.cli.options import print_json, settings_from, settings_options
from ecgbatch.terms import ReasonCode


@click.command("acknowledge")
@click.argument("items", nargs=-1, type=click.IntRange(min=1), metavar="[ITEM...]")
@click.option(
    "--code",
    type=click.Choice([code.value for code in ReasonCode]),
    metavar="REASON",
    help="All with this reason.",
)
@click.option("--reason", "why", required=True, help="Why this needs no more attention.")
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
    from ecgbatch.provenance import actor
    from ecgbatch.store.audit import acknowledge
    from ecgbatch.store.engine import transaction

    if bool(items) == (code is not None):
        raise click.UsageError("give either item numbers or --code REASON")
    if not why.strip():
        raise click.UsageError("--reason must say something")
    engine, _ = open_database(settings_from(config_file, db_url))
    with transaction(engine) as connection:
        number = acknowledge(
            connection,
            actor=actor(),
            reason_text=why.strip(),
            code=ReasonCode(code) if code else None,
            items=items,
        )
    if as_json:
        print_json({"acknowledged": number})
    else:
        click.echo(f"acknowledged: {number}")
