"""Decoding in a process of its own: a crash, a hang or a memory bomb costs one recording.

What is claimed: a reader can neither end the run nor read its memory, its keys or its database
connection, cannot write a byte to a file, and is stopped at the settings' memory and time.
What is not: a reader that an attacker has taken over could answer wrongly for the recordings
that the same process reads after it. Whatever it answers is data and never runs here.
"""

from types import TracebackType
from typing import Self

from ecgbatch.errors import EcgbatchError
from ecgbatch.examination import Terms
from ecgbatch.isolation.answer import Answer
from ecgbatch.isolation.pool import Pool
from ecgbatch.isolation.process import Job
from ecgbatch.isolation.terms_text import text_of
from ecgbatch.records import Examined, Recording, RecordingBytes
from ecgbatch.settings import Isolation


class Decoder:
    """One reader process at a time, replaced when it is lost; for use in a `with` block."""

    def __init__(self, isolation: Isolation) -> None:
        self._pool = Pool(isolation, n_processes=1, depth=1)

    def __enter__(self) -> Self:
        """Start the reader process; it gets ready beside whatever comes next."""
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
    def process_id(self) -> int | None:
        """Of the reader process, None while there is none."""
        return next((process.process_id for process in self._pool.processes), None)

    def wait_until_ready(self) -> None:
        """Wait for the readers to be loaded.

        Raises:
            SetupFault: a plug-in cannot be loaded, or the process does not start.
        """
        self._pool.wait_until_ready()

    def decode(self, source: RecordingBytes) -> Recording:
        """Bytes to a Recording, by the reader that recognises them.

        A recording on which a used process was lost is tried once more in a new one, alone:
        what an earlier recording left behind must not be blamed on it.

        Raises:
            Incomplete, InputFault, Refusal: as the reader says; `reader_crashed` with the
                signal's number, `reader_timeout`, `reader_memory`.
            SetupFault: no reader process can be started any more.
        """
        return decoded(self._pool.answer_to(Job(source)))

    def examine(self, source: RecordingBytes, terms: Terms) -> Examined:
        """Bytes to what is known of the ECG before the net.

        Raises:
            as `decode`.
        """
        return examined(self._pool.answer_to(Job(source, text_of(terms))))


def decoded(answer: Answer) -> Recording:
    """The recording that a decoding gave.

    Raises:
        InputFault, Refusal: it gave none.
    """
    if isinstance(answer, Recording):
        return answer
    raise _fault_of(answer)


def examined(answer: Answer) -> Examined:
    """What an examination gave.

    Raises:
        InputFault, Refusal: it gave nothing.
    """
    if isinstance(answer, Examined):
        return answer
    raise _fault_of(answer)


def _fault_of(answer: Answer) -> EcgbatchError:
    if isinstance(answer, EcgbatchError):
        return answer
    raise AssertionError("an answer to another question")
