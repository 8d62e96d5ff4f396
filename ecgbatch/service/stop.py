"""The wish to end, from signals that come at any time, also while the service still loads."""

import signal
import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stop:
    """The wish to end: first in peace, the second time at once."""

    wishes: int = 0
    event: threading.Event = field(default_factory=threading.Event)

    def wish(self, number: int, _frame: object) -> None:
        """A signal handler."""
        self.wishes += 1
        self.event.set()

    def is_urgent(self) -> bool:
        return self.wishes > 1


def stop_on_signals() -> Stop:
    """SIGTERM and SIGINT end the service from now on."""
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.wish)
    return stop
