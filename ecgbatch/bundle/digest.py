"""SHA256SUMS: which files a bundle has, and that they are these. Does not import torch."""

import os
import re
import stat
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ecgbatch.bundle.manifest import Manifest, parse_manifest
from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode

SUMS = "SHA256SUMS"
MANIFEST = "bundle.json"
GOLDEN = "golden.npz"
WEIGHTS = "weights"

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)?)")
_MEMBER = re.compile(r"weights/[A-Za-z0-9_-]+\.safetensors")
_LARGEST = 4 << 30


@dataclass(frozen=True, slots=True)
class VerifiedFiles:
    """All bytes of a folder, read once, as hashed."""

    digest: str
    contents: dict[str, bytes] = field(repr=False)


def bundle_digest(folder: Path) -> str:
    """The digest of a bundle whose files are all those, and only those, of SHA256SUMS.

    Raises:
        SetupFault: `bundle_missing`, `bundle_digest` or `bundle_invalid`.
    """
    digest, sums = _read_sums(folder)
    _refuse_other_parts(sums)
    for name, expected in sums.items():
        _read_verified(folder, name, expected)
    return digest


def read_verified(folder: Path) -> VerifiedFiles:
    """Every file of a bundle once into memory, checked against SHA256SUMS.

    Raises:
        SetupFault: as `bundle_digest`.
    """
    files = read_summed(folder)
    _refuse_other_parts(files.contents)
    return files


def read_summed(folder: Path) -> VerifiedFiles:
    """As `read_verified`, for a folder of any parts (a backbone)."""
    digest, sums = _read_sums(folder)
    contents = {name: _read_verified(folder, name, expected) for name, expected in sums.items()}
    return VerifiedFiles(digest, contents)


def read_manifest(folder: Path) -> Manifest:
    """bundle.json alone, checked against its line of SHA256SUMS; the weights are not read.

    Raises:
        SetupFault: as `bundle_digest`, or what is wrong in the manifest.
    """
    _, sums = _read_sums(folder)
    _refuse_other_parts(sums)
    return parse_manifest(_read_verified(folder, MANIFEST, sums[MANIFEST]))


def sums_of(contents: dict[str, bytes]) -> bytes:
    """The text of SHA256SUMS for these files."""
    lines = [f"{sha256(contents[name]).hexdigest()}  {name}\n" for name in sorted(contents)]
    return "".join(lines).encode("ascii")


def _read_sums(folder: Path) -> tuple[str, dict[str, str]]:
    try:
        is_there = folder.is_dir() and (folder / SUMS).exists()
        present = _present(folder) if is_there else set()
    except OSError:
        raise SetupFault(ReasonCode.BUNDLE_MISSING, "the folder cannot be listed") from None
    if not is_there:
        raise SetupFault(ReasonCode.BUNDLE_MISSING)
    content = _read(folder / SUMS)
    sums = _parse_sums(content)
    if extra := present - sums.keys():
        raise SetupFault(ReasonCode.BUNDLE_DIGEST, f"{len(extra)} files are not in {SUMS}")
    if missing := sums.keys() - present:
        raise SetupFault(ReasonCode.BUNDLE_DIGEST, f"missing: {min(missing)}")
    return sha256(content).hexdigest(), sums


def _parse_sums(content: bytes) -> dict[str, str]:
    lines = content.decode("ascii", errors="replace").split("\n")
    matches = [_LINE.fullmatch(line) for line in lines[:-1]]
    sums = {match[2]: match[1] for match in matches if match}
    is_whole = lines[-1] == "" and len(sums) == len(matches)
    if not is_whole or list(sums) != sorted(sums):
        raise SetupFault(ReasonCode.BUNDLE_INVALID, f"{SUMS}: not the sorted output of sha256sum")
    return sums


def _refuse_other_parts(names: dict[str, str] | dict[str, bytes]) -> None:
    members = {name for name in names if _MEMBER.fullmatch(name)}
    if not members or names.keys() - members != {MANIFEST, GOLDEN}:
        raise SetupFault(
            ReasonCode.BUNDLE_INVALID,
            f"a bundle has {MANIFEST}, {GOLDEN} and weights/*.safetensors, nothing else",
        )


def _present(folder: Path) -> set[str]:
    """Every file but SHA256SUMS, one folder deep; links and deeper folders are refused."""
    found: set[str] = set()
    for path in (*folder.iterdir(), *_within(folder / WEIGHTS)):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode) and path == folder / WEIGHTS:
            continue
        if not stat.S_ISREG(mode):
            raise SetupFault(ReasonCode.BUNDLE_INVALID, "a link or folder that is no part of it")
        found.add(path.relative_to(folder).as_posix())
    return found - {SUMS}


def _within(folder: Path) -> tuple[Path, ...]:
    is_folder = folder.is_dir() and not folder.is_symlink()
    return tuple(folder.iterdir()) if is_folder else ()


def _read_verified(folder: Path, name: str, expected: str) -> bytes:
    content = _read(folder / name)
    if sha256(content).hexdigest() != expected:
        raise SetupFault(ReasonCode.BUNDLE_DIGEST, name)
    return content


def _read(path: Path) -> bytes:
    try:
        # Not blocking, not following: a pipe or link put here meanwhile is refused, not waited for.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as opened:  # noqa: PTH123 - a descriptor, not a path
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode) or state.st_size > _LARGEST:
                raise SetupFault(ReasonCode.BUNDLE_INVALID, "not a file of at most 4 GiB")
            return opened.read()
    except OSError:
        raise SetupFault(ReasonCode.BUNDLE_MISSING, "a file cannot be read") from None
