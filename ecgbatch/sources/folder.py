"""A folder as a source: look without reading signals, read once, follow no link."""

import os
import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote_from_bytes

from ecgbatch.errors import Incomplete, SetupFault, TransientFault
from ecgbatch.records import RecordingBytes, Sighting
from ecgbatch.settings import Settings
from ecgbatch.sources.folder_archive import Archive, check_archive
from ecgbatch.sources.folder_read import (
    ROOT,
    is_marked,
    locator_of,
    markers_of,
    opened_folder,
    parts_of,
    read_record,
)
from ecgbatch.sources.folder_scan import Walk
from ecgbatch.sources.patterns import EVERYTHING, Patterns, patterns
from ecgbatch.sources.source import NOTHING_KNOWN, Finished, Memory, Scan
from ecgbatch.terms import ReasonCode

__all__ = ["FolderSource", "locator_of", "open_source"]


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder and everything below it.

    Attributes:
        limit_bytes: a recording that is larger is refused unread.
        own_files: files (with their journals and locks) and folders that the program itself writes.
        patterns: which files count.
        done_suffix: of the markers that say a record is whole; empty: two looks say so.
        archive: where finished records go.
    """

    root: Path
    limit_bytes: int
    own_files: tuple[Path, ...] = ()
    patterns: Patterns = EVERYTHING
    done_suffix: str = ""
    archive: Archive | None = None

    @property
    def kind(self) -> Literal["folder"]:
        return "folder"

    @property
    def place(self) -> str:
        """The root; percent-encoded where its bytes are no UTF-8, which no database would take."""
        try:
            return os.fsencode(self.root).decode("utf-8")
        except UnicodeDecodeError:
            return quote_from_bytes(os.fsencode(self.root), safe="/")

    @property
    def settles(self) -> bool:
        return not self.done_suffix

    @property
    def archives(self) -> Literal["", "copy", "move"]:
        if self.archive is None:
            return ""
        return "move" if self.archive.moves else "copy"

    def scan(self, memory: Memory = NOTHING_KNOWN) -> Scan:
        """Everything that could be an ECG, folder by folder; headers before other files.

        Raises:
            SetupFault: while it is iterated; the root is missing or cannot be listed.
        """
        suffix = os.fsencode(self.done_suffix)
        walk = Walk(self._own_locators(), memory.recall, self.patterns, suffix)
        return Scan(self._sightings(walk), walk.unlisted)

    def _sightings(self, walk: Walk) -> Generator[Sighting, None, None]:
        try:
            root = os.open(self.root, ROOT)
        except OSError:
            raise SetupFault(ReasonCode.SOURCE_UNAVAILABLE) from None
        try:
            yield from walk.sightings(root)
        finally:
            os.close(root)

    def _own_locators(self) -> frozenset[str]:
        inside = (path for path in self.own_files if path.is_relative_to(self.root))
        return frozenset(
            locator_of([os.fsencode(part) for part in path.relative_to(self.root).parts])
            for path in inside
        )

    def read(self, locator: str, fingerprint: str) -> RecordingBytes:
        """Read all members once, whole, into memory.

        Raises:
            InputFault: not a regular file, larger than the limit, or never marked as whole.
            TransientFault: it is gone, cannot be read now, or changed since it was seen.
        """
        try:
            return self._read(parts_of(locator), fingerprint)
        except TransientFault:
            kept = self.archive.read(locator, fingerprint) if self.archive else None
            if kept is None:
                raise
            return kept

    def _read(self, parts: list[bytes], fingerprint: str) -> RecordingBytes:
        recording, prints = read_record(self.root, parts, self.limit_bytes)
        if ";".join(prints) != fingerprint:
            raise TransientFault(ReasonCode.CHANGED_WHILE_READING)
        if self.done_suffix:
            with opened_folder(self.root, parts[:-1]) as folder:
                if not is_marked(folder, parts[-1], os.fsencode(self.done_suffix)):
                    raise Incomplete("no marker")
        return recording

    def check(self) -> str:
        """Raise unless the folder can be listed.

        Raises:
            SetupFault: SOURCE_UNAVAILABLE.
        """
        try:
            with os.scandir(self.root):
                return "the folder is there"
        except OSError:
            raise SetupFault(
                ReasonCode.SOURCE_UNAVAILABLE, "the folder is not there or cannot be listed"
            ) from None

    def close(self) -> None:
        pass

    def put_away(self, record: Finished) -> bool:
        """Copy or move a finished record into the archive.

        Raises:
            TransientFault: ARCHIVE_FAILED.
        """
        if self.archive is None:
            return False
        suffix = os.fsencode(self.done_suffix)
        markers = markers_of(parts_of(record.locator)[-1], suffix) if suffix else ()
        return self.archive.put(record, markers)

    def read_as_is(self, locator: str) -> RecordingBytes:
        """As `read`, for a file that somebody names: nobody has seen it before.

        Raises:
            InputFault: not a regular file, or larger than the limit.
            TransientFault: it is gone, cannot be read now, or changes while it is read.
        """
        return read_record(self.root, parts_of(locator), self.limit_bytes)[0]


def open_source(settings: Settings, own_files: tuple[Path, ...]) -> FolderSource:
    """The folder that the settings name.

    Raises:
        SetupFault: SETTINGS_INVALID, none is named, or its patterns or its archive are unfit.
    """
    stated = settings.source
    if not stated.folder:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "source.folder is empty")
    root = Path(stated.folder).resolve()
    limit_bytes = settings.limits.recording_bytes
    try:
        chosen = patterns(stated.include, stated.exclude)
    except re.error:
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID, "source.include or source.exclude: no pattern"
        ) from None
    archive = None
    if stated.archive:
        folder = Path(stated.archive).resolve()
        moves = stated.archive_mode == "move"
        check_archive(root, folder, moves=moves)
        archive = Archive(root, folder, moves, limit_bytes)
        own_files = (*own_files, folder)
    return FolderSource(root, limit_bytes, own_files, chosen, stated.done_suffix, archive)
