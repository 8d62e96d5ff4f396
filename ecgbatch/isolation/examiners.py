"""Several reader processes that examine recordings at the same time, in any order."""

from types import TracebackType
from typing import Self

from ecgbatch.errors import EcgbatchError
from ecgbatch.examination import Terms
from ecgbatch.isolation.decoder import decoded, examined
from ecgbatch.isolation.pool import Pool
from ecgbatch.isolation.process import Job
from ecgbatch.isolation.terms_text import text_of
from ecgbatch.records import Examined, Recording, RecordingBytes
from ecgbatch.settings import Isolation

Answer = Examined | EcgbatchError
"""What an examination gave: an `InputFault` or a `Refusal` is the recording's."""

_DEPTH = 8
"""Recordings ahead of a process, so that it never waits for the run to come round."""


class Examiners:
    """`n_processes` reader processes under the same terms; for use in a `with` block.

    Not for several threads: one loop gives and takes.
    """

    def __init__(self, isolation: Isolation, terms: Terms, n_processes: int) -> None:
        self._terms = text_of(terms)
        self._pool = Pool(isolation, n_processes, _DEPTH, self._terms)

    def __enter__(self) -> Self:
        """Start the processes; they get ready beside whatever comes next."""
        self._pool.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.close()

    @property
    def process_ids(self) -> list[int]:
        """Of the reader processes that there are."""
        return [process.process_id for process in self._pool.processes]

    def wait_until_ready(self) -> None:
        """Wait for the readers to be loaded.

        Raises:
            SetupFault: a plug-in cannot be loaded, or a process does not start.
        """
        self._pool.wait_until_ready()

    @property
    def room(self) -> int:
        """How many more recordings can be given now."""
        return self._pool.room

    def give(self, ticket: int, source: RecordingBytes) -> None:
        """Have a recording examined; only while there is room.

        Args:
            ticket: names the answer; no two that are not answered are equal.
        """
        self._pool.add(Job(source, self._terms, ticket))

    def answers(self, wait_s: float, beside: int) -> list[tuple[int, Answer]]:
        """What has been answered since; waits for the first answer at most so long.

        Args:
            beside: a file descriptor; as soon as it can be read, nothing is waited for.

        Raises:
            SetupFault: no reader process can be started any more.
        """
        return [
            (job.ticket, job.answer)
            for job in self._pool.turn(wait_s, beside)
            if isinstance(job.answer, Examined | EcgbatchError)  # nothing else was asked for
        ]

    def forget(self) -> None:
        """What was given is not wanted any more; its answers never come."""
        self._pool.forget()

    def decode(self, source: RecordingBytes) -> Recording:
        """As `Decoder.decode`; only while nothing is given."""
        return decoded(self._pool.answer_to(Job(source)))

    def examine(self, source: RecordingBytes, terms: Terms) -> Examined:
        """As `Decoder.examine`; only while nothing is given."""
        return examined(self._pool.answer_to(Job(source, text_of(terms))))
