"""What the commands that fit share: the data, the start, the processes."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.cli.options import progress
from training.cli.prepared import data_options, opened_run

if TYPE_CHECKING:
    from training.fit.material import Around, Material
    from training.folder import RunFolder

_Command = TypeVar("_Command", bound=Callable[..., object])
_START = click.option(
    "--start",
    type=click.Path(exists=True, path_type=Path),
    help="Checkpoint, backbone folder, or run folder of an intermediate stage.",
)


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says."""

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


def fit_options(command: _Command) -> _Command:
    """--config, --manifest, --root, --cache, --start."""
    return data_options(_START(command))


@contextmanager
def opened(path: Path, given: Given) -> Iterator[Opened]:
    """The run, prepared first if it is not; under torchrun the processes are joined, and the run
    has to be prepared already.

    Raises:
        SetupFault: as `opened_run`, `read_start`.
    """
    from training.data.run import is_prepared
    from training.fit.material import Around, Material
    from training.folder import RunFolder
    from training.model.start import read_start
    from training.optimise.distributed import joined_group, local_device

    run = RunFolder(path)
    if os.environ.get("WORLD_SIZE", "1") != "1" and not is_prepared(run):
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "torchrun takes a prepared one")
    with progress() as show:
        data = opened_run(
            run,
            show,
            config=given.config,
            manifest=given.manifest,
            root=given.root,
            cache=given.cache,
        )
        start = read_start(data.experiment, given.start)
        device = local_device(data.experiment.compute.device)
        with joined_group(device) as group:
            if group.is_first:
                around = Around(device, group, show, lambda said: click.echo(said, err=True))
            else:
                around = Around(device, group)
            yield Opened(run, Material(data.experiment, data.cohort, data.inputs, start), around)
