"""Reading below a folder: part by part, no link followed, each file once and whole."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from ecgbatch.errors import EcgbatchError, InputFault, TransientFault
from ecgbatch.readers.numpy_array import SIDECAR_SUFFIX
from ecgbatch.readers.wfdb import member_names
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.terms import ReasonCode

ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
DIRECTORY = ROOT | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
HEADER = b".hea"
ARRAY = b".npy"
SIDECAR = ARRAY + os.fsencode(SIDECAR_SUFFIX)
_HEADER_BYTES = 65536
ABSENT = "-"
"""The fingerprint of a member that is not there."""


def locator_of(parts: Sequence[bytes]) -> str:
    """Bytes of a relative path as ASCII text, reversibly."""
    return "/".join(quote_from_bytes(part, safe="") for part in parts if part)


def parts_of(locator: str) -> list[bytes]:
    return [unquote_to_bytes(part) for part in locator.split("/")]


def read_record(
    root: Path, parts: Sequence[bytes], limit_bytes: int
) -> tuple[RecordingBytes, tuple[str, ...]]:
    """All members that are there, and the fingerprint of each one named.

    Raises:
        InputFault: not a regular file, or all members together larger than the limit.
        TransientFault: it is gone, cannot be read now, or changes while it is read.
    """
    with opened_folder(root, parts[:-1]) as folder:
        first, seen = read_member(folder, parts[-1], limit_bytes)
        members, prints = [first], [seen]
        left = limit_bytes - len(first.content)
        for name in named_by(parts[-1], first.content):
            try:
                member, seen = read_member(folder, os.fsencode(name), left)
            except FileNotFoundError:
                prints.append(ABSENT)
                continue
            members.append(member)
            prints.append(seen)
            left -= len(member.content)
    return RecordingBytes(tuple(members)), tuple(prints)


def print_record(root: Path, parts: Sequence[bytes]) -> tuple[tuple[str, ...], bool]:
    """The fingerprint of each member of one record, and whether all are there; a header is read.

    Raises:
        InputFault: a folder on the way is none.
        TransientFault: a folder on the way is not there.
    """
    with opened_folder(root, parts[:-1]) as folder:
        names = (parts[-1], *members_of(folder, parts[-1]))
        prints = tuple(fingerprint(status_of(folder, name)) for name in names)
    return prints, ABSENT not in prints


def members_of(folder: int, name: bytes) -> tuple[bytes, ...]:
    """The other files that a first one names; none where it cannot be read or understood yet."""
    if name.lower().endswith(ARRAY):
        return (sidecar(name),)
    if not name.lower().endswith(HEADER):
        return ()
    with suppress(OSError, EcgbatchError):
        header, _ = read_member(folder, name, _HEADER_BYTES)
        return tuple(os.fsencode(member) for member in named_by(name, header.content))
    return ()


def named_by(name: bytes, content: bytes) -> tuple[str, ...]:
    """The other members that a first one names; none where it cannot be understood."""
    if name.lower().endswith(ARRAY):
        return (os.fsdecode(sidecar(name)),)
    if not name.lower().endswith(HEADER):
        return ()
    with suppress(EcgbatchError):
        return member_names(content)
    return ()


def sidecar(array: bytes) -> bytes:
    """What says rate, unit and leads of an array."""
    return array + os.fsencode(SIDECAR_SUFFIX)


def fingerprint(status: os.stat_result | None) -> str:
    return ABSENT if status is None else f"{status.st_size}:{status.st_mtime_ns}"


def status_of(folder: int, name: bytes) -> os.stat_result | None:
    """What lies there, a link as a link; None if nothing."""
    with suppress(OSError):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    return None


def markers_of(name: bytes, suffix: bytes) -> tuple[bytes, ...]:
    """Markers of a whole record: its name, or that without its ending, with the suffix."""
    return (name + suffix, stem_of(name) + suffix)


def stem_of(name: bytes) -> bytes:
    return name.rpartition(b".")[0] or name


def is_marked(folder: int, name: bytes, suffix: bytes) -> bool:
    return any(status_of(folder, marker) is not None for marker in markers_of(name, suffix))


@contextmanager
def opened_folder(root: Path, parts: Sequence[bytes]) -> Iterator[int]:
    """Descriptor of a folder below `root`, opened part by part so that no link is followed.

    Raises:
        InputFault: a part is no folder.
        TransientFault: it is not there, or what is done with it fails.
    """
    with _foreign_errors():
        folder = os.open(root, ROOT)
        try:
            for part in parts:
                below = os.open(part, DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)


@contextmanager
def _foreign_errors() -> Iterator[None]:
    """The system's errors as ours: their text would carry the path."""
    try:
        yield
    except OSError as fault:
        if fault.errno in (errno.ELOOP, errno.ENXIO, errno.ENOTDIR):
            raise InputFault(ReasonCode.NOT_REGULAR) from None
        raise TransientFault(ReasonCode.READ_FAILED) from None


def read_member(folder: int, name: bytes, limit_bytes: int) -> tuple[Member, str]:
    """One file's bytes and its fingerprint, which is the same before and after reading."""
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        before = os.fstat(descriptor)
        _refuse(before, limit_bytes)
        content = _read_up_to(descriptor, before.st_size + 1)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if fingerprint(before) != fingerprint(after) or len(content) != before.st_size:
        raise TransientFault(ReasonCode.CHANGED_WHILE_READING)
    return Member(os.fsdecode(name), content), fingerprint(before)


def _refuse(status: os.stat_result, limit_bytes: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        # It could not be listed; perhaps the next look can.
        raise TransientFault(ReasonCode.READ_FAILED)
    if not stat.S_ISREG(status.st_mode):
        raise InputFault(ReasonCode.NOT_REGULAR)
    if status.st_size > limit_bytes:
        raise InputFault(ReasonCode.FILE_TOO_LARGE)


def _read_up_to(descriptor: int, n_bytes: int) -> bytes:
    """A single read may be short on a network share; an ended file is."""
    chunks = []
    while n_bytes > 0:
        chunk = os.read(descriptor, n_bytes)
        if not chunk:
            break
        chunks.append(chunk)
        n_bytes -= len(chunk)
    return b"".join(chunks)
