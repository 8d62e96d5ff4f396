"""The bytes of a recording, wherever one of its copies still lies."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from ecgbatch.errors import EcgbatchError, InputFault, TransientFault
from ecgbatch.records import RecordingBytes
from ecgbatch.settings import Settings
from ecgbatch.sources.database import DatabaseSource
from ecgbatch.sources.folder_archive import copies_in
from ecgbatch.sources.folder_read import parts_of, read_record
from ecgbatch.sources.registry import open_source
from ecgbatch.store.replays import KeptPlace, KeptResult
from ecgbatch.terms import ReasonCode


@dataclass(frozen=True, slots=True)
class NotThere:
    """No place has the bytes.

    Attributes:
        is_changed: at one of the places lies something else.
    """

    reason: ReasonCode
    is_changed: bool


class Places:
    """Where recordings are looked for; for use in a `with` block.

    A folder's items are looked for under the folder that was scanned, or `source_root` instead of
    it, and in the settings' archive; both may also have the layout of an archive. A database's
    items come from the settings' source, if it is that database.
    """

    def __init__(self, settings: Settings, source_root: Path | None) -> None:
        self._source_root = source_root
        self._limit_bytes = settings.limits.recording_bytes
        self._archive = Path(settings.source.archive) if settings.source.archive else None
        self._database: DatabaseSource | None = None
        if settings.source.kind == "database":
            source = open_source(settings)
            self._database = source if isinstance(source, DatabaseSource) else None

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    def read(self, kept: KeptResult) -> RecordingBytes | NotThere:
        """The bytes with the recording's digest, if any place has them.

        Raises:
            SetupFault: the database that the settings name as source cannot be asked.
        """
        reasons: list[ReasonCode] = []
        for place in kept.places:
            for found in self._found(place):
                if isinstance(found, ReasonCode):
                    reasons.append(found)
                elif found.file_digest == kept.file_digest:
                    return found
                else:
                    reasons.append(ReasonCode.FILE_CHANGED)
        return _not_there(reasons)

    def _found(self, place: KeptPlace) -> Iterator[RecordingBytes | ReasonCode]:
        """What lies at a place and at those that stand for it, one after the other."""
        if place.kind == "database":
            yield self._row(place)
            return
        root = self._source_root or _root(place.root)
        for folder in (root, self._archive):
            if folder is not None:
                yield from self._below(folder, parts_of(place.locator))

    def _row(self, place: KeptPlace) -> RecordingBytes | ReasonCode:
        if self._database is None or self._database.place != place.root:
            return ReasonCode.SOURCE_UNAVAILABLE
        try:
            return self._database.read_as_is(place.locator)
        except (InputFault, TransientFault) as fault:
            return fault.reason

    def _below(self, root: Path, parts: list[bytes]) -> Iterator[RecordingBytes | ReasonCode]:
        try:
            yield read_record(root, parts, self._limit_bytes)[0]
        except EcgbatchError as fault:
            yield _why(root, parts, fault)
        yield from copies_in(root, parts, self._limit_bytes)


def _root(stated: str) -> Path:
    """The folder of a source; its name may have been kept percent-encoded."""
    return Path(stated if _is_folder(stated) else os.fsdecode(unquote_to_bytes(stated)))


def _is_folder(path: str | Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - says no where Path raises


def _why(root: Path, parts: list[bytes], fault: EcgbatchError) -> ReasonCode:
    """Why nothing could be read: nothing there is another answer than nothing readable."""
    if not isinstance(fault, TransientFault):
        return fault.reason
    if not _is_folder(root):
        return ReasonCode.SOURCE_UNAVAILABLE
    try:
        status = os.lstat(b"/".join((os.fsencode(root), *parts)))
    except (FileNotFoundError, NotADirectoryError):
        return ReasonCode.GONE
    except OSError:
        return ReasonCode.READ_FAILED
    return ReasonCode.GONE if stat.S_ISDIR(status.st_mode) else fault.reason


_NOT_READ = (ReasonCode.READ_FAILED, ReasonCode.SOURCE_UNAVAILABLE, ReasonCode.GONE)
"""The first that was met is told; before them whatever shows that something else lies there."""


def _not_there(reasons: list[ReasonCode]) -> NotThere:
    for reason in reasons:
        if reason not in _NOT_READ:
            return NotThere(reason, is_changed=True)
    first = next((reason for reason in _NOT_READ if reason in reasons), ReasonCode.GONE)
    return NotThere(first, is_changed=False)
