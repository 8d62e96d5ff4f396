"""`operating-points`: calibrators and cuts of a run, and how they hold."""

from pathlib import Path

import click

from training.cli.faults import faults_reported
from training.cli.options import JSON, RUN, progress


@click.command("operating-points")
@RUN
@JSON
def command(run: Path, as_json: bool) -> None:
    """Set calibrators and cuts on the cut part; report how they hold on the test part."""
    from training.folder import RunFolder
    from training.operating_points.run import points_of_run
    from training.operating_points.table import plain

    with faults_reported(), progress() as show:
        points = points_of_run(RunFolder(run), show)
    click.echo(points.to_json() if as_json else plain(points), nl=not as_json)
