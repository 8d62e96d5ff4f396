"""One reader process, the channel to it, and the short queue that it works through.

Nothing here waits: what is asked is sent as far as the channel takes it, and `hear` takes what has
arrived. The process answers in the order in which it was asked and goes on to the next recording
by itself. So the first one not answered is the one that it is at, or was when it was lost.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from ecgbatch.child_environment import ONE_THREAD, child_environment
from ecgbatch.errors import InputFault, SetupFault
from ecgbatch.isolation import wire
from ecgbatch.isolation.answer import Answer, Unfit, parse_answer, parse_greeting
from ecgbatch.isolation.slots import Buffer, Slots
from ecgbatch.preprocessing import filters
from ecgbatch.records import RecordingBytes
from ecgbatch.settings import Isolation
from ecgbatch.terms import ReasonCode

_START_S = 120.0
"""For imports from a cold or busy disk; usually well below a second."""
_DEATH_S = 1.0


@dataclass(slots=True, eq=False)
class Job:
    """A recording to decode or examine.

    Attributes:
        terms: JSON of what it is examined under; None: it is decoded only.
        ticket: the asker's own number.
        is_wanted: whether anybody still waits for the answer.
    """

    source: RecordingBytes = field(repr=False)
    terms: str | None = field(default=None, repr=False)
    ticket: int = 0
    is_wanted: bool = True
    answer: Answer | None = field(default=None, repr=False)
    n_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.n_bytes = sum(len(member.content) for member in self.source.members)


class Process:
    """A reader process from its start to its loss.

    Attributes:
        asked: what it was asked and has not answered, in order.
        n_answered: recordings.
        fault: why it was lost; None while it lives.
    """

    def __init__(self, isolation: Isolation, depth: int, terms: str | None) -> None:
        """Start it; it gets ready beside whatever comes next.

        Args:
            depth: most recordings in `asked`.
            terms: JSON under which it will examine, so that it is prepared for that.
        """
        self.asked: deque[Job] = deque()
        self.n_answered = 0
        self.fault: InputFault | None = None
        self._seconds = isolation.seconds
        self._readers: tuple[str, ...] = ()
        self._terms = terms
        self._unsent: deque[Buffer] = deque()
        self._frames = wire.Frames(isolation.memory_bytes)
        self._until: float | None = time.monotonic() + _START_S
        self._channel, theirs = socket.socketpair()
        shared = Slots.create(depth)
        self._slots = shared[0] if shared else None
        try:
            with theirs:
                self._process = _spawn(isolation, theirs, depth, shared[1] if shared else None)
        except OSError:
            self._channel.close()
            raise
        self._channel.setblocking(False)
        self._send(wire.encoded(_hello(terms)))

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        return bool(self._readers)

    @property
    def descriptor(self) -> int:
        """Readable when there is something to hear; writable matters while `is_sending`."""
        return self._channel.fileno()

    @property
    def is_sending(self) -> bool:
        return bool(self._unsent)

    @property
    def until(self) -> float | None:
        """When what it is at has taken too long, on the monotonic clock."""
        return self._until

    def excuse(self, seconds: float) -> None:
        """Time in which nobody listened is not counted: it may have waited to be heard."""
        if self._until is not None:
            self._until += seconds

    def ask(self, job: Job) -> None:
        """Put a recording at the end of its queue; only when it is ready."""
        self.asked.append(job)
        serial = self.n_answered + len(self.asked)
        terms = "" if job.terms is not None and job.terms == self._terms else job.terms
        self._terms = job.terms or self._terms
        if len(self.asked) == 1:
            self._begin()
        self._send(wire.request_of(serial, job.source, terms, self._slots))

    def send(self) -> None:
        """As much of what is not yet sent as the channel takes."""
        if not self._unsent:
            return
        with suppress(BlockingIOError):
            while self._unsent:
                part = memoryview(self._unsent[0])
                try:
                    n_sent = self._channel.send(part)
                except BlockingIOError:
                    raise
                except OSError:  # it is gone, as `hear` will find
                    self._unsent.clear()
                    return
                if n_sent < part.nbytes:
                    self._unsent[0] = part[n_sent:]
                else:
                    self._unsent.popleft()
            if len(self.asked) == 1:
                self._begin()

    def hear(self) -> list[Job]:
        """Jobs answered since; `fault` is set where the process was lost meanwhile.

        Raises:
            SetupFault: a plug-in cannot be loaded, or the process does not start.
        """
        try:
            arrived = self._channel.recv(wire.STEP_BYTES)
        except BlockingIOError:
            return self._watch_the_clock()
        except OSError:
            arrived = b""
        if not arrived:
            self._lose(InputFault(ReasonCode.READER_CRASHED, self._cause_of_death()))
            return []
        answered: list[Job] = []
        try:
            for frame in self._frames.of(arrived):
                if not self.is_ready:
                    self._greet(frame)
                elif not self._take(frame, answered):
                    return answered
        except ValueError:
            self._lose(InputFault(ReasonCode.READER_CRASHED, "not an answer"))
        return answered or self._watch_the_clock()

    def close(self) -> None:
        """End the process; harmless when it has ended."""
        self._channel.close()
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._slots is not None:
            self._slots.close()

    def _send(self, parts: list[Buffer]) -> None:
        is_first = not self._unsent
        self._unsent.extend(parts)
        if is_first:
            self.send()

    def _take(self, frame: wire.Frame, answered: list[Job]) -> bool:
        """Believe one answer; False when the process is lost with it."""
        if not self.asked:
            raise ValueError("an answer to nothing")
        job, serial = self.asked[0], self.n_answered + 1
        job.answer = parse_answer(
            frame,
            serial,
            self._readers,
            lambda n_bytes: self._from_slot(serial, n_bytes),
            is_examination=job.terms is not None,
        )
        fault = job.answer
        if isinstance(fault, InputFault) and fault.reason is ReasonCode.READER_MEMORY:
            # A process that has met its limit is left in pieces.
            job.answer = None
            self._lose(fault)
            return False
        answered.append(self.asked.popleft())
        self.n_answered = serial
        self._begin()
        return True

    def _from_slot(self, serial: int, n_bytes: int) -> bytes:
        if self._slots is None:
            raise ValueError("no slots")
        return self._slots.get(serial, n_bytes)

    def _greet(self, frame: wire.Frame) -> None:
        greeting = parse_greeting(frame)
        if isinstance(greeting, Unfit):
            self.close()
            detail = f"isolation.plug_ins: {greeting.plug_in} is not an installed reader"
            raise SetupFault(ReasonCode.SETTINGS_INVALID, detail)
        self._readers = greeting.readers
        self._begin()

    def _begin(self) -> None:
        """The clock of the recording that it is at now."""
        self._until = time.monotonic() + self._seconds if self.asked else None

    def _watch_the_clock(self) -> list[Job]:
        if self._until is not None and time.monotonic() >= self._until:
            self._lose(InputFault(ReasonCode.READER_TIMEOUT))
        return []

    def _lose(self, fault: InputFault) -> None:
        self.close()
        if not self.is_ready:
            raise SetupFault(
                ReasonCode.SETTINGS_INVALID,
                "the reader process does not start; see isolation.memory_bytes",
            ) from None
        self.fault = fault

    def _cause_of_death(self) -> str:
        try:
            code = self._process.wait(_DEATH_S)
        except subprocess.TimeoutExpired:
            return "channel closed"
        return f"signal {-code}" if code < 0 else f"exit {code}"


def _hello(terms: str | None) -> dict[str, object]:
    """What the process is told at its start, beside its limits."""
    code = filters.kept()
    return {"terms": terms, "filters": None if code is None else str(code)}


def _spawn(
    isolation: Isolation, channel: socket.socket, depth: int, shared: int | None
) -> "subprocess.Popen[bytes]":
    """Start it; `shared`, the descriptor of the slots, is closed here."""
    numbers = (os.getpid(), isolation.memory_bytes, depth, -1 if shared is None else shared)
    arguments = (*map(str, numbers), *isolation.plug_ins)
    try:
        return subprocess.Popen(  # noqa: S603 - our own module, and names from our settings
            [sys.executable, "-P", "-B", "-m", "ecgbatch.isolation.child", *arguments],
            stdin=channel.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=() if shared is None else (shared,),
            cwd="/",
            env=child_environment() | ONE_THREAD,
            start_new_session=True,  # Ctrl-C is for the run, which then ends this process
        )
    finally:
        if shared is not None:
            os.close(shared)
