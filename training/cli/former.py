"""`demo-bundle`, from the first build; it goes when `export` replaces it."""

import time
from pathlib import Path

import click

from ecgbatch.resources import folder
from ecgbatch.terms import DEMONSTRATION_NOTICE
from training.cli.faults import faults_reported
from training.cli.options import progress

CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=lambda: folder("config") / "train.demo.toml",
    show_default="config/train.demo.toml",
    help="Settings of the cohort, the fit and the bundle.",
)


@click.command("demo-bundle")
@CONFIG
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option(
    "--card",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the bundle's card (Markdown) here.",
)
def demo_bundle(config: Path, out: Path, card: Path | None) -> None:
    """Build the demonstration bundle: synthetic cohort, fit, cuts, test, export, proof.

    Twice on one machine gives the same bytes.
    """
    from training.former.card import render_card
    from training.former.demonstration import build_demonstration
    from training.former.settings import load_settings

    with faults_reported():
        settings = load_settings(config)
        started = time.monotonic()
        with progress() as show:
            built = build_demonstration(settings, out, show)
        text = render_card(settings, built, time.monotonic() - started)
    if card is not None:
        card.write_text(text, encoding="utf-8")
    for report in built.reports:
        if report.warning:
            click.echo(report.warning, err=True)
    click.echo(text if card is None else f"card: {card}")
    click.echo(f"bundle {built.bundle.digest[:12]} in {out}\n{DEMONSTRATION_NOTICE}")
