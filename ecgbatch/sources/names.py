"""Names of a folder in order, however many there are, in little memory."""

import heapq
import os
import tempfile
from collections.abc import Iterator
from typing import IO, Self

from ecgbatch.errors import TransientFault
from ecgbatch.terms import ReasonCode

RUN = 20_000
"""Names that are kept and sorted in memory; more of them go into a file that has no name."""
_CHUNK = 1 << 16
_END = b"\0"


class Names:
    """A sorted bag of names (any bytes but NUL). Add first, then iterate as often as needed."""

    def __init__(self) -> None:
        self._run: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._stored: list[tuple[int, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, name: bytes) -> None:
        """Raise TransientFault if the disk of temporary files is full.

        Raises:
            TransientFault: DISK_FULL.
        """
        self._run.append(name)
        if len(self._run) >= RUN:
            self._store()

    def __iter__(self) -> Iterator[bytes]:
        self._run.sort()
        if self._file is None:
            return iter(self._run)
        stored = (_names(self._file.fileno(), *run) for run in self._stored)
        return heapq.merge(self._run, *stored)

    def _store(self) -> None:
        self._run.sort()
        try:
            if self._file is None:
                # Unnamed and open to this process alone: names of files may name patients.
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
            start = self._file.tell()
            self._file.write(b"".join(name + _END for name in self._run))
            self._file.flush()
        except OSError:
            raise TransientFault(ReasonCode.DISK_FULL, "temporary files") from None
        self._stored.append((start, self._file.tell()))
        self._run = []


def _names(file: int, start: int, end: int) -> Iterator[bytes]:
    rest = b""
    while start < end:
        chunk = os.pread(file, min(_CHUNK, end - start), start)
        start += len(chunk)
        *whole, rest = (rest + chunk).split(_END)
        yield from whole


def without(names: Iterator[bytes], others: Iterator[bytes]) -> Iterator[bytes]:
    """What is in `names` and not in `others`; both in order."""
    other = next(others, None)
    for name in names:
        while other is not None and other < name:
            other = next(others, None)
        if name != other:
            yield name
