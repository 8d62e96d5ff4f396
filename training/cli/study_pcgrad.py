"""`ecgbatch-train study-pcgrad`."""

import json
from pathlib import Path

import click

from ecgbatch.resources import folder
from training.cli.faults import faults_reported
from training.cli.options import JSON, progress


@click.command("study-pcgrad")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=lambda: folder("config") / "study.pcgrad.toml",
    show_default="config/study.pcgrad.toml",
    help="Every number of the study, TOML.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for study-pcgrad.json and study-pcgrad.md.",
)
@JSON
def command(config: Path, out: Path, as_json: bool) -> None:
    """Compare PCGrad with plain multi-task learning where tasks conflict.

    Synthetic cohorts whose vessels pull in opposite directions; pairs of fits that differ in
    nothing else. Some minutes on two cores. It says nothing about patients.
    """
    from training.folder import write_json, write_whole
    from training.settings.base import read_toml, validated
    from training.studies.conflict import StudySettings, compare
    from training.studies.conflict_report import as_json as report
    from training.studies.conflict_report import as_markdown

    with faults_reported():
        settings = validated(StudySettings, read_toml(config))
        with progress() as show:
            found = compare(settings, show)
    answer = report(settings, found)
    table = as_markdown(found)
    with faults_reported():
        write_json(out / "study-pcgrad.json", answer)
        write_whole(out / "study-pcgrad.md", lambda aside: aside.write_text(table, "utf-8"))
    click.echo(json.dumps(answer) if as_json else table)
