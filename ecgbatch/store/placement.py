"""Where an SQLite file may lie, and which journal its library can be trusted with."""

import os
import re
from pathlib import Path
from typing import Literal

_WAL_SOUND_FROM = (3, 51, 3)
"""Older libraries can corrupt a write-ahead log that several connections use."""
_WAL_BACKPORTS = ((3, 44, 6), (3, 50, 7))
"""Older lines that got the repair: that line alone, from that patch on."""

_NETWORK = frozenset(
    [
        "9p",
        "afs",
        "autofs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb2",
        "smb3",
        "smbfs",
        "virtiofs",
    ]
)
_NETWORK_FUSE = re.compile(r"^fuse\.(?!(?:lxcfs|fuse-overlayfs|ntfs|exfat)$)")
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def journal_mode(version: tuple[int, ...]) -> Literal["wal", "delete"]:
    """The journal for an SQLite library of this version."""
    is_backport = any(version[:2] == fixed[:2] and version >= fixed for fixed in _WAL_BACKPORTS)
    return "wal" if version >= _WAL_SOUND_FROM or is_backport else "delete"


def network_file_system(path: Path) -> str | None:
    """The type of the network file system that `path` lies on; None for a local one."""
    try:
        mounts = _MOUNTS.read_bytes()
    except OSError:
        return None
    return network_type(os.fsencode(os.path.realpath(path)), mounts)


def network_type(path: bytes, mounts: bytes) -> str | None:
    """The same for a resolved path and the text of /proc/self/mountinfo."""
    longest, found = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(b" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = _ESCAPE.sub(lambda code: bytes([int(code[1], 8)]), fields[4])
        # A later mount at one place covers an earlier one.
        if _is_below(path, point) and len(point) >= longest:
            longest, found = len(point), after.split()[0].decode("ascii", "replace")
    is_network = found in _NETWORK or _NETWORK_FUSE.match(found)
    return found if is_network else None


def _is_below(path: bytes, point: bytes) -> bool:
    return path == point or path.startswith(point.rstrip(b"/") + b"/")
