"""An ECG's bytes from below the root: part by part, no link followed, all members at once."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from ecgbatch.errors import EcgbatchError, InputFault, SetupFault
from ecgbatch.readers.numpy_array import SIDECAR_SUFFIX
from ecgbatch.readers.wfdb import member_names
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.terms import ReasonCode
from training.settings.data import Arrays

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BELOW = _FOLDER | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HEADER, _ARRAY = ".hea", ".npy"
_ABSENT = (errno.ENOENT, errno.ENAMETOOLONG)
_NOT_REGULAR = (errno.ELOOP, errno.ENXIO, errno.ENOTDIR)
_CLOSED = (errno.EACCES, errno.EPERM)


class EcgFiles:
    """The files below one root; for use in a `with` block, by several threads at once.

    Args:
        arrays: what stands in for the sidecar of an `.npy` file that has none.
        limit_bytes: of all files of one ECG together.
    """

    def __init__(self, root: Path, arrays: Arrays | None, limit_bytes: int) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._sidecar = None if arrays is None else _sidecar(arrays)
        self._folder = -1

    def __enter__(self) -> Self:
        """Raises: SetupFault, `source_unavailable`: the root cannot be opened."""
        try:
            self._folder = os.open(self._root, _FOLDER)
        except OSError:
            raise SetupFault(ReasonCode.SOURCE_UNAVAILABLE, "the root of the ECG files") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._folder)

    def read(self, path: str) -> RecordingBytes:
        """All members of one ECG.

        Args:
            path: relative to the root, or absolute below it. A WFDB record may be named without
                the ending of its header.

        Raises:
            InputFault: `path_outside_root`, `not_regular` (a link on the way, a pipe), `gone`,
                `read_failed` (no permission), `file_too_large`.
            SetupFault: `source_unavailable`: the disk or the network share fails.
        """
        *above, name = self._parts(path)
        with _foreign_errors(), self._opened(above) as folder:
            first = self._first(folder, name)
            members, left = [first], self._limit_bytes - len(first.content)
            for other in _named_by(first):
                try:
                    members.append(_member(folder, other, left))
                except FileNotFoundError:
                    continue
                left -= len(members[-1].content)
        return RecordingBytes(tuple(self._described(members)))

    def _parts(self, path: str) -> tuple[str, ...]:
        pure = PurePosixPath(path)
        if pure.is_absolute():
            root = PurePosixPath(os.path.abspath(self._root))  # noqa: PTH100 - no link is resolved
            if not pure.is_relative_to(root):
                raise InputFault(ReasonCode.PATH_OUTSIDE_ROOT)
            pure = pure.relative_to(root)
        if not pure.parts or ".." in pure.parts or "\0" in path:
            raise InputFault(ReasonCode.PATH_OUTSIDE_ROOT)
        return pure.parts

    def _first(self, folder: int, name: str) -> Member:
        try:
            return _member(folder, name, self._limit_bytes)
        except FileNotFoundError:
            if name.lower().endswith(_HEADER):
                raise
            return _member(folder, name + _HEADER, self._limit_bytes)

    def _described(self, members: list[Member]) -> list[Member]:
        """An array with its sidecar, of the settings where none lies beside it."""
        name = members[0].name
        if self._sidecar is None or not name.lower().endswith(_ARRAY) or len(members) > 1:
            return members
        return [members[0], Member(name + SIDECAR_SUFFIX, self._sidecar)]

    @contextmanager
    def _opened(self, parts: list[str]) -> Iterator[int]:
        folder = os.dup(self._folder)
        try:
            for part in parts:
                below = os.open(part, _BELOW, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)


def _sidecar(arrays: Arrays) -> bytes:
    stated = {
        "sampling_frequency": arrays.sampling_frequency,
        "unit": arrays.unit,
        "leads": list(arrays.leads),
    }
    return json.dumps(stated).encode("ascii")


def _named_by(first: Member) -> tuple[str, ...]:
    """The other members that a first one names; none where it cannot be understood."""
    if first.name.lower().endswith(_ARRAY):
        return (first.name + SIDECAR_SUFFIX,)
    if not first.name.lower().endswith(_HEADER):
        return ()
    try:
        return member_names(first.content)
    except EcgbatchError:
        return ()


def _member(folder: int, name: str, limit_bytes: int) -> Member:
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InputFault(ReasonCode.NOT_REGULAR)
        if status.st_size > limit_bytes:
            raise InputFault(ReasonCode.FILE_TOO_LARGE)
        with os.fdopen(descriptor, "rb", closefd=False) as opened:
            return Member(name, opened.read(limit_bytes))
    finally:
        os.close(descriptor)


@contextmanager
def _foreign_errors() -> Iterator[None]:
    """The system's errors as ours: their text would carry the path."""
    try:
        yield
    except UnicodeEncodeError:
        raise InputFault(ReasonCode.GONE) from None
    except OSError as fault:
        if fault.errno in _ABSENT:
            raise InputFault(ReasonCode.GONE) from None
        if fault.errno in _NOT_REGULAR:
            raise InputFault(ReasonCode.NOT_REGULAR) from None
        if fault.errno in _CLOSED:
            raise InputFault(ReasonCode.READ_FAILED) from None
        raise SetupFault(
            ReasonCode.SOURCE_UNAVAILABLE, "reading below the root fails; nothing is lost"
        ) from None
