"""Where the sample recordings lie, and how to change them."""

from pathlib import Path

from ecgbatch.readers.wfdb import member_names
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.resources import demonstration

SHIPPED = demonstration("samples")
SAMPLES = Path(__file__).parents[1] / "data" / "samples"
WFDB_ECGS = ("00001_lr", "A0001", "E07500", "HR06000", "JS20000")
MUSE_ECGS = ("guangxi_teaching_sinus_rhythm", "synthetic_muse")
GUANGXI = SHIPPED / "muse" / "guangxi_teaching_sinus_rhythm.xml"
SYNTHETIC = SHIPPED / "muse" / "synthetic_muse.xml"


def wfdb_header_path(name: str) -> Path:
    folder = SHIPPED if name in WFDB_ECGS else SAMPLES
    return folder / "wfdb" / f"{name}.hea"


def wfdb_bytes(header: Path) -> RecordingBytes:
    content = header.read_bytes()
    names = member_names(content)
    files = (Member(name, (header.parent / name).read_bytes()) for name in names)
    return RecordingBytes((Member(header.name, content), *files))


def replaced(source: RecordingBytes, old: str, new: str, count: int = 1) -> RecordingBytes:
    """The same recording with `old` replaced in its first member; `old` must be there."""
    text = source.first.decode("iso-8859-1")
    assert old in text
    content = text.replace(old, new, count).encode("iso-8859-1")
    return RecordingBytes((Member(source.members[0].name, content), *source.members[1:]))


def with_signal_file(source: RecordingBytes, content: bytes) -> RecordingBytes:
    return RecordingBytes((source.members[0], Member(source.members[1].name, content)))


def muse_bytes(content: bytes) -> RecordingBytes:
    return RecordingBytes((Member("ecg.xml", content),))
