"""`export`: a finished run as a bundle, proved, with its card."""

from pathlib import Path

import click

from training.cli.faults import faults_reported
from training.cli.options import JSON, RUN, progress


@click.command("export")
@RUN
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The bundle's folder; an older bundle there is replaced.",
)
@click.option(
    "--card",
    "card_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the bundle's card (Markdown) here.",
)
@JSON
def command(run: Path, out: Path, card_path: Path | None, as_json: bool) -> None:
    """Write the bundle, once ecgbatch has scored as training did.

    Needs a finished `fit` (or `cross-validate`), `operating-points` and `evaluate`.
    """
    import json

    from ecgbatch.terms import DEMONSTRATION_NOTICE
    from training.data.run import open_run
    from training.export.card import render_card
    from training.export.finished import read_finished
    from training.export.notes import NOT_CLINICAL
    from training.export.run import export_run
    from training.folder import RunFolder, write_whole

    folder = RunFolder(run)
    with faults_reported(), progress() as show:
        finished = read_finished(folder)
        made = export_run(finished, open_run(folder).inputs, out, show)
    text = render_card(made)
    if card_path is not None:
        write_whole(card_path, lambda aside: aside.write_text(text, encoding="utf-8"))
    manifest = made.bundle.manifest
    if as_json:
        found = {
            "digest": made.bundle.digest,
            "out": str(out),
            "name": manifest.name,
            "version": manifest.version,
            "is_clinical": manifest.is_clinical,
            "what": finished.bundle.what,
            "members": len(made.bundle.members),
            "proved": made.n_proved,
            "largest_difference": made.largest_difference,
            "golden_tolerance": {str(key): one for key, one in manifest.golden_tolerance.items()},
            "warnings": list(finished.points.warnings),
        }
        click.echo(json.dumps(found))
        return
    for warning in finished.points.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(text if card_path is None else f"card: {card_path}")
    click.echo(f"bundle {made.bundle.digest[:12]} in {out}")
    click.echo(
        f"proved: {made.n_proved} ECGs scored by ecgbatch, largest difference"
        f" {made.largest_difference:.1g}"
    )
    if not manifest.is_clinical:
        click.echo(DEMONSTRATION_NOTICE if finished.is_drawn else NOT_CLINICAL)
