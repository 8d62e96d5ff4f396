"""What the commands that fit share: the run opened or prepared, the start, the processes."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from training.cli.options import progress

if TYPE_CHECKING:
    from training.fit.material import Around, Material
    from training.folder import RunFolder
    from training.records import Progress

Command = TypeVar("Command", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_OPTIONS = (
    click.option("--config", type=_FILE, help="The experiment's settings, TOML."),
    click.option("--manifest", type=_FILE, help="The table of ECGs and grades."),
    click.option("--root", type=_FOLDER, help="Folder that the manifest's paths start from."),
    click.option(
        "--cache",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of prepared arrays; several runs may share one. Default: in the run folder.",
    ),
    click.option(
        "--start",
        type=click.Path(exists=True, path_type=Path),
        help="Checkpoint, backbone folder, or run folder of an intermediate stage.",
    ),
)


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says; the first four are needed where the run is not prepared."""

    config: Path | None
    manifest: Path | None
    root: Path | None
    cache: Path | None
    start: Path | None


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """Ready to fit."""

    run: "RunFolder"
    material: "Material" = field(repr=False)
    around: "Around" = field(repr=False)


def fit_options(command: Command) -> Command:
    """--config, --manifest, --root, --cache, --start."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextmanager
def opened(path: Path, given: Given) -> Iterator[Opened]:
    """The run, prepared first if it is not and all is given for it; under torchrun the processes
    are joined, and the run has to be prepared already.

    Raises:
        SetupFault: as `prepare_run`, `open_run`, `read_start`.
        UsageError: the run is not prepared, and something needed for it is not given.
    """
    from training.data.run import open_run
    from training.fit.material import Around, Material
    from training.folder import RunFolder
    from training.model.start import read_start
    from training.optimise.distributed import joined_group, local_device

    run = RunFolder(path)
    with progress() as show:
        _prepare(run, given, show)
        data = open_run(run)
        start = read_start(data.experiment, given.start)
        device = local_device(data.experiment.compute.device)
        with joined_group(device) as group:
            if group.is_first:
                around = Around(device, group, show, lambda said: click.echo(said, err=True))
            else:
                around = Around(device, group)
            material = Material(data.experiment, data.cohort, data.inputs, start)
            yield Opened(run, material, around)


def _prepare(run: "RunFolder", given: Given, show: "Progress") -> None:
    """Prepare the run, or check that it is of these settings, where they are given."""
    from training.data.run import is_prepared, prepare_run
    from training.settings.experiment import load_experiment

    named = (given.config, given.manifest, given.root)
    if all(path is None for path in named) and is_prepared(run):
        return
    if given.config is None or given.manifest is None or given.root is None:
        raise click.UsageError(
            "The run folder is not prepared: give --config, --manifest and --root."
            if not is_prepared(run)
            else "Give --config, --manifest and --root together, or none of them."
        )
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise click.UsageError("Prepare the run folder with check-data before torchrun.")
    prepare_run(load_experiment(given.config), given.manifest, given.root, run, given.cache, show)
