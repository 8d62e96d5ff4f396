"""The wish to end, from signals that come at any time, also while the program still loads."""

import signal
import time
from dataclasses import dataclass
from typing import Protocol

_POLL_S = 0.1
"""So long at most a wish goes unnoticed."""


class Stopping(Protocol):
    """What a loop needs to know; `threading.Event` fits too."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> bool: ...


@dataclass(slots=True)
class Stop:
    """The wish to end: first in peace, the second time at once.

    It holds no lock. A signal's handler runs in the middle of whatever the main thread does; were
    that the wait for an event, whose lock is held there, the handler would wait for itself.

    Attributes:
        ends_at_once: the second signal interrupts what runs, by KeyboardInterrupt.
    """

    ends_at_once: bool = False
    wishes: int = 0

    def wish(self, _number: int, _frame: object) -> None:
        """A signal handler."""
        self.wishes += 1
        if self.ends_at_once and self.is_urgent():
            raise KeyboardInterrupt

    def set(self) -> None:
        self.wishes += 1

    def is_set(self) -> bool:
        return self.wishes > 0

    def is_urgent(self) -> bool:
        return self.wishes > 1

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds, or until the wish comes; whether it has."""
        until = time.monotonic() + timeout
        while not self.is_set() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _POLL_S))
        return self.is_set()


def stop_on_signals(*, ends_at_once: bool) -> Stop:
    """SIGTERM and SIGINT wish for the end from now on."""
    stop = Stop(ends_at_once)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.wish)
    return stop
