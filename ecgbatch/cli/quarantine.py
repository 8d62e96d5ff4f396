"""`ecgbatch quarantine`: list."""

from pathlib import Path

import click

from ecgbatch.cli.choice import code_option
from ecgbatch.cli.options import print_json, print_table, settings_from, settings_options
from ecgbatch.terms import Disposition, ReasonCode


@click.group("quarantine")
def command() -> None:
    """What failed or is unsupported."""


@command.command("list")
@code_option("Only with this reason.")
@settings_options
def list_(code: str | None, config_file: Path | None, db_url: str | None, as_json: bool) -> None:
    """List what failed or is unsupported, by number and reason, failed re-scorings too.

    Places are not shown here: `ecgbatch status --failures` names them. The numbers are those that
    `retry`, `ignore` and `acknowledge` take.
    """
    from ecgbatch.preparation import open_to_read
    from ecgbatch.store import queries
    from ecgbatch.store.engine import transaction

    engine = open_to_read(settings_from(config_file, db_url))
    with transaction(engine) as connection:
        reason = ReasonCode(code) if code else None
        failures = queries.failures(
            connection, (Disposition.FAILED, Disposition.UNSUPPORTED), reason
        )
    rows = [
        {
            "item_id": one.item_id,
            "disposition": one.disposition,
            "reason": one.reason,
            "stage": one.stage,
            "request": one.request,
            "first_seen_at": one.first_seen_at,
            "acknowledged_at": one.acknowledged_at,
        }
        for one in failures
    ]
    if as_json:
        print_json({"quarantined": rows})
        return
    headings = ("item", "disposition", "reason", "stage", "request", "first seen", "acknowledged")
    print_table(headings, [tuple(row.values()) for row in rows])
    click.echo(f"\n{len(rows)} failed or unsupported")
