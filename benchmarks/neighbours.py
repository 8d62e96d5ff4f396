"""How much of the machine other processes took while a sample was measured."""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

LIMIT = 0.05
"""A sample counts if others took no more of the machine."""
TRIES = 3

T = TypeVar("T")


class Watch:
    """Watches the machine for the length of a `with` block.

    This process and its descendants always count as own.

    Attributes:
        others: share of all cores that other processes took, 0 to 1; 0 where there is no /proc.
        cpu_s: CPU seconds of our own processes, user and system.
        seconds: wall seconds.
    """

    def __init__(self, pids: Iterable[int] = ()) -> None:
        """Args: pids: roots of further process trees that count as own."""
        self._roots = {os.getpid(), *pids}
        self.others = self.cpu_s = self.seconds = 0.0

    def __enter__(self) -> Self:
        self._own, self._machine, self._started = self._now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        own, machine, ended = self._now()
        self.seconds = ended - self._started
        self.cpu_s = own - self._own
        of_all = max(self.seconds * (os.cpu_count() or 1), 1e-9)
        self.others = min(max((machine - self._machine - self.cpu_s) / of_all, 0.0), 1.0)

    def _now(self) -> tuple[float, float, float]:
        """CPU seconds of our own trees, of the whole machine, and the clock."""
        return own_seconds(self._roots), machine_seconds(), time.perf_counter()


@dataclass(frozen=True, slots=True)
class Sample(Generic[T]):
    """A measurement and what the others did meanwhile.

    Attributes:
        others: their share of the machine, 0 to 1.
        disturbed: it was over the limit in every try; this is the quietest of them.
    """

    value: T
    others: float
    disturbed: bool


def sample(measure: Callable[[], T], pids: Iterable[int] = (), tries: int = TRIES) -> Sample[T]:
    """Measure again while other processes take over 5 % of the machine, at most `tries` times."""
    roots, found = tuple(pids), []
    for _ in range(tries):
        with Watch(roots) as watch:
            value = measure()
        found.append((watch.others, value))
        if watch.others <= LIMIT:
            break
    others, value = min(found, key=lambda pair: pair[0])
    return Sample(value, others, others > LIMIT)


def machine_seconds() -> float:
    """CPU seconds that the whole machine has been busy, time stolen by its host included."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    ticks = [int(part) for part in stat.read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _wait, irq, soft, steal = ticks
    return (user + nice + system + irq + soft + steal) / _ticks()


def own_seconds(roots: Iterable[int]) -> float:
    """CPU seconds of the roots and all their descendants, those that have ended included.

    A process that ends passes its time on to the parent that waits for it, so the sum never falls
    while the roots live.
    """
    of_process = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            content = stat.read_text()
        except OSError:  # it has ended
            continue
        # The name in brackets may hold anything, brackets too.
        fields = content.rpartition(")")[2].split()
        of_process[int(stat.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    own = set(roots)
    grown = True
    while grown:
        more = {pid for pid, (parent, _) in of_process.items() if parent in own} - own
        own |= more
        grown = bool(more)
    return sum(of_process[pid][1] for pid in own if pid in of_process) / _ticks()


def _ticks() -> int:
    return os.sysconf("SC_CLK_TCK")
