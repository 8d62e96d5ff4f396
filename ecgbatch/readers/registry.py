"""Which readers there are. A new format is one module and one line in `READERS`."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol, cast

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.readers.compressed import expand
from ecgbatch.readers.refused import reason_of
from ecgbatch.records import Recording, RecordingBytes
from ecgbatch.terms import ReasonCode

SNIFF_BYTES = 8192
"""How much of the first member a reader may look at to recognise its format."""


Evidence = Literal["real samples", "synthetic", "specification"]
"""What a reader was checked against: files of real devices, files that other software
made, or nothing but the description of the format."""


class Reader(Protocol):
    """What a reader module has; VERSION is raised by hand when its output can change."""

    NAME: str
    VERSION: str

    def recognises(self, head: bytes) -> bool: ...
    def read(self, source: RecordingBytes) -> Recording: ...


@dataclass(frozen=True, slots=True)
class ReaderEntry:
    """A reader by name; its module is imported when it is first asked.

    Attributes:
        title: the format in the words of its users.
    """

    name: str
    module: str
    title: str
    evidence: Evidence

    def load(self) -> Reader:
        return cast(Reader, import_module(self.module))


READERS: tuple[ReaderEntry, ...] = (
    # First, because their first bytes cannot be taken for anything else.
    ReaderEntry("dicom", "ecgbatch.readers.dicom", "DICOM ECG waveform", "real samples"),
    ReaderEntry("scp", "ecgbatch.readers.scp", "SCP-ECG", "real samples"),
    ReaderEntry("edf", "ecgbatch.readers.edf", "EDF, EDF+", "real samples"),
    ReaderEntry("npy", "ecgbatch.readers.numpy_array", "NumPy array with sidecar", "synthetic"),
    ReaderEntry("wfdb", "ecgbatch.readers.wfdb", "WFDB", "real samples"),
    ReaderEntry("muse", "ecgbatch.readers.muse", "GE MUSE XML", "real samples"),
    ReaderEntry("philips", "ecgbatch.readers.philips", "Philips SierraECG XML", "real samples"),
    ReaderEntry("aecg", "ecgbatch.readers.aecg", "HL7 aECG", "real samples"),
    ReaderEntry(
        "cardiosoft", "ecgbatch.readers.cardiosoft", "GE CardioSoft / CASE XML", "specification"
    ),
    ReaderEntry("schiller", "ecgbatch.readers.schiller", "Schiller SEMA XML", "specification"),
    ReaderEntry("mortara", "ecgbatch.readers.mortara", "Mortara ELI Link XML", "synthetic"),
)


def recognise(head: bytes, plug_ins: Sequence[Reader] = ()) -> Reader | None:
    """The reader whose format starts like `head`, by content alone; plug-ins are asked last."""
    start = head[:SNIFF_BYTES]
    for entry in READERS:
        reader = entry.load()
        if reader.recognises(start):
            return reader
    return next((reader for reader in plug_ins if reader.recognises(start)), None)


def decode(source: RecordingBytes, plug_ins: Sequence[Reader] = ()) -> Recording:
    """Decode one recording from its bytes, expanded first where they are gzip.

    The name of a file plays no part.

    Raises:
        Incomplete: the first member is empty, or the recording ends early.
        InputFault: no reader recognises the content (a reason of class format), or it is damaged.
        Refusal: readable, but without a rhythm strip of the standard leads.
    """
    if not source.members or not source.first:
        raise Incomplete("empty")
    plain = expand(source)
    if not plain.first:
        raise Incomplete("empty")
    reader = recognise(plain.first, plug_ins)
    if reader is None:
        raise InputFault(reason_of(plain.first[:SNIFF_BYTES]) or ReasonCode.FORMAT_UNKNOWN)
    return reader.read(plain)
