"""`golden-ecgs`: the synthetic golden ECGs of the package."""

from pathlib import Path

import click

from ecgbatch.resources import folder
from training.cli.faults import faults_reported


@click.command("golden-ecgs")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=lambda: folder("config") / "train.demo.toml",
    show_default="config/train.demo.toml",
    help="Settings of the synthetic cohort and of the bundle.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
def command(config: Path, out: Path) -> None:
    """Write the synthetic golden ECGs that ship with ecgbatch, in mV."""
    from ecgbatch.bundle.golden import SIGNALS
    from ecgbatch.bundle.save import npz_bytes
    from training.export.golden import golden_ecgs_of_file

    with faults_reported():
        signals = golden_ecgs_of_file(config)
    out.write_bytes(npz_bytes({SIGNALS: signals}))
    click.echo(f"{len(signals)} synthetic ECGs in {out}")
