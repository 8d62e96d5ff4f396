"""Options and habits that several commands share."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ExitCode, ReasonCode

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR}

CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The experiment's settings, TOML.",
)
RUN = click.option(
    "--run",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The run folder: everything of one experiment.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@contextmanager
def faults_reported() -> Iterator[None]:
    """One line with the reason and what to do, and exit code 4; also where a file of the run
    cannot be written: the system's own text would carry its path."""
    try:
        yield
    except SetupFault as fault:
        _end(fault)
    except OSError as fault:
        _end(_as_ours(fault))


def _as_ours(fault: OSError) -> SetupFault:
    if fault.errno in _FULL:
        return SetupFault(
            ReasonCode.DISK_FULL, "the run folder; the same command goes on from here"
        )
    if fault.errno in _CLOSED:
        return SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "it cannot be written")
    raise fault


def _end(fault: SetupFault) -> NoReturn:
    click.echo(f"{fault}. {fault.advice}", err=True)
    raise SystemExit(ExitCode.UNFIT) from None


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar per activity on a terminal; silent otherwise."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show
