"""A folder as a source: look without reading signals, read once, follow no link, write nothing."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from ecgbatch.errors import EcgbatchError, InputFault, SetupFault, TransientFault
from ecgbatch.readers.numpy_array import SIDECAR_SUFFIX
from ecgbatch.readers.wfdb import member_names
from ecgbatch.records import Member, RecordingBytes, Sighting
from ecgbatch.terms import ReasonCode

_IN_TRANSIT = (".tmp", ".part", ".filepart", ".crdownload", "~")
_HEADER = b".hea"
_SIGNAL_FILES = (b".dat", b".mat")
_HEADER_BYTES = 65536
_ARRAY = b".npy"
_SIDECAR = _ARRAY + os.fsencode(SIDECAR_SUFFIX)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ABSENT = "-"
_COMPANION = re.compile(r"(?:-journal|-wal|-shm|\.\d+\.lock)$")


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder and everything below it.

    Attributes:
        limit_bytes: a recording that is larger is refused unread.
        own_files: files (with their journals and locks) and folders that the program itself writes.
    """

    root: Path
    limit_bytes: int
    own_files: tuple[Path, ...] = ()

    def scan(self) -> Iterator[Sighting]:
        """Everything that could be an ECG, folder by folder, in the order of names.

        Raises:
            SetupFault: the root is missing or cannot be listed.
        """
        try:
            root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            raise SetupFault(ReasonCode.SOURCE_UNAVAILABLE) from None
        own = self._own_locators()
        try:
            for sighting in _scan_folder(root, b""):
                if not _is_own(sighting.locator, own):
                    yield sighting
        finally:
            os.close(root)

    def _own_locators(self) -> frozenset[str]:
        inside = (path for path in self.own_files if path.is_relative_to(self.root))
        return frozenset(
            locator_of(tuple(os.fsencode(part) for part in path.relative_to(self.root).parts))
            for path in inside
        )

    def read(self, locator: str, fingerprint: str) -> RecordingBytes:
        """Read all members once, whole, into memory.

        Raises:
            InputFault: not a regular file, or larger than the limit.
            TransientFault: it is gone, cannot be read now, or changed since it was seen.
        """
        recording, prints = self._read(locator)
        if ";".join(prints) != fingerprint:
            raise TransientFault(ReasonCode.CHANGED_WHILE_READING)
        return recording

    def read_as_is(self, locator: str) -> RecordingBytes:
        """As `read`, for a file that somebody names: nobody has seen it before.

        Raises:
            InputFault: not a regular file, or larger than the limit.
            TransientFault: it is gone, cannot be read now, or changes while it is read.
        """
        return self._read(locator)[0]

    def _read(self, locator: str) -> tuple[RecordingBytes, list[str]]:
        """All members that are there, and the fingerprint of each."""
        parts = [unquote_to_bytes(part) for part in locator.split("/")]
        with _opened_folder(self.root, parts[:-1]) as folder:
            first, seen = _read_member(folder, parts[-1], self.limit_bytes)
            members, prints = [first], [seen]
            left = self.limit_bytes - len(first.content)
            for name in _named_by(parts[-1], first.content):
                try:
                    member, seen = _read_member(folder, os.fsencode(name), left)
                except FileNotFoundError:
                    prints.append(_ABSENT)
                    continue
                members.append(member)
                prints.append(seen)
                left -= len(member.content)
        return RecordingBytes(tuple(members)), prints


def _is_own(locator: str, own: frozenset[str]) -> bool:
    """The very file, with a journal's or lock's ending, or inside a folder of ours."""
    plain = _COMPANION.sub("", locator)
    return plain in own or any(plain.startswith(f"{one}/") for one in own)


def locator_of(parts: tuple[bytes, ...]) -> str:
    """Bytes of a relative path as ASCII text, reversibly."""
    return "/".join(quote_from_bytes(part, safe="") for part in parts if part)


