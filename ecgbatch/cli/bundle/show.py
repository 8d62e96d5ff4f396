"""`ecgbatch bundle show`."""

from pathlib import Path

import click

from ecgbatch.cli.bundle.choice import FOLDER, champion_folder, settings_of
from ecgbatch.cli.options import print_json, print_table, settings_options
from ecgbatch.terms import DEMONSTRATION_NOTICE, INTENDED_USE_NOTICE


@click.command("show")
@click.argument("folder", type=FOLDER, required=False)
@settings_options
def command(
    folder: Path | None, config_file: Path | None, db_url: str | None, as_json: bool
) -> None:
    """The card of the bundle in FOLDER, or of the database's champion."""
    from ecgbatch.bundle.digest import bundle_digest, read_manifest

    folder = folder or champion_folder(settings_of(config_file, db_url))
    digest, manifest = bundle_digest(folder), read_manifest(folder)
    if as_json:
        print_json({"digest": digest, "bundle": manifest.model_dump(mode="json", by_alias=True)})
        return
    click.echo(f"{manifest.name} {manifest.version}\ndigest         {digest}")
    click.echo(f"clinical       {'yes' if manifest.is_clinical else 'no'}")
    click.echo(f"preprocessing  {manifest.preprocessing.name} {manifest.preprocessing.digest[:12]}")
    flags = manifest.architecture
    click.echo(f"net            use_bn {flags.use_bn}, use_dropout {flags.use_dropout}")
    click.echo(f"training data  {manifest.training_data}\n")
    rows: list[tuple[object, ...]] = [
        (
            task.vessel,
            "yes" if task.is_experimental else "no",
            task.cuts.low.value if task.cuts else None,
            task.cuts.high.value if task.cuts else None,
            task.definition,
        )
        for task in manifest.tasks
    ]
    any_cuts = manifest.any_vessel.cuts
    if any_cuts is not None:
        maximum = "maximum over the tasks that are not experimental"
        rows.append(("any vessel", "no", any_cuts.low.value, any_cuts.high.value, maximum))
    print_table(("task", "experimental", "low below", "high from", "positive means"), rows)
    if manifest.metrics:
        click.echo()
        print_table(
            ("task", "metric", "value", "group", "data"),
            [(m.task, m.name, m.value, m.group, m.data) for m in manifest.metrics],
        )
    click.echo(f"\nIntended use: {manifest.intended_use}")
    click.echo(f"Not for: {'; '.join(manifest.exclusions)}")
    click.echo(INTENDED_USE_NOTICE if manifest.is_clinical else DEMONSTRATION_NOTICE)
