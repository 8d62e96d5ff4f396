"""Which readers there are. A new format is one module and one line in `READERS`."""

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.records import Recording, RecordingBytes
from ecgbatch.terms import ReasonCode

SNIFF_BYTES = 8192
"""How much of the first member a reader may look at to recognise its format."""


class Reader(Protocol):
    """What a reader module has; VERSION is raised by hand when its output can change."""

    NAME: str
    VERSION: str

    def recognises(self, head: bytes) -> bool: ...
    def read(self, source: RecordingBytes) -> Recording: ...


@dataclass(frozen=True, slots=True)
class ReaderEntry:
    """A reader by name; its module is imported when it is first asked."""

    name: str
    module: str

    def load(self) -> Reader:
        return cast(Reader, import_module(self.module))


READERS: tuple[ReaderEntry, ...] = (
    ReaderEntry("wfdb", "ecgbatch.readers.wfdb"),
    ReaderEntry("muse", "ecgbatch.readers.muse"),
)


def recognise(head: bytes) -> Reader | None:
    """The reader whose format starts like `head`, by content alone."""
    start = head[:SNIFF_BYTES]
    for entry in READERS:
        reader = entry.load()
        if reader.recognises(start):
            return reader
    return None


def decode(source: RecordingBytes) -> Recording:
    """Decode one recording from its bytes; the name of a file plays no part.

    Raises:
        Incomplete: the first member is empty, or the recording ends early.
        InputFault: no reader recognises the content (`format_unknown`), or it is damaged.
        Refusal: readable, but without a rhythm strip of the standard leads.
    """
    if not source.members or not source.first:
        raise Incomplete("empty")
    reader = recognise(source.first)
    if reader is None:
        raise InputFault(ReasonCode.FORMAT_UNKNOWN)
    return reader.read(source)
