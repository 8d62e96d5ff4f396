"""Prepared arrays in one memory-mapped file, found by the content of the ECG they are of.

A folder per set of rules (preprocessing, gates). `arrays.f32`: records of 240,000 bytes, only
ever appended. `index`: one line per ECG, written after its record is on the disk, each with a
checksum: a line that a kill has torn, or that is damaged, is as if it were not there. Where a key
has several lines the last one counts. Several processes may share a cache: whoever writes holds a
lock and looks first at what the others have written.
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import SetupFault
from ecgbatch.identity import create_site_key, load_site_key
from ecgbatch.terms import LEADS, WINDOW_SAMPLES, ReasonCode
from training.data.reading import PASSING, Prepared, Reading
from training.records import Rows

CACHE_VERSION = 1
"""Raised by hand when the layout changes; no version of a library has a part in it."""

_SHAPE = (len(LEADS), WINDOW_SAMPLES)
_TYPE = np.dtype("<f4")
KEY_BYTES = 32
RECORD_BYTES = _TYPE.itemsize * _SHAPE[0] * _SHAPE[1]


@dataclass(frozen=True, slots=True)
class Entry:
    """A reading and, where it can be used, the place and checksum of its record."""

    reading: Reading
    place: int | None
    checksum: int | None


class CachedInputs:
    """Rows of the cache as `Inputs`; each record is checked when it is first taken."""

    def __init__(self, path: Path, places: Rows, checksums: Rows) -> None:
        self._given = (path, places, checksums)
        self._places, self._checksums = places, checksums
        self._is_checked = np.zeros(len(places), dtype=bool)
        self._records = _mapped(path)
        if len(places) and int(places.max()) >= len(self._records):
            raise _damaged()

    def __reduce__(self) -> tuple[type["CachedInputs"], tuple[Path, Rows, Rows]]:
        """Another process maps the file itself."""
        return type(self), self._given

    def __len__(self) -> int:
        return len(self._places)

    def take(self, rows: Rows) -> NDArray[np.float32]:
        """(B, 12, 5000) float32, a copy.

        Raises:
            SetupFault: `run_folder_unfit`, a record is damaged.
        """
        taken: NDArray[np.float32] = self._records[self._places[rows]]
        for row, record in zip(rows, taken, strict=True):
            if not self._is_checked[row]:
                if crc32(record.tobytes()) != self._checksums[row]:
                    raise _damaged()
                self._is_checked[row] = True
        return taken


class Cache:
    """What has been read and prepared under one set of rules.

    Args:
        folder: shared by all rules and runs; made if absent.
        rules: digest of all that a record depends on beside the ECG's bytes.
    """

    def __init__(self, folder: Path, rules: str) -> None:
        with _foreign_errors():
            folder.mkdir(parents=True, exist_ok=True)
            self.secret = _secret(folder)
            mark = sha256(self.secret).hexdigest()
            name = sha256(f"{CACHE_VERSION}\n{rules}\n{mark}".encode()).hexdigest()[:16]
            self._folder = folder / name
            self._folder.mkdir(exist_ok=True)
        self._entries: dict[str, Entry] = {}
        self._read_to = 0
        self._refresh()

    def find(self, key: str) -> Entry | None:
        """What is known of an ECG; None where it has to be read, also if its record is damaged."""
        entry = self._entries.get(key)
        if entry is None or entry.place is None or self._is_sound(entry, entry.place):
            return entry
        return None

    def add(self, new: Sequence[tuple[Reading, Prepared | None]]) -> None:
        """Keep readings and their arrays; on return they are on the disk.

        Raises:
            SetupFault: `disk_full`, or `settings_invalid`: the folder cannot be written.
        """
        lasting = [pair for pair in new if pair[0].reason not in PASSING]
        with _foreign_errors(), _locked(self._folder / "lock"):
            self._refresh()
            fresh = [pair for pair in lasting if self.find(pair[0].key) is None]
            entries = self._append_records(fresh)
            self._append_lines(entries)

    def inputs(self, keys: Sequence[str]) -> CachedInputs:
        """The records of these ECGs, in this order.

        Raises:
            SetupFault: `run_folder_unfit`, one is not there.
        """
        entries = [self._entries.get(key) for key in keys]
        places = [entry.place for entry in entries if entry and entry.place is not None]
        checksums = [entry.checksum for entry in entries if entry and entry.checksum is not None]
        if len(places) < len(keys) or len(checksums) < len(keys):
            raise _damaged()
        return CachedInputs(
            self._arrays, np.array(places, dtype=np.int64), np.array(checksums, dtype=np.int64)
        )

    @property
    def _arrays(self) -> Path:
        return self._folder / "arrays.f32"

    @property
    def _index(self) -> Path:
        return self._folder / "index"

    def _refresh(self) -> None:
        """Read the lines that were added since, by whomever."""
        try:
            with self._index.open("rb") as opened:
                if opened.seek(0, os.SEEK_END) < self._read_to:
                    self._entries, self._read_to = {}, 0
                opened.seek(self._read_to)
                content = opened.read()
        except FileNotFoundError:
            return
        whole = content[: content.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            if entry := _parsed(line):
                self._entries[entry.reading.key] = entry

    def _is_sound(self, entry: Entry, place: int) -> bool:
        try:
            with self._arrays.open("rb") as opened:
                opened.seek(place * RECORD_BYTES)
                return crc32(opened.read(RECORD_BYTES)) == entry.checksum
        except OSError:
            return False

    def _append_records(self, new: Sequence[tuple[Reading, Prepared | None]]) -> list[Entry]:
        """Behind whatever lies there: what a kill has left is never written over."""
        descriptor = os.open(self._arrays, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as opened:
            place = -(-opened.seek(0, os.SEEK_END) // RECORD_BYTES)
            opened.seek(place * RECORD_BYTES)
            entries = []
            for reading, prepared in new:
                if prepared is None:
                    entries.append(Entry(reading, None, None))
                    continue
                record = np.ascontiguousarray(prepared, dtype=_TYPE).tobytes()
                opened.write(record)
                entries.append(Entry(reading, place, crc32(record)))
                place += 1
            opened.flush()
            os.fsync(opened.fileno())
        return entries

    def _append_lines(self, entries: Sequence[Entry]) -> None:
        descriptor = os.open(self._index, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as opened:
            # A torn last line is ended, so that the next one stands on its own.
            end = opened.seek(0, os.SEEK_END)
            torn = b"" if end == self._read_to else b"\n"
            opened.write(torn + b"".join(map(_line, entries)))
            opened.flush()
            os.fsync(opened.fileno())
        self._refresh()


def _mapped(path: Path) -> NDArray[np.float32]:
    try:
        n_whole = path.stat().st_size // RECORD_BYTES
    except OSError:
        n_whole = 0
    if n_whole == 0:
        return np.empty((0, *_SHAPE), dtype=_TYPE)
    return np.memmap(path, dtype=_TYPE, mode="r", shape=(n_whole, *_SHAPE))


def _line(entry: Entry) -> bytes:
    stated = {"place": entry.place, "checksum": entry.checksum, **entry.reading.as_json()}
    body = json.dumps(stated, allow_nan=False).encode("ascii")
    return b"%08x %s\n" % (crc32(body), body)


def _parsed(line: bytes) -> Entry | None:
    checksum, _, body = line.partition(b" ")
    if checksum != b"%08x" % crc32(body):
        return None
    try:
        stated = json.loads(body)
        place, record = stated.pop("place"), stated.pop("checksum")
        return Entry(Reading.from_json(stated), place, record)
    except (ValueError, KeyError, TypeError):
        return None


def _secret(folder: Path) -> bytes:
    """The key of the patients' marks; without it the marks say nothing."""
    path = folder / "key"
    if path.exists() and path.stat().st_size >= KEY_BYTES:
        return load_site_key(path)
    with _locked(folder / "lock"):
        return load_site_key(path) if path.exists() else create_site_key(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _foreign_errors() -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        if fault.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise SetupFault(ReasonCode.DISK_FULL, "the cache of prepared arrays") from None
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "the cache cannot be written") from None


def _damaged() -> SetupFault:
    return SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "a prepared array is missing or damaged")
