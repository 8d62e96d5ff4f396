"""What this machine, or the part of it that a container may use, has to compute with."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_CORES_PER_DECODER = 4
"""A core reads and prepares for about so many cores that run the net in single precision."""


def cores() -> int:
    """The processors that this process may use: its affinity, and its cgroup's quota."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return own if quota is None else max(1, min(own, round(quota)))


def decoders(stated: int, n_cores: int | None = None) -> int:
    """How many processes read and prepare for one worker.

    Args:
        stated: by the settings; 0 is what fits.
        n_cores: as of `cores`.
    """
    return stated or max(1, (n_cores or cores()) // _CORES_PER_DECODER)


def _quota() -> float | None:
    """Processors by the cgroup's quota (version 2, else version 1); None without one."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        stated = [
            int((_CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii"))
            for name in ("quota", "period")
        ]
    except (OSError, ValueError):
        return None
    return None if stated[0] <= 0 else stated[0] / stated[1]
