"""One ECG file that a user names, with the other files that it needs, in memory."""

from pathlib import Path

from ecgbatch.records import RecordingBytes
from training.data.files import EcgFiles

_LARGEST_BYTES = 64 * 1024 * 1024
"""Of all files of one ECG together."""


def read_bytes(path: Path) -> RecordingBytes:
    """The file itself; for a WFDB header also its signal files, for an array its sidecar.

    A member that is not there is left out: the reader says what that means. A link is followed:
    whoever typed it means the file behind it.

    Raises:
        InputFault: `gone`, `not_regular`, `read_failed`, `file_too_large`.
        SetupFault: `source_unavailable`: the disk or the network share fails.
    """
    named = path.resolve()
    with EcgFiles(named.parent, None, _LARGEST_BYTES) as files:
        return files.read(named.name)
