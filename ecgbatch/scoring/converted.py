"""Nets converted for a runtime: made once, kept in the cache folder, verified at each load.

An entry is a folder: the files of each member, a card that says of what they are made, and
SHA256SUMS. It comes by one rename, so it is there whole or not at all; what is not as it was
written, or was made of something else, is made anew.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from ecgbatch import telemetry
from ecgbatch.bundle.load import Bundle
from ecgbatch.caches import cache_folder, read_own
from ecgbatch.errors import SetupFault
from ecgbatch.scoring.conversion import CARD, SUMS, Failed, run_conversion
from ecgbatch.scoring.runtimes.registry import RUNTIMES
from ecgbatch.terms import ReasonCode

Files = dict[str, bytes]
"""Suffix (`.xml`) -> content, of one member."""

_FORMAT = 1
"""Raised by hand when `convert` of a runtime writes something else than before."""
_LINE = re.compile(r"([0-9a-f]{64})  (([a-z0-9-]+)(\.[a-z]+))")
_LEFT = ".new-"
"""Begins the name of what is being written, or is on its way out."""
_LEFT_S = 3600.0
"""After so long nobody writes there any more."""


class _BrokenError(Exception):
    """Not the entry that was looked for, or not as it was written."""


def converted(bundle: Bundle, runtime: str) -> Iterator[Files]:
    """The files of each member in turn, converted now if they were not before.

    Raises:
        SetupFault: `conversion_failed`.
    """
    card = {
        "bundle": bundle.digest,
        "runtime": runtime,
        "version": version(RUNTIMES[runtime].package),
        "format": _FORMAT,
    }
    with ExitStack() as stack:
        entry = _place(card, stack)
        for index in range(len(bundle.weights)):
            try:
                files = _read(entry, card, index)
            except (_BrokenError, OSError):
                entry = _rebuild(bundle, card, entry, stack)
                files = _read_fresh(entry, card, index)
            yield files


def _place(card: dict[str, object], stack: ExitStack) -> Path:
    """Where the entry lies or will lie; a temporary folder where there is no cache."""
    name = re.sub(r"[^A-Za-z0-9.+-]", "_", f"{card['runtime']}-{card['version']}-{card['format']}")
    try:
        return cache_folder("nets", str(card["bundle"])) / name
    except OSError:
        telemetry.logger().warning("cache_unusable")
        return _passing(stack) / name


def _passing(stack: ExitStack) -> Path:
    return Path(stack.enter_context(TemporaryDirectory(prefix="ecgbatch-")))


def _read_fresh(entry: Path, card: dict[str, object], index: int) -> Files:
    try:
        return _read(entry, card, index)
    except (_BrokenError, OSError):
        raise SetupFault(ReasonCode.CONVERSION_FAILED, "changed while it was read") from None


def _read(entry: Path, card: dict[str, object], index: int) -> Files:
    """The files of one member, as they were hashed when they were written.

    Raises:
        OSError: no entry, or not ours alone.
        _BrokenError: cut short, changed, or of another bundle, runtime or version.
    """
    lines = read_own(entry / SUMS).decode("ascii", errors="replace").splitlines()
    matches = [_LINE.fullmatch(line) for line in lines]
    sums = {match[2]: match for match in matches if match}
    if len(sums) != len(lines) or CARD not in sums:
        raise _BrokenError
    if _verified(entry, CARD, sums[CARD][1]) != json.dumps(card).encode():
        raise _BrokenError
    stem = f"member-{index:02d}"
    of_member = [match for match in sums.values() if match[3] == stem]
    if not of_member:
        raise _BrokenError
    return {match[4]: _verified(entry, match[2], match[1]) for match in of_member}


def _verified(entry: Path, name: str, expected: str) -> bytes:
    content = read_own(entry / name)
    if sha256(content).hexdigest() != expected:
        raise _BrokenError
    return content


def _rebuild(bundle: Bundle, card: dict[str, object], entry: Path, stack: ExitStack) -> Path:
    """Convert anew and put it in place; if the cache takes nothing, into a temporary folder.

    Returns:
        Where it lies.
    """
    started = time.monotonic()
    log = telemetry.logger().bind(bundle=bundle.digest[:12])
    log.info("net_conversion", stage=card["runtime"])
    try:
        _convert(bundle, card, entry)
        _drop_others(entry, str(card["runtime"]))
    except OSError:
        log.warning("cache_unusable")
        entry = _passing(stack) / entry.name
        try:
            _convert(bundle, card, entry)
        except OSError:
            raise SetupFault(ReasonCode.CONVERSION_FAILED, "nowhere to write it") from None
    seconds = round(time.monotonic() - started, 1)
    log.info("net_converted", stage=card["runtime"], seconds=seconds)
    return entry


def _convert(bundle: Bundle, card: dict[str, object], entry: Path) -> None:
    """Into a folder beside the entry, then in its place.

    Raises:
        OSError: there it cannot be written.
        SetupFault: `conversion_failed`.
    """
    fresh = Path(mkdtemp(prefix=_LEFT, dir=entry.parent))
    try:
        run_conversion(bundle, card, fresh)
        _put_in_place(fresh, entry)
    except Failed as fault:
        raise SetupFault(ReasonCode.CONVERSION_FAILED, str(fault)) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _put_in_place(fresh: Path, entry: Path) -> None:
    """What was there goes away first; if another process is quicker, its entry stays."""
    old = Path(mkdtemp(prefix=_LEFT, dir=entry.parent))
    try:
        with suppress(FileNotFoundError):
            os.replace(entry, old)  # noqa: PTH105 - onto an empty folder
        with suppress(FileExistsError):
            _rename(fresh, entry)
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _rename(fresh: Path, entry: Path) -> None:
    """Raises: FileExistsError, where a folder is there that is not empty."""
    try:
        os.replace(fresh, entry)  # noqa: PTH105 - of a folder
    except OSError:
        if entry.is_dir():
            raise FileExistsError from None
        raise


def _drop_others(entry: Path, runtime: str) -> None:
    """Of other versions of the library, and what a process left that was killed."""
    oldest = time.time() - _LEFT_S
    for other in entry.parent.iterdir():
        with suppress(OSError):
            is_left = other.name.startswith(_LEFT) and other.lstat().st_mtime < oldest
            if is_left or (other.name.startswith(f"{runtime}-") and other != entry):
                shutil.rmtree(other)
