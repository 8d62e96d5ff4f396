"""Structured logs: JSON lines on standard error, and only fields from a closed list."""

import logging
import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog

ALLOWED_FIELDS = frozenset(
    {
        "alarm",
        "bundle",
        "counts",
        "disposition",
        "done",
        "event",
        "exit_code",
        "expected",
        "item_id",
        "level",
        "per_second",
        "phase",
        "reason",
        "remaining_s",
        "run_id",
        "seconds",
        "source_id",
        "stage",
        "timestamp",
        "work_id",
    }
)


def configure(level: str) -> None:
    """Send log lines of `level` and above to standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_allowed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=lambda *_: _Careful(sys.stderr),
    )


class _Careful:
    """Prints lines; a log that is full or gone ends no run, for the ledger knows the same."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def msg(self, line: str) -> None:
        # Past the stream's buffer: what it cannot get rid of would be an error again at exit.
        with suppress(OSError, ValueError):
            os.write(self._file.fileno(), f"{line}\n".encode())

    debug = info = warning = error = critical = msg


def logger() -> structlog.typing.FilteringBoundLogger:
    """Nothing is ever said on standard output, which belongs to the answers of commands."""
    if not structlog.is_configured():
        configure("warning")
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return log


def _only_allowed(
    _logger: object, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A field that nobody has thought about does not leave the process."""
    return {name: value for name, value in fields.items() if name in ALLOWED_FIELDS}
