"""`golden-ecgs`: the synthetic golden ECGs of the package."""

import json
from pathlib import Path

import click

from ecgbatch.resources import folder
from training.cli.faults import faults_reported
from training.cli.options import JSON


@click.command("golden-ecgs")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=lambda: folder("config") / "train.demo.toml",
    show_default="config/train.demo.toml",
    help="Settings of the synthetic cohort and of the bundle.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file, .npz; an older one is replaced.",
)
@JSON
def command(config: Path, out: Path, as_json: bool) -> None:
    """Write the synthetic golden ECGs that ship with ecgbatch, in mV."""
    from ecgbatch.bundle.golden import SIGNALS
    from ecgbatch.bundle.save import npz_bytes
    from training.export.golden import golden_ecgs_of_file
    from training.folder import write_whole

    with faults_reported():
        signals = golden_ecgs_of_file(config)
        archive = npz_bytes({SIGNALS: signals})
        write_whole(out, lambda aside: aside.write_bytes(archive))
    if as_json:
        click.echo(json.dumps({"ecgs": len(signals), "out": str(out)}))
        return
    click.echo(f"{len(signals)} synthetic ECGs in {out}")
