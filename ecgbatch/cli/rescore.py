"""`ecgbatch rescore`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ecgbatch.cli.choice import stated
from ecgbatch.cli.options import print_json, settings_from, settings_options
from ecgbatch.terms import ReasonCode

if TYPE_CHECKING:
    from ecgbatch.store.rescore import Scope


@click.command("rescore")
@click.option(
    "--scope",
    "kind",
    type=click.Choice(["all", "since", "source", "reason"]),
    required=True,
    help="What to score again; all but `all` are followed by a value.",
)
@click.argument("value", required=False)
@click.option("--reason", "why", required=True, help="Why it is scored again.")
@settings_options
def command(
    kind: str,
    value: str | None,
    why: str,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """Score again what has a result, under the champion: an upgrade alone scores nothing again.

    --scope all: every ECG with a result. --scope since 2026-01-31: those recorded on that day or
    later. --scope source NAME: those of a source. --scope reason CODE: what was rejected, failed
    or is unsupported for this reason.

    The work waits in a lane of its own, behind new ECGs. Results are added, and the views show
    the newest; a re-scoring that fails leaves the older one standing. ECGs whose file is gone are
    left out and counted. Who asked for it, when and why stands in the audit table.
    """
    from ecgbatch.preparation import open_database
    from ecgbatch.provenance import actor
    from ecgbatch.store import rescore
    from ecgbatch.store.engine import transaction

    why = stated(why)
    if (kind == "all") is not (value is None):
        raise click.UsageError("--scope all stands alone; since, source and reason need a value")
    scope = _scope(kind, value or "")
    engine, _ = open_database(settings_from(config_file, db_url))
    with transaction(engine) as connection:
        if kind == "source":
            source_id = rescore.source_named(connection, value or "")
            if source_id is None:
                raise click.UsageError("no source of this name in this database")
            scope = rescore.Scope(source_id=source_id)
        asked = rescore.ask(connection, scope, actor(), why)
    if as_json:
        print_json(asked)
        return
    click.echo(f"re-scoring {asked.rescore_id}: {asked.units} ECGs wait to be scored again")
    if asked.gone:
        click.echo(f"{asked.gone} left out: their files are gone")


def _scope(kind: str, value: str) -> "Scope":
    from ecgbatch.store.rescore import Scope

    if kind == "since":
        return Scope(since=_day(value))
    if kind == "reason":
        if value not in set(ReasonCode):
            raise click.UsageError("no such reason; docs/reasons.md lists them")
        return Scope(reason=ReasonCode(value))
    return Scope()


def _day(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value).replace(tzinfo=None)
    except ValueError:
        raise click.UsageError("--scope since needs a date such as 2026-01-31") from None