def _scan_folder(folder: int, inside: bytes) -> Iterator[Sighting]:
    with os.scandir(folder) as entries:
        listing = sorted((os.fsencode(entry.name), _status(entry)) for entry in entries)
    found = {name: status for name, status in listing if status and not _is_passed_over(name)}
    folders = [name for name, status in found.items() if stat.S_ISDIR(status.st_mode)]
    files = {name: status for name, status in found.items() if name not in set(folders)}
    yield from _sightings(folder, inside, files)
    for name in folders:
        try:
            child = os.open(name, _DIRECTORY, dir_fd=folder)
        except OSError:
            # It stays visible as an item that cannot be read: ECGs may lie in it.
            yield from _sightings(folder, inside, {name: found[name]})
            continue
        try:
            yield from _scan_folder(child, inside + b"/" + name)
        finally:
            os.close(child)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None


def _is_passed_over(name: bytes) -> bool:
    text = name.lower()
    return text.startswith(b".") or text.endswith(tuple(os.fsencode(end) for end in _IN_TRANSIT))


def _sightings(
    folder: int, inside: bytes, files: dict[bytes, os.stat_result]
) -> Iterator[Sighting]:
    """One sighting per record: a header takes its signal files with it."""
    headers = {
        name: _header_members(folder, name) for name in files if name.lower().endswith(_HEADER)
    }
    headers |= {name: (_sidecar(name),) for name in files if name.lower().endswith(_ARRAY)}
    taken = {member for members in headers.values() for member in members}
    unread = {_stem(name) for name, members in headers.items() if not members}
    for name in files:
        if name not in headers and (name in taken or _belongs_to(name, unread)):
            continue
        members = (name, *headers.get(name, ()))
        is_orphan = name not in headers and name.lower().endswith((*_SIGNAL_FILES, _SIDECAR))
        yield Sighting(
            locator=locator_of((*inside.split(b"/"), name)),
            fingerprint=";".join(_fingerprint(files.get(member)) for member in members),
            members=tuple(locator_of((*inside.split(b"/"), member)) for member in members),
            is_whole=not is_orphan and all(member in files for member in members),
        )


def _stem(name: bytes) -> bytes:
    return name.rpartition(b".")[0] or name


def _belongs_to(name: bytes, unread: set[bytes]) -> bool:
    """A signal file beside a header of its name that does not yet say what it names."""
    return name.lower().endswith(_SIGNAL_FILES) and _stem(name) in unread


def _fingerprint(status: os.stat_result | None) -> str:
    return _ABSENT if status is None else f"{status.st_size}:{status.st_mtime_ns}"


def _header_members(folder: int, name: bytes) -> tuple[bytes, ...]:
    """Signal files that a header names; none where it cannot be read or understood yet."""
    with suppress(OSError, EcgbatchError):
        header, _ = _read_member(folder, name, _HEADER_BYTES)
        return tuple(os.fsencode(member) for member in member_names(header.content))
    return ()


def _sidecar(array: bytes) -> bytes:
    """What says rate, unit and leads of an array."""
    return array + os.fsencode(SIDECAR_SUFFIX)


def _named_by(name: bytes, content: bytes) -> tuple[str, ...]:
    if name.lower().endswith(_ARRAY):
        return (os.fsdecode(_sidecar(name)),)
    if not name.lower().endswith(_HEADER):
        return ()
    with suppress(EcgbatchError):
        return member_names(content)
    return ()


@contextmanager
def _opened_folder(root: Path, parts: list[bytes]) -> Iterator[int]:
    """Descriptor of a folder below `root`, opened part by part so that no link is followed."""
    with _foreign_errors():
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                below = os.open(part, _DIRECTORY, dir_fd=folder)
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


def _read_member(folder: int, name: bytes, limit_bytes: int) -> tuple[Member, str]:
    """One file's bytes and its fingerprint, which is the same before and after reading."""
    descriptor = os.open(name, _FILE, dir_fd=folder)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise InputFault(ReasonCode.NOT_REGULAR)
        if before.st_size > limit_bytes:
            raise InputFault(ReasonCode.FILE_TOO_LARGE)
        content = _read_up_to(file.fileno(), before.st_size + 1)
        after = os.fstat(descriptor)
    if _fingerprint(before) != _fingerprint(after) or len(content) != before.st_size:
        raise TransientFault(ReasonCode.CHANGED_WHILE_READING)
    return Member(os.fsdecode(name), content), _fingerprint(before)


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
