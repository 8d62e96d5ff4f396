"""ECGs in several formats, each a folder of its own, and how well each format guards its bytes."""

import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from ecgbatch.records import Member, RecordingBytes
from tests.support.ecgs import heartbeats

sys.path.append(str(Path(__file__).parents[1] / "readers"))
written = importlib.import_module("equivalent_files")

RATE = 500


@dataclass(frozen=True)
class Format:
    """A format as the reader tests write it.

    Attributes:
        shows_holes: bytes that are still zero cannot pass for samples.
        shows_mixture: nor can bytes of an older version: a checksum covers all samples.
    """

    name: str
    shows_holes: bool
    shows_mixture: bool


FORMATS = (
    Format("wfdb 16", shows_holes=True, shows_mixture=True),
    Format("wfdb 212, 8 leads", shows_holes=True, shows_mixture=True),
    Format("scp", shows_holes=True, shows_mixture=True),
    Format("muse, 12 leads", shows_holes=True, shows_mixture=False),
    Format("aecg", shows_holes=True, shows_mixture=False),
    Format("mortara", shows_holes=True, shows_mixture=False),
    Format("cardiosoft", shows_holes=True, shows_mixture=False),
    Format("dicom", shows_holes=False, shows_mixture=False),
    Format("edf", shows_holes=False, shows_mixture=False),
    Format("npy", shows_holes=False, shows_mixture=False),
)

_WRITERS = {one.name: one for one in written.FILES}


def ecg(fmt: Format, seed: int) -> RecordingBytes:
    """An ECG that shares no sample, and no id, with that of another seed."""
    how = _WRITERS[fmt.name]
    source = how.write(heartbeats(seed), RATE, how.leads, how.step_mv)
    if fmt.name == "dicom":
        uid = re.search(rb"1\.2\.826\.0\.1\.3680043\.8\.498\.\d+", source.first)
        assert uid
        other = uid[0][:-8] + b"%08d" % seed
        return RecordingBytes((Member("ecg.dcm", source.first.replace(uid[0], other)),))
    return source


def put(folder: Path, source: RecordingBytes) -> None:
    """All members at once, under their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for member in source.members:
        (folder / member.name).write_bytes(member.content)
