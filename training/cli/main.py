"""`ecgbatch-train`."""


import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from ecgbatch.errors import SetupFault
from ecgbatch.resources import folder
from ecgbatch.terms import DEMONSTRATION_NOTICE, ExitCode

CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=lambda: folder("config") / "train.demo.toml",
    show_default="config/train.demo.toml",
    help="Settings of the cohort, the fit and the bundle.",
)


@click.group()
def main() -> None:
    """Make cohorts and bundles for ecgbatch.

    Exit codes: 0 done, 2 usage, 4 settings or bundle unfit.
    """


@main.command()
@click.argument("patients", type=click.IntRange(min=1))
@CONFIG
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
def synthesise(patients: int, config: Path, out: Path) -> None:
    """Write the first PATIENTS synthetic patients as WFDB records with a table of grades.

    The patients are those of the settings' cohort; asking for more leaves the first ones as
    they are. No real ECG is in any of them.
    """
    from training.former.settings import load_settings
    from training.synthetic.cohort import cohort
    from training.synthetic.files import TABLE, write_cohort

    with _faults_reported():
        settings = load_settings(config).cohort.model_copy(update={"n_patients": patients})
        n_ecgs = patients * settings.ecgs_per_patient
        with _progress() as show:
            done = iter(range(1, n_ecgs + 1))
            n_written = write_cohort(
                out, cohort(settings), lambda: show("writing ECGs", next(done), n_ecgs)
            )
    click.echo(f"{n_written} synthetic ECGs and {TABLE} in {out}")


@main.command("demo-bundle")
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

    with _faults_reported():
        settings = load_settings(config)
        started = time.monotonic()
        with _progress() as show:
            built = build_demonstration(settings, out, show)
        text = render_card(settings, built, time.monotonic() - started)
    if card is not None:
        card.write_text(text, encoding="utf-8")
    for report in built.reports:
        if report.warning:
            click.echo(report.warning, err=True)
    click.echo(text if card is None else f"card: {card}")
    click.echo(f"bundle {built.bundle.digest[:12]} in {out}\n{DEMONSTRATION_NOTICE}")


@main.command("golden-ecgs")
@CONFIG
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
def golden_ecgs(config: Path, out: Path) -> None:
    """Write the synthetic golden ECGs that ship with ecgbatch, in mV."""
    from ecgbatch.bundle.golden import SIGNALS
    from ecgbatch.bundle.save import npz_bytes
    from training.former.demonstration import golden_ecgs as draw
    from training.former.settings import load_settings

    with _faults_reported():
        settings = load_settings(config)
        signals = draw(settings.cohort, settings.bundle)
    out.write_bytes(npz_bytes({SIGNALS: signals}))
    click.echo(f"{len(signals)} synthetic ECGs in {out}")


@contextmanager
def _faults_reported() -> Iterator[None]:
    """One line with the reason and what to do, and exit code 4."""
    try:
        yield
    except SetupFault as fault:
        click.echo(f"{fault}. {fault.advice}", err=True)
        raise SystemExit(ExitCode.UNFIT) from None


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar per activity on a terminal; silent otherwise."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show
