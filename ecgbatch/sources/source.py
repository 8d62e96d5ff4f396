"""What every source offers: a look at what is there, and one reading of each ECG."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ecgbatch.records import RecordingBytes, Sighting

Recall = Callable[[Sequence[str]], Mapping[tuple[str, str], tuple[str, ...]]]
"""From locators to the percent-encoded names of a record's other members in its folder, by locator
and fingerprint of the first member alone."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the ledger knows of earlier looks; a source asks for what it can use.

    Attributes:
        recall: which members a record had, so that an unchanged header is not read again.
        waiting: locators of items that wait and were not seen in this look.
        watermark: what the last finished look left behind.
    """

    recall: Recall = field(default=lambda _: {})
    waiting: Callable[[], Iterable[str]] = tuple
    watermark: str | None = None


NOTHING_KNOWN = Memory()


@dataclass(slots=True)
class Scan:
    """One look under way: iterate it to the end; only then the rest is known.

    Attributes:
        unlisted: folders whose content was not, or not wholly, seen; what is known to lie below
            them was not looked for.
        covers_all: what was not sighted is not there; else only what waits was looked for.
        watermark: where the next look begins.
    """

    sightings: Generator[Sighting, None, None]
    unlisted: list[str] = field(default_factory=list)
    covers_all: bool = True
    watermark: str | None = None

    def __iter__(self) -> Iterator[Sighting]:
        return self.sightings

    def close(self) -> None:
        """Let go of what the look holds open, also in the middle of it."""
        self.sightings.close()


@dataclass(frozen=True, slots=True)
class Finished:
    """A record that has its result.

    Attributes:
        members: percent-encoded names of the other members in its folder.
    """

    item_id: int
    locator: str
    fingerprint: str
    members: tuple[str, ...]
    file_digest: str


class Source(Protocol):
    """Where ECGs come from. It is only read, unless the settings ask for an archive."""

    @property
    def kind(self) -> Literal["folder", "database"]:
        """As `source.kind` in the ledger: whether it is files or rows that it finds."""

    @property
    def place(self) -> str:
        """What locators are relative to; no password in it."""

    @property
    def settles(self) -> bool:
        """Whether two looks must agree before something counts as whole."""

    def scan(self, memory: Memory = NOTHING_KNOWN) -> Scan:
        """Look at everything that could be an ECG.

        Raises:
            SetupFault: while it is iterated; the source cannot be looked at.
        """

    def read(self, locator: str, fingerprint: str) -> RecordingBytes:
        """All bytes of one ECG, once, if they are still those that were seen.

        Raises:
            InputFault: it will never be read.
            TransientFault: it is gone, cannot be read now, or changed since it was seen.
        """

    @property
    def archives(self) -> Literal["", "copy", "move"]:
        """What `put_away` does; nothing without an archive."""

    def check(self) -> str:
        """What a first look at the set-up finds, in a few words without names.

        Raises:
            SetupFault: with what to mend.
        """

    def close(self) -> None:
        """Let go of connections."""

    def put_away(self, record: Finished) -> bool:
        """Archive a record; False where other bytes lie at its place by now, or none.

        Raises:
            TransientFault: ARCHIVE_FAILED.
        """
