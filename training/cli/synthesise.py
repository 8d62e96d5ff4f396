"""`ecgbatch-train synthesise`."""

import json
from pathlib import Path
from typing import Literal

import click

from ecgbatch.resources import folder
from training.cli.faults import faults_reported
from training.cli.options import JSON, progress


@click.command("synthesise")
@click.argument("patients", type=click.IntRange(min=1))
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=lambda: folder("config") / "train.demo.toml",
    show_default="the demonstration's",
    help="Settings with a part [cohort], TOML; other parts are not looked at.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Made if absent; empty, or begun with the same arguments.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["wfdb", "muse", "both"]),
    default="both",
    show_default=True,
    help="both: MUSE for the share that cohort.muse_share names, WFDB for the others.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Other patients under the same settings.")
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True)
@JSON
def command(
    patients: int,
    config: Path,
    out: Path,
    formats: Literal["wfdb", "muse", "both"],
    seed: int | None,
    processes: int,
    as_json: bool,
) -> None:
    """Write the first PATIENTS synthetic patients: their ECGs and a manifest with labels.

    Equal settings give equal bytes. Asking for more patients leaves the first ones as they are.
    After a kill the same command goes on. No real ECG is in any of them.
    """
    from training.settings.cohort import load_cohort
    from training.synthetic.files import TABLE, write_cohort

    with faults_reported():
        settings = load_cohort(config).model_copy(update={"n_patients": patients})
        if seed is not None:
            settings = settings.model_copy(update={"seed": seed})
        with progress() as show:
            written = write_cohort(out, settings, show, formats, processes)
    if as_json:
        found = {
            "patients": written.n_patients,
            "ecgs": written.n_ecgs,
            "muse": written.n_muse,
            "wfdb": written.n_ecgs - written.n_muse,
            "out": str(out),
            "manifest": TABLE,
        }
        click.echo(json.dumps(found))
        return
    click.echo(f"{written.n_ecgs} synthetic ECGs of {written.n_patients} patients in {out}")
