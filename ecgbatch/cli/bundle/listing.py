"""`ecgbatch bundle list`."""

from dataclasses import replace
from pathlib import Path

import click

from ecgbatch.cli.bundle.choice import settings_of
from ecgbatch.cli.options import print_json, print_table, settings_options
from ecgbatch.cli.tables import print_challenges


@click.command("list")
@settings_options
def command(config_file: Path | None, db_url: str | None, as_json: bool) -> None:
    """Which bundles score, in which role, since when, by whom and why; and those before them."""
    from ecgbatch.preparation import open_to_read
    from ecgbatch.store import standing
    from ecgbatch.store.engine import transaction

    engine = open_to_read(settings_of(config_file, db_url))
    with transaction(engine) as connection:
        tenures = standing.tenures(connection)
        challenges = standing.challenges(connection)
    if as_json:
        plain = [replace(one, bundle=replace(one.bundle, location=None)) for one in challenges]
        print_json({"activations": tenures, "challengers": plain})
        return
    print_table(
        ("role", "bundle", "version", "clinical", "digest", "from", "to", "by", "why"),
        [
            (
                one.role,
                one.name,
                one.version,
                "yes" if one.is_clinical else "no",
                one.digest[:12],
                one.from_at,
                one.to_at or "now",
                one.by,
                one.why,
            )
            for one in tenures
        ],
    )
    print_challenges(challenges)
