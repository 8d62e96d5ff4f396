"""Several reader processes that examine recordings at the same time, in any order."""

import select
from collections import deque
from types import TracebackType
from typing import Self

from ecgbatch.errors import EcgbatchError, InputFault, Refusal
from ecgbatch.examination import Terms
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.records import Examined, Recording, RecordingBytes
from ecgbatch.settings import Isolation

Answer = Examined | EcgbatchError
"""What an examination gave: an `InputFault` or a `Refusal` is the recording's."""


class Examiners:
    """`n_processes` reader processes under the same terms; for use in a `with` block.

    Not for several threads: one loop gives and takes.
    """

    def __init__(self, isolation: Isolation, terms: Terms, n_processes: int) -> None:
        self._terms = terms
        self._decoder = Decoder(isolation)
        self._room = 2 * n_processes
        self._given: deque[tuple[int, RecordingBytes]] = deque()

    def __enter__(self) -> Self:
        self._decoder.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._decoder.__exit__(kind, error, trace)

    def wait_until_ready(self) -> None:
        """Wait for the readers to be loaded.

        Raises:
            SetupFault: a plug-in cannot be loaded, or a process does not start.
        """
        self._decoder.wait_until_ready()

    @property
    def room(self) -> int:
        """How many more recordings can be given now."""
        return self._room - len(self._given)

    def give(self, ticket: int, source: RecordingBytes) -> None:
        """Have a recording examined; only while there is room.

        Args:
            ticket: names the answer; no two that are not answered are equal.
        """
        self._given.append((ticket, source))

    def answers(self, wait_s: float, beside: int) -> list[tuple[int, Answer]]:
        """What has been answered since; waits for the first answer at most so long.

        Args:
            beside: a file descriptor; as soon as it can be read, nothing is waited for.

        Raises:
            SetupFault: no reader process can be started any more.
        """
        if not self._given:
            select.select([beside], [], [], wait_s)
            return []
        ticket, source = self._given.popleft()
        try:
            return [(ticket, self.examine(source, self._terms))]
        except (InputFault, Refusal) as fault:
            return [(ticket, fault)]

    def forget(self) -> None:
        """What was given is not wanted any more; its answers never come."""
        self._given.clear()

    def decode(self, source: RecordingBytes) -> Recording:
        """As `Decoder.decode`; only while nothing is given."""
        return self._decoder.decode(source)

    def examine(self, source: RecordingBytes, terms: Terms) -> Examined:
        """As `Decoder.examine`; only while nothing is given."""
        return self._decoder.examine(source, terms)
