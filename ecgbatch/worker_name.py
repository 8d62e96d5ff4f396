"""A worker's name: unique over hosts, containers and restarts, and readable to its neighbours.

`host/place:pid:birth`. The place is the boot and the process namespace, the birth the moment the
process began: two containers of one name, or one number given twice, are not mistaken for each
other.
"""

import os
import re
import socket
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

_NAME = re.compile(r"^(?P<host>.+)/(?P<place>[0-9a-f]{8}):(?P<pid>\d{1,10}):(?P<birth>\d+)$")
_PROC = Path("/proc")
_UNKNOWN = 0
_ENDED = -1
_START_TIME = 19
"""Place of the start time in /proc/PID/stat, counted after the command's name."""


def own_name() -> str:
    """The name of this process."""
    pid = os.getpid()
    return f"{socket.gethostname()}/{_place()}:{pid}:{_birth(pid) or _UNKNOWN}"


def is_dead(name: str) -> bool:
    """Whether the worker of this name lived here and is gone; False where nobody here can know."""
    parts = _NAME.match(name)
    if parts is None or parts["host"] != socket.gethostname() or parts["place"] != _place():
        return False
    pid, born = int(parts["pid"]), int(parts["birth"])
    found = _birth(pid)
    if found is None:
        # Other accounts' processes may be hidden: that is no death.
        return not _is_there(pid)
    return born not in {_UNKNOWN, found}


def _place() -> str:
    told = ""
    with suppress(OSError):
        told += (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii")
    with suppress(OSError):
        told += str((_PROC / "self/ns/pid").readlink())
    return sha256(told.encode()).hexdigest()[:8]


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _birth(pid: int) -> int | None:
    """Clock ticks from boot to the start of the process; None if it cannot be seen."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    after_name = text.rpartition(")")[2].split()
    # A killed process that its parent has not asked for yet works no more.
    return _ENDED if after_name[0] == "Z" else int(after_name[_START_TIME])
