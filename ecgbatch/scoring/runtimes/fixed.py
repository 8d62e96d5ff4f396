"""One shape for every batch, so that no ECG's logits depend on how many came with it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import LifoQueue
from typing import Generic, TypeVar

import numpy as np

from ecgbatch.scoring.runtimes.registry import Batch, Logits

T = TypeVar("T")


class Streams(Generic[T]):
    """What one thread at a time may use, as often as there are streams; others wait."""

    def __init__(self, each: Sequence[T]) -> None:
        self._free: LifoQueue[T] = LifoQueue()
        for one in each:
            self._free.put(one)

    @contextmanager
    def one(self) -> Iterator[T]:
        """The thread's own until the block ends."""
        held = self._free.get()
        try:
            yield held
        finally:
            self._free.put(held)


def in_parts(
    batch: Batch, size: int, n_tasks: int, compute: Callable[[Batch], Sequence[Logits]]
) -> Logits:
    """Compute any number of rows, at most `size` at once.

    Args:
        batch: (B, 12, 5000).
        compute: (up to size, 12, 5000) -> the logits of each member, (the same, n_tasks).

    Returns:
        (B, n_tasks), the mean over the members in double precision.
    """
    parts = [np.empty((0, n_tasks))]
    for start in range(0, len(batch), size):
        members = compute(batch[start : start + size])
        parts.append(np.mean(np.asarray(members, dtype=np.float64), axis=0))
    return np.concatenate(parts)


def fill(held: Batch, rows: Batch) -> None:
    """Write the rows into a batch of the fixed shape; what is left of it becomes zero."""
    held[: len(rows)] = rows
    held[len(rows) :] = 0
