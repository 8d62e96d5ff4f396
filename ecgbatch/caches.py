"""Where things lie that this user can make again: $XDG_CACHE_HOME/ecgbatch or ~/.cache/ecgbatch.

What lies there may be run (compiled code, a converted net), so that nobody else may write it.
"""

import os
import stat
from pathlib import Path


def cache_folder(*parts: str) -> Path:
    """The folder below ours, made where it is missing, for this user alone (0700).

    Raises:
        OSError: no home, no right to write, or a folder that another user owns or may write.
    """
    folder = _root()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for part in ("ecgbatch", *parts):
        folder /= part
        folder.mkdir(exist_ok=True, mode=0o700)
        _check_own(folder.lstat())
    return folder


def read_own(path: Path) -> bytes:
    """The bytes of a file in a cache folder.

    Raises:
        OSError: none, a link, or a file that another user owns or may write.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        _check_own(status)
        if not stat.S_ISREG(status.st_mode):
            raise PermissionError("not a file")
        return file.read()


def _root() -> Path:
    stated = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if stated.is_absolute():  # as the XDG specification says of a relative one: to be ignored
        return stated
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        raise FileNotFoundError("no home folder") from None


def _check_own(status: os.stat_result) -> None:
    if status.st_uid != os.geteuid() or status.st_mode & 0o022 or stat.S_ISLNK(status.st_mode):
        raise PermissionError("not this user's alone")
