"""Work dealt out to processes that end with their parent."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from threading import current_thread, main_thread
from typing import Any, TypeVar

Arguments = TypeVar("Arguments")
Share = Callable[[Arguments, int, int], Iterator[int]]
"""(arguments, rank, of): does every piece whose number is `rank` modulo `of`."""


def in_processes(share: Share[Arguments], arguments: Arguments, n: int) -> Iterator[int]:
    """What the shares yield, as it comes: in this process for n = 1, else in n new ones.

    A process whose parent is gone ends with its next report: its pipe is broken.

    Raises:
        OSError: a process ended before its share was done.
    """
    if n == 1:
        yield from share(arguments, 0, 1)
        return
    context = get_context("spawn")
    workers, pipes = [], []
    for rank in range(n):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_work, args=(theirs, share, arguments, (rank, n), os.getpid()), daemon=True
        )
        with _ctrl_c_left_to_the_parent():
            process.start()
        theirs.close()
        workers.append(process)
        pipes.append(ours)
    try:
        yield from _reports(pipes)
        for process in workers:
            process.join()
        if any(process.exitcode for process in workers):
            raise OSError("a process ended before its share was done")
    finally:
        for process in workers:
            process.terminate()
            process.join()


@contextmanager
def _ctrl_c_left_to_the_parent() -> Iterator[None]:
    """A terminal sends it to every process; one that is started here ignores it, from its first
    import on, and is ended by its parent."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _reports(pipes: list[Connection]) -> Iterator[int]:
    still_open = list(pipes)
    while still_open:
        ready = wait(still_open)
        for pipe in [one for one in still_open if one in ready]:
            try:
                yield pipe.recv()
            except EOFError:
                still_open.remove(pipe)


def _work(
    pipe: Connection, share: Share[Any], arguments: Any, place: tuple[int, int], parent: int
) -> None:
    try:
        for done in share(arguments, *place):
            if os.getppid() != parent:
                return
            pipe.send(done)
    except OSError:
        raise SystemExit(1) from None
