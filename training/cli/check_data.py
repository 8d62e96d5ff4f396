"""`ecgbatch-train check-data`."""

import json
from pathlib import Path

import click

from ecgbatch.terms import ExitCode
from training.cli.faults import faults_reported
from training.cli.options import CONFIG, JSON, RUN, progress
from training.cli.prepared import CACHE, ROOT


@click.command("check-data")
@CONFIG
@click.option(
    "--manifest",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The table of ECGs and labels, CSV or Parquet.",
)
@ROOT
@RUN
@CACHE
@JSON
def command(
    config: Path,
    manifest: Path,
    root: Path | None,
    run: Path,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Read the manifest and every ECG, and say what the cohort is.

    Writes the cohort, what is excluded and why, and the counts into the run folder; the prepared
    ECGs go into the cache. Stopped at any time, it goes on where it was.

    Exit codes: 0 done, 1 an ECG stands under two patients, 4 settings or manifest unfit.
    """
    from training.data.run import prepare_run
    from training.data.summary import summary
    from training.folder import RunFolder
    from training.settings.experiment import load_experiment

    folder = RunFolder(run)
    with faults_reported(), progress() as show:
        prepare_run(load_experiment(config), manifest, root or manifest.parent, folder, cache, show)
    report = json.loads(folder.data_report.read_text(encoding="utf-8"))
    click.echo(json.dumps(report, ensure_ascii=False) if as_json else summary(report))
    if report["two_patients_rows"]:
        raise SystemExit(ExitCode.ATTENTION)
