"""systemd's notification protocol: one datagram per message, and nothing at all without systemd."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


class Notifier:
    """Speaks to the socket that the service manager named, if it named one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is abstract: it lies in no folder.
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._watchdog_s = _watchdog_s(environment)

    @property
    def beat_s(self) -> float | None:
        """Seconds between two signs of life, half of what is allowed; None: nobody waits."""
        return None if self._watchdog_s is None else self._watchdog_s / 2

    def tell(self, *messages: str) -> bool:
        """Send; False if nobody listens. A manager that does not answer stops no service."""
        if not self._address:
            return False
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(1.0)
            channel.sendto("\n".join(messages).encode(), self._address)
            return True
        return False


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC in seconds, if it is meant for this process."""
    stated, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not stated.isdigit() or int(stated) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(stated) / 1e6
