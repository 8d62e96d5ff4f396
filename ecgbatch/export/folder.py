"""The folder of an export: written aside, committed by one rename, then put in place.

```
OUT/_ecgbatch/lock
OUT/_ecgbatch/staging/00000007/...      files being written
OUT/_ecgbatch/log/00000007.json         the commit: what belongs to the export
OUT/results/bundle=.../month=.../export-00000007.parquet
```

A file comes into a dataset only after the commit that names it; a kill between the two is made
good by the next export. Names that begin with `_` are passed over by readers of datasets.
"""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ecgbatch.errors import EcgbatchError, SetupFault, TransientFault
from ecgbatch.export.commits import Commit, File, from_json, to_json
from ecgbatch.export.datasets import DATASETS
from ecgbatch.terms import ReasonCode

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Folder:
    """An export's folder, held by this process; made by `held`."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._own = out / "_ecgbatch"
        self._log = self._own / "log"
        self._staging = self._own / "staging"
        self.last: Commit | None = None

    @property
    def next_number(self) -> int:
        return 1 if self.last is None else self.last.number + 1

    def staging(self) -> Path:
        """An empty place for the files of the next export, laid out as in the datasets."""
        shutil.rmtree(self._staging, ignore_errors=True)
        place = self._staging / _name(self.next_number)
        place.mkdir(parents=True)
        return place

    def commit(self, commit: Commit) -> None:
        """Make the staged files part of the datasets: all of them, from this rename on."""
        text = to_json(commit).encode()
        aside = self._own / "commit.part"
        with aside.open("wb") as handle:
            handle.write(text)
            sync(handle.fileno())
        for parent in {path.parent for path in self._staging.rglob("*")}:
            _sync_folder(parent)
        aside.replace(self._log / f"{_name(commit.number)}.json")
        _sync_folder(self._log)
        self.last = commit
        self._publish(commit)

    def clear(self) -> None:
        """Take away what was written aside, unless it is committed and waits for its place."""
        if self.last is None or not (self._staging / _name(self.last.number)).exists():
            shutil.rmtree(self._staging, ignore_errors=True)

    def open(self) -> None:
        """Read the newest commit and finish what it began.

        Raises:
            SetupFault: EXPORT_FOLDER_UNFIT, the log is damaged or gone.
        """
        _make(self._log)
        newest = max(self._log.glob("*.json"), default=None)
        if newest is None:
            self._refuse_other_data()
            return
        self.last = from_json(newest.read_text(encoding="utf-8"))
        self._publish(self.last)

    def _publish(self, commit: Commit) -> None:
        """Put every staged file in its place; those that are there already stay."""
        staged = self._staging / _name(commit.number)
        for file in commit.files:
            source, target = staged / file.path, self._out / file.path
            if source.exists():
                _make(target.parent)
                source.replace(target)
                _sync_folder(target.parent)
        shutil.rmtree(self._staging, ignore_errors=True)

    def _refuse_other_data(self) -> None:
        """Without a log nobody knows what such files hold: adding to them could double it."""
        if any((self._out / dataset.name).exists() for dataset in DATASETS):
            raise SetupFault(ReasonCode.EXPORT_FOLDER_UNFIT, "data without a log")


@contextmanager
def held(out: Path) -> Iterator[Folder]:
    """The folder, made if it is not there, while no other process exports into it.

    Raises:
        SetupFault: RUN_LOCKED; OUTPUT_UNWRITABLE; EXPORT_FOLDER_UNFIT, its log is damaged or gone.
        TransientFault: DISK_FULL; what was written aside is taken away again.
    """
    with _told():
        _make(out / "_ecgbatch")
        with _locked(out / "_ecgbatch" / "lock"):
            folder = Folder(out)
            folder.open()
            try:
                yield folder
            finally:
                folder.clear()


def described(root: Path, path: Path, rows: int) -> File:
    """A finished file, by its content."""
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return File(path.relative_to(root).as_posix(), rows, path.stat().st_size, digest)


def sync(handle: int) -> None:
    """Wait until what was written has reached the disk."""
    os.fsync(handle)


def _name(number: int) -> str:
    return f"{number:08d}"


def _make(folder: Path) -> None:
    """The folder and those above it, each made to last."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Some network file systems refuse this; a rename lasts there without it.
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupFault(ReasonCode.RUN_LOCKED, "another export into this folder") from None
        yield
    finally:
        os.close(handle)


@contextmanager
def _told() -> Iterator[None]:
    """Faults of the file system in our words, without their paths."""
    try:
        yield
    except EcgbatchError:
        raise
    except OSError as fault:
        if fault.errno in _FULL:
            raise TransientFault(ReasonCode.DISK_FULL, "the folder of the export") from None
        raise SetupFault(ReasonCode.OUTPUT_UNWRITABLE, "the folder of the export") from None
