"""The worker processes of `serve`: started, restarted when they die, stopped together."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ecgbatch import telemetry
from ecgbatch.terms import ReasonCode

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
"""Between the end of a worker and its next start; doubled each time."""
_PROVEN_S = 60.0
"""A worker that lived so long begins again with the first wait."""
_NOT_THEIRS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID")
"""What the service manager told the service alone."""

Process = subprocess.Popen[bytes]


@dataclass(slots=True)
class _Place:
    """One worker after the other."""

    process: Process | None = None
    started: float = 0.0
    wait_s: float = FIRST_WAIT_S
    due: float = 0.0


@dataclass(slots=True)
class Workers:
    """Keeps `number` processes alive. All calls come from one thread, the main one.

    The kernel ends a child when the *thread* that made it ends, so that thread has to be the one
    that lives as long as the service.

    Attributes:
        command: arguments of ecgbatch, for example `work --config FILE`.
        environment: of the children, beside what the service itself was given.
        restarts: how many workers died and were, or will be, replaced.
    """

    number: int
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    restarts: int = 0
    _places: list[_Place] = field(default_factory=list)

    def tend(self) -> None:
        """Start what is not running and due; notice what has died. Called about once a second."""
        while len(self._places) < self.number:
            self._places.append(_Place())
        for place in self._places:
            if place.process is not None and place.process.poll() is not None:
                self._note_end(place, place.process.returncode)
            if place.process is None and time.monotonic() >= place.due:
                self._try_to_start(place)

    def alive(self) -> int:
        """How many processes run."""
        return len(self._running())

    def stop(self, within_s: float, is_urgent: Callable[[], bool]) -> int:
        """Let each finish what its net is computing; kill what is left.

        Args:
            within_s: how long they may take.
            is_urgent: asked again and again; True kills at once.

        Returns:
            How many had to be killed.
        """
        until = time.monotonic() + within_s
        for process in self._running():
            process.terminate()
        while (left := self._running()) and time.monotonic() < until and not is_urgent():
            time.sleep(0.05)
        for process in left:
            process.kill()
        for process in left:
            process.wait()
        return len(left)

    def _running(self) -> list[Process]:
        processes = (place.process for place in self._places)
        return [one for one in processes if one is not None and one.poll() is None]

    def _try_to_start(self, place: _Place) -> None:
        try:
            place.process, place.started = self._start(), time.monotonic()
        except OSError:
            # No process, memory or file descriptor left for it now; the service goes on.
            place.due = time.monotonic() + place.wait_s
            place.wait_s = min(2 * place.wait_s, LONGEST_WAIT_S)
            telemetry.logger().warning("worker_not_started", reason=ReasonCode.INTERNAL_FAULT)

    def _note_end(self, place: _Place, exit_code: int) -> None:
        lived_s = time.monotonic() - place.started
        if lived_s >= _PROVEN_S:
            place.wait_s = FIRST_WAIT_S
        place.process, place.due = None, time.monotonic() + place.wait_s
        place.wait_s = min(2 * place.wait_s, LONGEST_WAIT_S)
        self.restarts += 1
        telemetry.logger().warning("worker_ended", exit_code=exit_code, seconds=round(lived_s, 1))

    def _start(self) -> Process:
        return start_child("ecgbatch.service.child", self.command, self.environment)


def start_child(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Process:
    """A process of this interpreter that is told the number of this one first.

    Args:
        environment: beside what the service itself was given.

    Raises:
        OSError: no process, memory or file descriptor is left for it.
    """
    ours = {k: v for k, v in os.environ.items() if k not in _NOT_THEIRS}
    # Always this interpreter, and arguments of ours alone.
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", module, str(os.getpid()), *arguments],
        stdin=subprocess.DEVNULL,
        # Ctrl-C at a terminal reaches the service alone, which tells them once.
        process_group=0,
        env={**ours, **environment},
    )
