"""Processes of the program, seen from outside."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LONGEST_S = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + LONGEST_S
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return is_true()


def children(pid: int) -> list[int]:
    """All processes below this one. A thread or process that ends meanwhile is passed over."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, task.read_text().split())
    return found + [below for child in found for below in children(child)]


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
