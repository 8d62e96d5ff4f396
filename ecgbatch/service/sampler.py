"""Starts the sample of replays when it is due, in a process of its own, one at a time."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from ecgbatch import telemetry
from ecgbatch.service import timetable
from ecgbatch.service.workers import Process, start_child
from ecgbatch.settings import Settings
from ecgbatch.terms import ExitCode, ReasonCode

FIRST_S = 60.0
"""After the start of the service, whose workers come first."""
AGAIN_S = 300.0
"""After a sample that failed."""
_MODULE = "ecgbatch.service.sample_child"


class Sampler:
    """Which service takes a due time is decided in its process: this one asks no database.

    All calls come from the main thread, as of `Workers`. A time that passed while no service lived
    is made up for a minute after the start; a sample that failed is tried again until the next.
    """

    def __init__(
        self, settings: Settings, config: Path, identity: str, environment: Mapping[str, str]
    ) -> None:
        """Args:
        config: the settings file, which the process reads itself.
        identity: this service, unlike any other.
        environment: of the process, beside what the service itself was given.

        Raises:
            SetupFault: SETTINGS_INVALID, the timetable.
        """
        timing = timetable.of_samples(settings)
        self._timetable = timetable.trigger(timing, "verification")
        self._is_on = settings.verification.sample > 0
        self._config, self._identity, self._environment = config, identity, environment
        self._process: Process | None = None
        self._due: datetime | None = None
        self._next: datetime | None = None
        self._not_before = time.monotonic() + FIRST_S

    def tend(self) -> None:
        """Start what is due; notice what has ended. Called about once a second."""
        if not self._is_on:
            return
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._note_end(self._process.returncode)
        now = datetime.now(UTC)
        if time.monotonic() < self._not_before or (self._next is not None and now < self._next):
            return
        if (due_at := timetable.last_due(self._timetable, now)) is not None:
            self._start(due_at)

    def stop(self, within_s: float, is_urgent: Callable[[], bool]) -> None:
        """Let it finish the result in its hands; kill it after so many seconds."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        until = time.monotonic() + within_s
        while process.poll() is None and time.monotonic() < until and not is_urgent():
            time.sleep(0.05)
        process.kill()
        process.wait()

    def _start(self, due_at: datetime) -> None:
        arguments = (str(self._config), due_at.isoformat(), self._identity)
        try:
            self._process = start_child(_MODULE, arguments, self._environment)
            self._due = due_at
        except OSError:
            self._not_before = time.monotonic() + AGAIN_S
            telemetry.logger().warning("sample_not_started", reason=ReasonCode.INTERNAL_FAULT)

    def _note_end(self, exit_code: int) -> None:
        self._process = None
        if exit_code == ExitCode.DONE and self._due is not None:
            self._next = self._timetable.get_next_fire_time(self._due, self._due)
            return
        self._not_before = time.monotonic() + AGAIN_S
        telemetry.logger().warning("sample_ended", exit_code=exit_code)
