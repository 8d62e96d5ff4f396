"""Options of the commands that need a run's data, and the data: opened, or prepared first."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.folder import RunFolder
from training.records import Progress

if TYPE_CHECKING:
    from training.data.run import OpenedRun

_Command = TypeVar("_Command", bound=Callable[..., object])

MANIFEST = click.option(
    "--manifest",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The table of ECGs and labels, CSV or Parquet.",
)
ROOT = click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder that the manifest's paths are relative to.  [default: the manifest's]",
)
CACHE = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of prepared ECGs, shared by runs.  [default: in the run folder]",
)
CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The experiment's settings, TOML; needed unless the run folder has its data.",
)


def data_options(command: _Command) -> _Command:
    """--config, --manifest, --root and --cache, none of them needed for a prepared run folder."""
    for option in (CACHE, ROOT, MANIFEST, CONFIG):
        command = option(command)
    return command


def opened_run(
    run: RunFolder,
    show: Progress,
    *,
    config: Path | None,
    manifest: Path | None,
    root: Path | None,
    cache: Path | None,
) -> "OpenedRun":
    """The data of a run; where there is none, it is prepared first.

    A prepared folder is held to the settings and the manifest, if they are given; its ECGs are
    not read again. A root or a cache that is given is where they lie from now on.

    Raises:
        SetupFault: `run_folder_unfit`: it has no data, and no settings or manifest are given;
            `settings_invalid`: it has other data; and as `prepare_run`.
    """
    from training.data.run import (
        is_prepared,
        keep_place,
        open_run,
        prepare_run,
        refuse_other,
        stored_experiment,
    )
    from training.settings.experiment import load_experiment

    experiment = None if config is None else load_experiment(config)
    if is_prepared(run):
        refuse_other(experiment or stored_experiment(run), manifest, run)
        if manifest or root or cache:
            keep_place(manifest, root, run, cache)
    elif experiment is None or manifest is None:
        raise SetupFault(
            ReasonCode.RUN_FOLDER_UNFIT, "no data is prepared in it; give --config and --manifest"
        )
    else:
        prepare_run(experiment, manifest, root or manifest.parent, run, cache, show)
    return open_run(run)
