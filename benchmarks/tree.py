"""A process with all below it, seen from outside: CPU time, memory, the peak of memory."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
LOOK_S = 0.2
_USER, _CHILDREN_END = 11, 15
"""Places of utime, stime, cutime and cstime in /proc/PID/stat, counted after the name."""


def processes(pid: int) -> Iterator[int]:
    """The process and all that live below it. One that ends meanwhile is passed over."""
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        yield one
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                with suppress(OSError):
                    waiting += map(int, (task / "children").read_text(encoding="ascii").split())


def cpu_s(pid: int) -> float:
    """CPU seconds, in the kernel too, of the tree and of what ended in it and was waited for."""
    ticks = 0
    for one in processes(pid):
        with suppress(OSError):
            stat = Path(f"/proc/{one}/stat").read_text(encoding="utf-8", errors="replace")
            fields = stat.rpartition(")")[2].split()
            ticks += sum(map(int, fields[_USER:_CHILDREN_END]))
    return ticks / TICKS_PER_S


def pss_mb(pid: int) -> float:
    """Memory of the tree in MB (1e6 bytes), shared pages counted once: the sum of PSS.

    A process that is just being started has its parent's memory and command line; it is none yet.
    """
    total_kib = 0
    for one in processes(pid):
        with suppress(OSError):
            command = Path(f"/proc/{one}/cmdline").read_bytes()
            if one != pid and command == Path(f"/proc/{pid}/cmdline").read_bytes():
                continue
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii")
            total_kib += sum(
                int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")
            )
    return total_kib * 1024 / 1e6


@dataclass(slots=True)
class Memory:
    """Largest memory of a tree since the last `reset`, looked at every 0.2 s."""

    peak_mb: float = 0.0

    def reset(self) -> None:
        self.peak_mb = 0.0


@contextmanager
def watched_memory(pid: int) -> Iterator[Memory]:
    """Looks until the block ends."""
    memory, over = Memory(), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            memory.peak_mb = max(memory.peak_mb, pss_mb(pid))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield memory
    finally:
        over.set()
        looking.join()
