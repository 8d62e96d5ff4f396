"""Several reader processes that examine recordings at the same time, in any order."""

from ecgbatch.errors import EcgbatchError
from ecgbatch.examination import Terms
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.isolation.pool import Pool
from ecgbatch.isolation.process import Job
from ecgbatch.isolation.terms_text import text_of
from ecgbatch.records import Examined, RecordingBytes
from ecgbatch.settings import Isolation

Answer = Examined | EcgbatchError
"""What an examination gave: an `InputFault` or a `Refusal` is the recording's."""

_DEPTH = 8
"""Recordings ahead of a process, so that it never waits for the run to come round."""


class Examiners(Decoder):
    """`n_processes` reader processes under the same terms; for use in a `with` block.

    Not for several threads: one loop gives and takes. What a `Decoder` can do, only while nothing
    is given.
    """

    def __init__(self, isolation: Isolation, terms: Terms, n_processes: int) -> None:
        self._terms = text_of(terms)
        self._pool = Pool(isolation, n_processes, _DEPTH, self._terms)

    @property
    def process_ids(self) -> list[int]:
        """Of the reader processes that there are."""
        return [process.process_id for process in self._pool.processes]

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
