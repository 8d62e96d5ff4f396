"""Decoding in a process of its own: a crash, a hang or a memory bomb costs one recording.

What is claimed: a reader can neither end the run nor read its memory, its keys or its database
connection, cannot write a byte to a file, and is stopped at the settings' memory and time.
What is not: a reader that an attacker has taken over could answer wrongly for the recordings
that the same process reads after it. Whatever it answers is data and never runs here.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from ecgbatch.errors import EcgbatchError, InputFault, SetupFault
from ecgbatch.examination import Terms, examine
from ecgbatch.isolation import wire
from ecgbatch.isolation.answer import Unfit, parse_answer, parse_greeting
from ecgbatch.records import Examined, Recording, RecordingBytes
from ecgbatch.settings import Isolation
from ecgbatch.terms import ReasonCode

_START_S = 120.0
"""For imports from a cold or busy disk; usually a quarter of a second."""
_DEATH_S = 1.0
_KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "PYTHONHOME")


class Decoder:
    """One reader process at a time, replaced when it is lost; for use in a `with` block."""

    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        """Start the reader process; it gets ready beside whatever comes next."""
        self._child = _Child(self._isolation)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child is not None:
            self._child.close()

    @property
    def process_id(self) -> int | None:
        """Of the reader process, None while there is none."""
        return self._child.process_id if self._child and self._child.is_open else None

    def wait_until_ready(self) -> None:
        """Wait for the readers to be loaded.

        Raises:
            SetupFault: a plug-in cannot be loaded, or the process does not start.
        """
        self._ready()

    def decode(self, source: RecordingBytes) -> Recording:
        """Bytes to a Recording, by the reader that recognises them.

        A recording on which a used process was lost is tried once more in a new one, alone:
        what an earlier recording left behind must not be blamed on it.

        Raises:
            Incomplete, InputFault, Refusal: as the reader says; `reader_crashed` with the
                signal's number, `reader_timeout`, `reader_memory`.
            SetupFault: no reader process can be started any more.
        """
        child = self._ready()
        is_fresh = child.n_answered == 0
        try:
            return child.decode(source)
        except EcgbatchError as fault:
            if child.is_open or is_fresh or fault.reason is ReasonCode.READER_TIMEOUT:
                raise
        return self._ready().decode(source)

    def examine(self, source: RecordingBytes, terms: Terms) -> Examined:
        """Bytes to what is known of the ECG before the net.

        Raises:
            as `decode`.
        """
        return examine(self.decode(source), terms)

    def _ready(self) -> "_Child":
        if self._child is None or not self._child.is_open:
            self._child = _Child(self._isolation)
        self._child.greet()
        return self._child


class _Child:
    """A reader process and the channel to it."""

    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation
        self._readers: tuple[str, ...] = ()
        self.n_answered = 0
        self.is_open = True
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = _spawn(isolation, theirs)

    @property
    def process_id(self) -> int:
        return self._process.pid

    def greet(self) -> None:
        """Wait until the process is up, once."""
        if self._readers:
            return
        try:
            greeting = parse_greeting(wire.receive(self._channel, 0, _countdown(_START_S)))
        except (OSError, EOFError, ValueError):
            self.close()
            raise SetupFault(
                ReasonCode.SETTINGS_INVALID,
                "the reader process does not start; see isolation.memory_bytes",
            ) from None
        if isinstance(greeting, Unfit):
            self.close()
            detail = f"isolation.plug_ins: {greeting.plug_in} is not an installed reader"
            raise SetupFault(ReasonCode.SETTINGS_INVALID, detail)
        self._readers = greeting.readers

    def decode(self, source: RecordingBytes) -> Recording:
        try:
            return self._ask(source)
        except EcgbatchError as fault:
            # A process that has met its limit is left in pieces.
            if fault.reason is ReasonCode.READER_MEMORY:
                self.close()
            raise
        except BaseException:
            self.close()
            raise

    def _ask(self, source: RecordingBytes) -> Recording:
        remaining_s = _countdown(self._isolation.seconds)
        serial = self.n_answered + 1
        try:
            wire.send(self._channel, *wire.request_of(serial, source), remaining_s)
            frame = wire.receive(self._channel, self._isolation.memory_bytes, remaining_s)
            self.n_answered = serial
            return parse_answer(frame, serial, self._readers)
        except TimeoutError:
            self.close()
            raise InputFault(ReasonCode.READER_TIMEOUT) from None
        except (OSError, EOFError):
            raise InputFault(ReasonCode.READER_CRASHED, self._cause_of_death()) from None
        except ValueError:
            self.close()
            raise InputFault(ReasonCode.READER_CRASHED, "not an answer") from None

    def _cause_of_death(self) -> str:
        try:
            code = self._process.wait(_DEATH_S)
        except subprocess.TimeoutExpired:
            return "channel closed"
        finally:
            self.close()
        return f"signal {-code}" if code < 0 else f"exit {code}"

    def close(self) -> None:
        self.is_open = False
        self._channel.close()
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _spawn(isolation: Isolation, channel: socket.socket) -> "subprocess.Popen[bytes]":
    arguments = (os.getpid(), isolation.memory_bytes, *isolation.plug_ins)
    return subprocess.Popen(  # noqa: S603 - our own module, and names from our settings
        [sys.executable, "-P", "-B", "-m", "ecgbatch.isolation.child", *map(str, arguments)],
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=_environment(),
        start_new_session=True,  # Ctrl-C is for the run, which then ends this process
    )


def _environment() -> dict[str, str]:
    """The import path and nothing secret: no database URL, no password, no setting."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return {**kept, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _countdown(seconds: float) -> Callable[[], float]:
    """What is left of `seconds` from now; TimeoutError when that is nothing."""
    until = time.monotonic() + seconds

    def remaining_s() -> float:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    return remaining_s
