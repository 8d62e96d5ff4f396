"""The threads in which a net computes, and a pipe on which they tell that one is done."""

import os
import select
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

_Answer = TypeVar("_Answer")


class Threads:
    """As many threads as the net has streams.

    Attributes:
        awake: a descriptor that can be read as soon as one of them is done.
    """

    def __init__(self, n_threads: int) -> None:
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="net")
        self.awake, self._alarm = os.pipe()
        for end in (self.awake, self._alarm):
            os.set_blocking(end, False)

    def submit(self, work: Callable[[], _Answer]) -> "Future[_Answer]":
        future = self._pool.submit(work)
        future.add_done_callback(self._tell)
        return future

    def hear(self) -> None:
        """Take what was told."""
        if select.select([self.awake], [], [], 0)[0]:
            os.read(self.awake, 4096)

    def close(self) -> None:
        """What is not yet begun is dropped, what is begun is waited for."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        os.close(self.awake)
        os.close(self._alarm)

    def _tell(self, _: object) -> None:
        with suppress(BlockingIOError):
            os.write(self._alarm, b"x")
