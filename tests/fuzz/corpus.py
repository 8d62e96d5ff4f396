"""The whole files that are damaged: every sample that a reader of the registry reads."""

from dataclasses import dataclass
from pathlib import Path

from ecgbatch.errors import EcgbatchError
from ecgbatch.isolation.here import decode_here
from ecgbatch.readers.compressed import expand
from ecgbatch.readers.registry import READERS
from ecgbatch.records import Recording, RecordingBytes
from ecgbatch.resources import demonstration
from ecgbatch.sources.folder import FolderSource
from ecgbatch.terms import ReasonCode
from tests.fuzz import written

FOLDERS = (demonstration("samples"), Path(__file__).parents[1] / "data" / "samples")
LARGEST_BYTES = 4 << 20

CARRY_CHECKSUM = frozenset({"wfdb", "muse", "scp"})
"""Formats with a checksum or CRC over their samples; some of their files leave it out."""
CHECKSUM_IS_A_SUM = frozenset({"wfdb"})
CARRY_SIZE = frozenset(
    {"wfdb", "muse", "scp", "dicom", "edf", "npy", "cardiosoft", "schiller", "mortara"}
)
"""Formats whose header says how many samples there are."""


@dataclass(frozen=True, slots=True)
class Seed:
    """A whole file and what it decodes to."""

    source: RecordingBytes
    whole: Recording

    @property
    def size(self) -> int:
        return sum(len(member.content) for member in self.source.members)

    @property
    def has_checksum(self) -> bool:
        return self.whole.reader in CARRY_CHECKSUM and carries_checksum(self.whole)


def carries_checksum(recording: Recording) -> bool:
    return all(finding.reason is not ReasonCode.CHECKSUM_ABSENT for finding in recording.findings)


def seeds(largest_bytes: int = LARGEST_BYTES) -> dict[str, list[Seed]]:
    """Whole files by reader, the smallest first; a reader without any has an empty list."""
    found: dict[str, list[Seed]] = {entry.name: [] for entry in READERS}
    for source in _sources():
        seed = _seed(source)
        if seed is not None and seed.size <= largest_bytes:
            found[seed.whole.reader].append(seed)
    return {name: sorted(group, key=lambda seed: seed.size) for name, group in found.items()}


def _sources() -> list[RecordingBytes]:
    files = [
        source.read(seen.locator, seen.fingerprint)
        for source in (FolderSource(folder, 1 << 26) for folder in FOLDERS)
        for seen in source.scan()
        if seen.is_whole
    ]
    return [*files, written.cardiosoft(), written.schiller(), written.npy()]


def _seed(source: RecordingBytes) -> Seed | None:
    try:
        plain = expand(source)
        return Seed(plain, decode_here(plain))
    except EcgbatchError:
        return None
