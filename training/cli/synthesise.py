"""`ecgbatch-train synthesise`."""

from pathlib import Path

import click

from training.cli.former import CONFIG
from training.cli.options import faults_reported, progress


@click.command("synthesise")
@click.argument("patients", type=click.IntRange(min=1))
@CONFIG
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
def command(patients: int, config: Path, out: Path) -> None:
    """Write the first PATIENTS synthetic patients as WFDB records with a table of grades.

    The patients are those of the settings' cohort; asking for more leaves the first ones as
    they are. No real ECG is in any of them.
    """
    from training.former.settings import load_settings
    from training.synthetic.cohort import cohort
    from training.synthetic.files import TABLE, write_cohort

    with faults_reported():
        settings = load_settings(config).cohort.model_copy(update={"n_patients": patients})
        n_ecgs = patients * settings.ecgs_per_patient
        with progress() as show:
            done = iter(range(1, n_ecgs + 1))
            n_written = write_cohort(
                out, cohort(settings), lambda: show("writing ECGs", next(done), n_ecgs)
            )
    click.echo(f"{n_written} synthetic ECGs and {TABLE} in {out}")
