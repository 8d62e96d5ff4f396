"""Finished records, copied or moved into an archive. Nothing is overwritten or removed.

A record lies there under its folder, its name and the start of its digest, all its files with
their own names: `ward/a.xml/0123456789abcdef/a.xml`. Sizes and times stay what they were, so that
a moved record is still found by its locator and fingerprint.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ecgbatch.errors import EcgbatchError, SetupFault, TransientFault
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.sources.folder_read import (
    ABSENT,
    DIRECTORY,
    ROOT,
    fingerprint,
    opened_folder,
    parts_of,
    read_member,
    read_record,
    status_of,
)
from ecgbatch.sources.source import Finished
from ecgbatch.terms import ReasonCode

_DIGITS = 16
_MOST_PLACES = 1000
"""Places tried for one record: the same bytes under the same name, come back that often."""
_BEGUN = b".part"
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC

_Fits = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Archive:
    """Attributes:
    root: the folder that is scanned; `folder` is where finished records go.
    moves: records leave the root (within one file system); else they are copied.
    """

    root: Path
    folder: Path
    moves: bool
    limit_bytes: int

    def put(self, record: Finished, markers: Sequence[bytes] = ()) -> bool:
        """Archive one record; whatever an earlier, interrupted attempt left is made whole.

        Args:
            markers: files beside the record that go along when it is moved.

        Returns:
            False where other bytes lie at its place by now, or none.

        Raises:
            TransientFault: ARCHIVE_FAILED, the archive cannot be written.
        """
        parts = parts_of(record.locator)
        names = (parts[-1], *(parts_of(one)[0] for one in record.members))
        prints = record.fingerprint.split(";")
        if len(names) != len(prints):
            return False
        wanted = {n: p for n, p in zip(names, prints, strict=True) if p != ABSENT}
        try:
            if self.moves:
                return self._move(parts, record.file_digest, wanted, markers)
            return self._copy(parts, record)
        except (OSError, EcgbatchError):
            raise TransientFault(ReasonCode.ARCHIVE_FAILED) from None

    def read(self, locator: str, wanted: str) -> RecordingBytes | None:
        """A moved record as it lay at its place; None if there is none of this fingerprint."""
        parts = parts_of(locator)
        for place in _places(self.folder, parts):
            with suppress(EcgbatchError):
                found = read_record(self.folder, [*parts, place, parts[-1]], self.limit_bytes)
                if ";".join(found[1]) == wanted:
                    return found[0]
        return None

    def _move(
        self, parts: list[bytes], digest: str, wanted: dict[bytes, str], markers: Sequence[bytes]
    ) -> bool:
        with opened_folder(self.root, parts[:-1]) as here:

            def fits(place: int) -> bool:
                """Each file lies in one of the two; only some here if a move broke off."""
                return all(
                    _print(place, name) == (ABSENT if name in left else stated)
                    for name, stated in wanted.items()
                )

            left = [name for name, stated in wanted.items() if _print(here, name) == stated]
            is_begun = len(left) < len(wanted)
            with self._place(parts, digest, fits, is_begun=is_begun) as place:
                if place is None:
                    return False
                for number, name in enumerate(left, 1):
                    os.rename(name, name, src_dir_fd=here, dst_dir_fd=place)
                    if _print(place, name) != wanted[name]:
                        # Replaced in this very moment: nobody has read what lies there now.
                        for moved in left[:number]:
                            _put_back(place, here, moved)
                        return False
                for name in markers:
                    if status_of(here, name) and not status_of(place, name):
                        os.rename(name, name, src_dir_fd=here, dst_dir_fd=place)
                os.fsync(place)
            os.fsync(here)
        return True

    def _copy(self, parts: list[bytes], record: Finished) -> bool:
        try:
            recording, prints = read_record(self.root, parts, self.limit_bytes)
        except EcgbatchError:
            return False
        if ";".join(prints) != record.fingerprint:
            return False
        if recording.file_digest != record.file_digest:
            raise TransientFault(ReasonCode.ARCHIVE_FAILED)

        def fits(place: int) -> bool:
            return all(
                status_of(place, os.fsencode(one.name)) is None or _same(place, one)
                for one in recording.members
            )

        times = [int(one.partition(":")[2]) for one in prints if one != ABSENT]
        with self._place(parts, record.file_digest, fits) as place:
            if place is None:
                return False
            for member, time_ns in zip(recording.members, times, strict=True):
                if not _same(place, member):
                    _write(place, member, time_ns)
            os.fsync(place)
        return True

    @contextmanager
    def _place(
        self, parts: Sequence[bytes], digest: str, fits: _Fits, *, is_begun: bool = False
    ) -> Iterator[int | None]:
        """The first folder for these bytes in which nothing is in their way.

        Args:
            is_begun: only one that is there already; None if none fits.
        """
        begins = digest[:_DIGITS].encode()
        names = [begins, *(begins + b"-%d" % number for number in range(1, _MOST_PLACES))]
        if is_begun:
            names = [name for name in _places(self.folder, parts) if name.startswith(begins)]
        if not names:
            yield None
            return
        with _made(self.folder, parts) as folder:
            for name in names:
                with _made_below(folder, name) as place:
                    if fits(place):
                        yield place
                        os.fsync(folder)
                        return
        yield None


def copies_in(folder: Path, parts: Sequence[bytes], limit_bytes: int) -> Iterator[RecordingBytes]:
    """Everything that an archive keeps of one place, whatever its age; what is broken is left out.

    Args:
        folder: the archive.
        parts: of the locator.
    """
    for place in _places(folder, parts):
        with suppress(EcgbatchError):
            yield read_record(folder, [*parts, place, parts[-1]], limit_bytes)[0]


def _places(archive: Path, parts: Sequence[bytes]) -> list[bytes]:
    with (
        suppress(EcgbatchError),
        opened_folder(archive, parts) as folder,
        os.scandir(folder) as entries,
    ):
        return sorted(os.fsencode(one.name) for one in islice(entries, _MOST_PLACES))
    return []


def check_archive(root: Path, folder: Path, *, moves: bool) -> None:
    """Refuse an archive that cannot take what the source holds.

    Raises:
        SetupFault: SETTINGS_INVALID, no folder, around the source, or on another file system.
    """
    if not folder.is_dir():
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "source.archive is not a folder")
    if root.is_relative_to(folder):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "source.archive holds the source")
    if moves and root.is_dir() and root.stat().st_dev != folder.stat().st_dev:
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID, "source.archive lies on another file system; copy instead"
        )


def _put_back(place: int, here: int, name: bytes) -> None:
    """Back to where it came from; it stays in the archive if newer bytes lie there already."""
    try:
        os.link(name, name, src_dir_fd=place, dst_dir_fd=here)
    except FileExistsError:
        return
    except OSError:
        # No links on this file system; a rename would replace what lies there.
        if status_of(here, name) is None:
            os.rename(name, name, src_dir_fd=place, dst_dir_fd=here)
        return
    os.unlink(name, dir_fd=place)


def _print(folder: int, name: bytes) -> str:
    return fingerprint(status_of(folder, name))


def _same(place: int, member: Member) -> bool:
    """Whether the archive has exactly these bytes, read back from it."""
    try:
        kept, _ = read_member(place, os.fsencode(member.name), len(member.content))
    except (OSError, EcgbatchError):
        return False
    return kept.content == member.content


def _write(place: int, member: Member, time_ns: int) -> None:
    """Under another name until it is whole, on the disk and read back."""
    descriptor = os.open(_BEGUN, _WRITE, 0o600, dir_fd=place)
    try:
        rest = memoryview(member.content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.utime(descriptor, ns=(time_ns, time_ns))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if not _same(place, Member(os.fsdecode(_BEGUN), member.content)):
        raise TransientFault(ReasonCode.ARCHIVE_FAILED)
    os.rename(_BEGUN, os.fsencode(member.name), src_dir_fd=place, dst_dir_fd=place)


@contextmanager
def _made(root: Path, parts: Sequence[bytes]) -> Iterator[int]:
    """Descriptor of a folder below `root`, made where it is not there; no link is followed."""
    folder = os.open(root, ROOT)
    try:
        for part in parts:
            with _made_below(folder, part) as below:
                os.dup2(below, folder, inheritable=False)
        yield folder
    finally:
        os.close(folder)


@contextmanager
def _made_below(folder: int, name: bytes) -> Iterator[int]:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder)
    below = os.open(name, DIRECTORY, dir_fd=folder)
    try:
        yield below
    finally:
        os.close(below)
