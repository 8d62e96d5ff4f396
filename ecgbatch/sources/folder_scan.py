"""Looking through a folder and all below it: names and times, no byte of a signal.

One folder is listed whole before anything of it is said, because a header may name any file
beside it. Its names are sorted outside of memory (`names`), so a folder may hold millions.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice, product
from urllib.parse import quote_from_bytes, unquote_to_bytes

from ecgbatch.errors import SetupFault
from ecgbatch.records import Sighting
from ecgbatch.sources.folder_read import (
    ARRAY,
    DIRECTORY,
    HEADER,
    SIDECAR,
    fingerprint,
    is_marked,
    members_of,
    status_of,
    stem_of,
)
from ecgbatch.sources.names import Names, without
from ecgbatch.sources.patterns import EVERYTHING, Patterns
from ecgbatch.sources.source import Recall
from ecgbatch.terms import ReasonCode

DEEPEST = 64
"""Folders within folders; a deeper one is an item that cannot be read."""
_IN_TRANSIT = (b".tmp", b".part", b".filepart", b".crdownload", b"~")
_SIGNAL_FILES = (b".dat", b".mat")
_SIGNAL_ENDINGS = tuple(
    b"." + bytes(letters)
    for ending in _SIGNAL_FILES
    for letters in product(*((low, low - 32) for low in ending[1:]))
)
_BATCH = 500
_FOLDER = b"/"
"""Ends the name of a folder in a listing; no name can hold it."""
_COMPANION = re.compile(r"(?:-journal|-wal|-shm|\.\d+\.lock)$")


@dataclass(frozen=True, slots=True)
class Walk:
    """One look through a tree.

    Attributes:
        own: locators of what the program itself writes.
        recall: which members unchanged headers had.
        patterns: what counts.
        done_suffix: ends the name of the marker that says a record is whole; empty: no markers.
        unlisted: filled with the folders that could not be seen whole.
    """

    own: frozenset[str]
    recall: Recall
    patterns: Patterns = EVERYTHING
    done_suffix: bytes = b""
    unlisted: list[str] = field(default_factory=list)

    def sightings(self, root: int) -> Iterator[Sighting]:
        """Everything below an open folder.

        Raises:
            SetupFault: the root itself cannot be listed.
        """
        yield from self._inside(root, "", 0)

    def _inside(self, folder: int, inside: str, depth: int) -> Iterator[Sighting]:
        with Names() as names, Names() as taken:
            if not _listed(folder, names):
                if not depth:
                    raise SetupFault(ReasonCode.SOURCE_UNAVAILABLE)
                self.unlisted.append(inside.removesuffix("/"))
            yield from self._records(folder, inside, names, taken)
            for name in without(iter(names), iter(taken)):
                if name.endswith(_FOLDER):
                    yield from self._below(folder, inside, name.removesuffix(_FOLDER), depth + 1)
                elif not _is_first(name) and not self._is_marker(name):
                    yield from self._single(folder, inside, name)

    def _records(
        self, folder: int, inside: str, names: Iterable[bytes], taken: Names
    ) -> Iterator[Sighting]:
        """What starts with a header or an array; the files that it takes go into `taken`."""
        firsts = (name for name in names if _is_first(name))
        while batch := list(islice(firsts, _BATCH)):
            prints = {name: status_of(folder, name) for name in batch}
            known = self.recall([inside + _quoted(n) for n in batch if n.lower().endswith(HEADER)])
            for name in batch:
                if (status := prints[name]) is None:
                    continue
                own_print = fingerprint(status)
                remembered = known.get((inside + _quoted(name), own_print), ())
                others = tuple(map(unquote_to_bytes, remembered)) or members_of(folder, name)
                for other in others or _signal_files_of(name):
                    taken.add(other)
                yield from self._sighting(folder, inside, name, own_print, others)

    def _single(self, folder: int, inside: str, name: bytes) -> Iterator[Sighting]:
        status = status_of(folder, name)
        if status is not None:
            is_orphan = name.lower().endswith((*_SIGNAL_FILES, SIDECAR))
            own_print = fingerprint(status)
            yield from self._sighting(folder, inside, name, own_print, (), is_orphan=is_orphan)

    def _sighting(
        self,
        folder: int,
        inside: str,
        name: bytes,
        own_print: str,
        others: tuple[bytes, ...],
        *,
        is_orphan: bool = False,
    ) -> Iterator[Sighting]:
        locator = inside + _quoted(name)
        if self._is_own(locator) or not self.patterns.admit(locator):
            return
        found = [status_of(folder, other) for other in others]
        members = [None if s is None or stat.S_ISDIR(s.st_mode) else s for s in found]
        yield Sighting(
            locator=locator,
            fingerprint=";".join((own_print, *map(fingerprint, members))),
            members=(locator, *(inside + _quoted(other) for other in others)),
            is_whole=not is_orphan and None not in members and self._is_done(folder, name),
        )

    def _is_marker(self, name: bytes) -> bool:
        return bool(self.done_suffix) and name.endswith(self.done_suffix)

    def _is_done(self, folder: int, name: bytes) -> bool:
        return not self.done_suffix or is_marked(folder, name, self.done_suffix)

    def _below(self, folder: int, inside: str, name: bytes, depth: int) -> Iterator[Sighting]:
        locator = inside + _quoted(name)
        if self._is_own(locator) or not self.patterns.enter(locator):
            return
        n_unlisted = len(self.unlisted)
        child = None
        if depth <= DEEPEST:
            with suppress(OSError):
                child = os.open(name, DIRECTORY, dir_fd=folder)
        if child is None:
            self.unlisted.append(locator)
        else:
            try:
                yield from self._inside(child, locator + "/", depth)
            finally:
                os.close(child)
        if locator in self.unlisted[n_unlisted:]:
            # It stays visible as an item that cannot be read: ECGs may lie in it.
            yield from self._single(folder, inside, name)

    def _is_own(self, locator: str) -> bool:
        """The very file, with a journal's or lock's ending, or a folder of ours."""
        return bool(self.own) and _COMPANION.sub("", locator) in self.own


def _listed(folder: int, names: Names) -> bool:
    """Fill in all names but passed-over ones; False where the listing broke off."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if not _is_passed_over(name):
                    is_folder = entry.is_dir(follow_symlinks=False)
                    names.add(name + _FOLDER if is_folder else name)
    except OSError:
        return False
    return True


def _is_passed_over(name: bytes) -> bool:
    text = name.lower()
    return text.startswith(b".") or text.endswith(_IN_TRANSIT)


def _is_first(name: bytes) -> bool:
    return name.lower().endswith((HEADER, ARRAY))


def _quoted(name: bytes) -> str:
    return quote_from_bytes(name, safe="")


def _signal_files_of(header: bytes) -> Iterator[bytes]:
    """Signal files that belong to a header of their name that does not yet say what it names."""
    return (stem_of(header) + ending for ending in _SIGNAL_ENDINGS)
