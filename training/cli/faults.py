"""Faults in one line, with an exit code; never a traceback, a path or the content of a file."""

import errno
import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ecgbatch.errors import EcgbatchError, SetupFault, TransientFault
from ecgbatch.terms import ExitCode, ReasonCode

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_TAKEN = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
_OURS = Path(__file__).parents[2]


@contextmanager
def faults_reported() -> Iterator[None]:
    """A fault of ours, or of the disk, as one line with what to do, and an exit code."""
    try:
        yield
    except EcgbatchError as fault:
        is_unfit = isinstance(fault, SetupFault | TransientFault)
        raise _told(fault, ExitCode.UNFIT if is_unfit else ExitCode.INTERNAL) from None
    except OSError as fault:
        known = _of_disk(fault)
        if known is None:
            raise
        raise _told(known, ExitCode.UNFIT) from None


def internal(fault: Exception, *, as_json: bool) -> SystemExit:
    """An exception that nobody expected: its type and our own innermost line. Its message stays
    inside: it may carry a path, an identifier or the content of a file."""
    frames = [
        frame
        for frame in traceback.extract_tb(fault.__traceback__)
        if Path(frame.filename).is_relative_to(_OURS / "training")
        or Path(frame.filename).is_relative_to(_OURS / "ecgbatch")
    ]
    place = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    detail = f"{type(fault).__name__}{place}"
    named = EcgbatchError(ReasonCode.INTERNAL_FAULT, detail)
    return _told(named, ExitCode.INTERNAL, as_json=as_json)


def _told(fault: EcgbatchError, exit_code: int, *, as_json: bool = False) -> SystemExit:
    """Say a fault on standard error, and with --json as an object on standard output too."""
    click.echo(f"{fault}. {fault.advice}", err=True)
    context = click.get_current_context(silent=True)
    if as_json or (context is not None and context.params.get("as_json")):
        error = {"reason": fault.reason, "detail": fault.detail, "advice": fault.advice}
        click.echo(json.dumps({"exit_code": exit_code, "error": error}))
    return SystemExit(exit_code)


def _of_disk(fault: OSError) -> SetupFault | None:
    """The system's error as ours, where a person can mend it: its text would carry the path."""
    if fault.errno in _FULL:
        detail = "the run folder, or what --out names; the same command goes on from here"
        return SetupFault(ReasonCode.DISK_FULL, detail)
    if fault.errno in _CLOSED:
        return SetupFault(ReasonCode.OUTPUT_UNWRITABLE, "no permission")
    if fault.errno in _TAKEN:
        return SetupFault(ReasonCode.OUTPUT_UNWRITABLE, "a file or folder is in the way")
    return None
