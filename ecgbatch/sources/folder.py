"""A folder as a source: look without reading signals, read once, follow no link, write nothing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote_from_bytes

from ecgbatch.errors import SetupFault, TransientFault
from ecgbatch.records import RecordingBytes, Sighting
from ecgbatch.settings import Settings
from ecgbatch.sources.folder_read import ROOT, locator_of, parts_of, read_record
from ecgbatch.sources.folder_scan import Walk
from ecgbatch.sources.source import NOTHING_KNOWN, Memory, Scan
from ecgbatch.terms import ReasonCode

__all__ = ["FolderSource", "locator_of", "open_source"]


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
        return True

    def scan(self, memory: Memory = NOTHING_KNOWN) -> Scan:
        """Everything that could be an ECG, folder by folder; headers before other files.

        Raises:
            SetupFault: while it is iterated; the root is missing or cannot be listed.
        """
        walk = Walk(self._own_locators(), memory.recall)
        return Scan(self._sightings(walk), walk.unlisted)

    def _sightings(self, walk: Walk) -> Iterator[Sighting]:
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
            InputFault: not a regular file, or larger than the limit.
            TransientFault: it is gone, cannot be read now, or changed since it was seen.
        """
        recording, prints = read_record(self.root, parts_of(locator), self.limit_bytes)
        if ";".join(prints) != fingerprint:
            raise TransientFault(ReasonCode.CHANGED_WHILE_READING)
        return recording

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
        SetupFault: none is named.
    """
    if not settings.source.folder:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "source.folder is empty")
    root = Path(settings.source.folder).resolve()
    return FolderSource(root, settings.limits.recording_bytes, own_files)
