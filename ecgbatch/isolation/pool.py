"""Reader processes that share one line of recordings, and what becomes of it when one is lost.

The recording that a lost process was at is to blame only if that process had read nothing before;
else it is tried once more in a new one, alone: what an earlier recording left behind must not be
blamed on it. What else that process was asked is given to others. A process that took too long
shows which recording it was; that one is not tried again.
"""

import select
import time
from collections import deque
from dataclasses import dataclass

from ecgbatch.isolation.answer import Answer
from ecgbatch.isolation.process import Job, Process
from ecgbatch.settings import Isolation
from ecgbatch.terms import ReasonCode

_LONG_S = 3600.0
_AWAY_S = 0.5
_MOST_BYTES = 64 << 20
"""Of files on their way, beside the first: however many are given, memory stays bounded."""


@dataclass(slots=True, eq=False)
class _Seat:
    """A place for one process after the other.

    Attributes:
        suspect: is tried alone here, in a process that has read nothing else.
    """

    process: Process | None = None
    suspect: Job | None = None

    def room(self, depth: int) -> int:
        """How many more recordings its process can be asked."""
        if self.process is None or not self.process.is_ready or self.suspect is not None:
            return 0
        return depth - len(self.process.asked)


class Pool:
    """Not for several threads at the same time."""

    def __init__(
        self, isolation: Isolation, n_processes: int, depth: int, terms: str | None = None
    ) -> None:
        """No process is started yet.

        Args:
            depth: recordings that a process is asked ahead, the one that it is at included.
            terms: JSON under which the processes will examine.
        """
        self._isolation, self._depth, self._terms = isolation, depth, terms
        self._seats = [_Seat() for _ in range(n_processes)]
        self._waiting: deque[Job] = deque()
        self._answered: list[Job] = []
        self._listened = time.monotonic()

    @property
    def processes(self) -> list[Process]:
        """Those that live."""
        return [seat.process for seat in self._seats if seat.process is not None]

    @property
    def room(self) -> int:
        """How many more recordings can be added now."""
        jobs = [*self._waiting, *self._answered]
        for seat in self._seats:
            if seat.process is not None:
                jobs += seat.process.asked
            elif seat.suspect is not None:
                jobs.append(seat.suspect)
        if sum([job.n_bytes for job in jobs]) > _MOST_BYTES:
            return 0
        return len(self._seats) * self._depth - len(jobs)

    def start(self) -> None:
        """Start what does not run; it gets ready beside whatever comes next."""
        for seat in self._seats:
            self._start(seat)

    def wait_until_ready(self) -> None:
        """Wait for the readers to be loaded, in every process.

        Raises:
            SetupFault: a plug-in cannot be loaded, or a process does not start.
        """
        self.start()
        while not all(process.is_ready for process in self.processes):
            self._listen(_LONG_S, None)
            self.start()

    def add(self, job: Job) -> None:
        """Put a recording at the end of the line."""
        self._waiting.append(job)

    def turn(self, wait_s: float, beside: int | None = None) -> list[Job]:
        """Give out what waits, hear what is answered; all of it that anybody wants.

        Args:
            wait_s: so long at most for the first answer.
            beside: a file descriptor; as soon as it can be read, nothing is waited for.

        Raises:
            SetupFault: no reader process can be started any more.
        """
        away_s = time.monotonic() - self._listened
        if away_s > _AWAY_S:
            for process in self.processes:
                process.excuse(away_s)
        self._give_out()
        self._listen(0.0 if self._answered else wait_s, beside)
        self._give_out()
        answered, self._answered = self._answered, []
        return [job for job in answered if job.is_wanted]

    def answer_to(self, job: Job) -> Answer:
        """Add a recording and wait for its answer; only while nobody waits for another.

        Raises:
            SetupFault: as `turn`.
        """
        self.add(job)
        try:
            while job.answer is None:
                self.turn(_LONG_S)
        except BaseException:
            self.close()  # what is half said is said to nobody
            raise
        return job.answer

    def forget(self) -> None:
        """Nobody waits any more; what is asked already is answered to nobody."""
        for job in (job for process in self.processes for job in process.asked):
            job.is_wanted = False
        for seat in self._seats:
            if seat.process is None or seat.suspect not in seat.process.asked:
                seat.suspect = None
        self._waiting.clear()
        self._answered.clear()

    def close(self) -> None:
        """End every process and forget everything; what is added later starts new ones."""
        self.forget()
        for seat in self._seats:
            if seat.process is not None:
                seat.process.close()
            seat.process = seat.suspect = None

    def _give_out(self) -> None:
        for seat in self._seats:
            if seat.suspect is not None:
                self._start(seat)
                process = seat.process
                if process is not None and process.is_ready and not process.asked:
                    process.ask(seat.suspect)
        while self._waiting:
            seat = max(self._seats, key=lambda seat: seat.room(self._depth))
            if seat.process is None or seat.room(self._depth) <= 0:
                self.start()
                return
            seat.process.ask(self._waiting.popleft())

    def _start(self, seat: _Seat) -> None:
        if seat.process is None:
            seat.process = Process(self._isolation, self._depth, self._terms)

    def _listen(self, wait_s: float, beside: int | None) -> None:
        """Move what can be moved, in every process; wait for the first that can."""
        seated = [(seat, seat.process) for seat in self._seats if seat.process is not None]
        poll = select.poll()
        for _, process in seated:
            events = select.POLLIN | (select.POLLOUT if process.is_sending else 0)
            poll.register(process.descriptor, events)
        if beside is not None:
            poll.register(beside, select.POLLIN)
        moved = dict(poll.poll(1000 * self._patience_s(wait_s)))
        self._listened = time.monotonic()
        for seat, process in seated:
            events = moved.get(process.descriptor, 0)
            if events & select.POLLOUT:
                process.send()
            is_overdue = process.until is not None and self._listened >= process.until
            if events & ~select.POLLOUT or is_overdue:
                self._hear(seat, process)

    def _patience_s(self, wait_s: float) -> float:
        """Until the first process has taken too long, `wait_s` at most."""
        now = time.monotonic()
        ends = [process.until for process in self.processes if process.until is not None]
        return max(0.0, min([wait_s, *(end - now for end in ends)]))

    def _hear(self, seat: _Seat, process: Process) -> None:
        try:
            answered = process.hear()
        except BaseException:
            seat.process = None
            process.close()
            raise
        for job in answered:
            if job is seat.suspect:
                seat.suspect = None
        self._answered += answered
        if process.fault is not None:
            self._replace(seat, process)

    def _replace(self, seat: _Seat, process: Process) -> None:
        """Decide on what a lost process was at; the seat's next one is started when needed."""
        seat.process, fault = None, process.fault
        is_blamed = process.n_answered == 0 or (
            fault is not None and fault.reason is ReasonCode.READER_TIMEOUT
        )
        suspect, *others = process.asked or [None]
        if suspect is not None and (is_blamed or not suspect.is_wanted):
            suspect.answer, seat.suspect = fault, None
            self._answered.append(suspect)
        elif suspect is not None:
            seat.suspect = suspect
        self._waiting.extendleft(
            job for job in reversed(others) if job is not None and job.is_wanted
        )
