"""Messages on their way: sent by a thread of its own, again until they are taken."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ecgbatch import telemetry
from ecgbatch.service.messages import Message

Send = Callable[[Message], None]
"""Sends one message, or raises OSError."""

FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 300.0
_MOST = 200
"""Messages that wait on one way; the oldest is dropped, and counted as failed."""


@dataclass(slots=True)
class _Way:
    """One receiver; its messages keep their order."""

    send: Send
    waiting: deque[Message] = field(default_factory=deque)
    wait_s: float = FIRST_WAIT_S
    due: float = 0.0
    sent: int = 0
    failed: int = 0


class Outbox:
    """Takes messages at once and sends them as soon as the receivers take them.

    Args:
        ways: how to send, by the name of the way.
    """

    def __init__(self, ways: Mapping[str, Send]) -> None:
        self._ways = {name: _Way(send) for name, send in ways.items()}
        self._news = threading.Condition()
        self._is_open = True
        self._thread = threading.Thread(target=self._go_on, name="outbox", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, message: Message) -> None:
        """Send it on every way."""
        with self._news:
            for way in self._ways.values():
                if len(way.waiting) >= _MOST:
                    way.waiting.popleft()
                    way.failed += 1
                way.waiting.append(message)
            self._news.notify()

    def stop(self, within_s: float) -> None:
        """Try once more what waits, for so long at most."""
        with self._news:
            self._is_open = False
            for way in self._ways.values():
                way.due = 0.0
            self._news.notify()
        self._thread.join(within_s)

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """By way: how many messages were sent, how many tries failed, how many wait."""
        with self._news:
            ways = self._ways.items()
            return {name: (way.sent, way.failed, len(way.waiting)) for name, way in ways}

    def _go_on(self) -> None:
        while True:
            with self._news:
                now = time.monotonic()
                pending = [way for way in self._ways.values() if way.waiting]
                ready = [way for way in pending if way.due <= now]
                if not self._is_open and not ready:
                    return
                if not ready:
                    due = min((way.due for way in pending), default=None)
                    self._news.wait(None if due is None else due - now)
                    continue
            for way in ready:
                self._send_next(way)

    def _send_next(self, way: _Way) -> None:
        """The oldest of a way; it stays there until it is taken."""
        message = way.waiting[0]
        is_sent = True
        try:
            way.send(message)
        except OSError:
            is_sent = False
            telemetry.logger().warning("alarm_not_sent", alarm=message.alarm)
        with self._news:
            if is_sent:
                way.sent, way.wait_s = way.sent + 1, FIRST_WAIT_S
                if way.waiting and way.waiting[0] is message:
                    way.waiting.popleft()
                return
            way.failed += 1
            way.due = time.monotonic() + way.wait_s
            way.wait_s = min(2 * way.wait_s, LONGEST_WAIT_S)
