"""One ECG file that a user names, with the other files that it needs, in memory."""

from pathlib import Path

from ecgbatch.errors import EcgbatchError, InputFault, TransientFault
from ecgbatch.readers.numpy_array import SIDECAR_SUFFIX
from ecgbatch.readers.wfdb import member_names
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.terms import ReasonCode

_LARGEST_BYTES = 64 * 1024 * 1024
"""Of all files of one ECG together."""


def read_bytes(path: Path) -> RecordingBytes:
    """The file itself; for a WFDB header also its signal files, for an array its sidecar.

    A member that is not there is left out: the reader says what that means.

    Raises:
        InputFault: `file_too_large`, `not_regular`.
        TransientFault: `read_failed`.
    """
    first = _member(path, _LARGEST_BYTES)
    members, left = [first], _LARGEST_BYTES - len(first.content)
    for name in _named_by(path, first.content):
        beside = path.parent / name
        if beside.exists():
            members.append(_member(beside, left))
            left -= len(members[-1].content)
    return RecordingBytes(tuple(members))


def _named_by(path: Path, content: bytes) -> tuple[str, ...]:
    match path.suffix.lower():
        case ".npy":
            return (path.name + SIDECAR_SUFFIX,)
        case ".hea":
            try:
                return member_names(content)
            except EcgbatchError:
                return ()
    return ()


def _member(path: Path, most_bytes: int) -> Member:
    if not path.is_file():
        raise InputFault(ReasonCode.NOT_REGULAR)
    try:
        with path.open("rb") as opened:
            content = opened.read(most_bytes + 1)
    except OSError:
        raise TransientFault(ReasonCode.READ_FAILED) from None
    if len(content) > most_bytes:
        raise InputFault(ReasonCode.FILE_TOO_LARGE)
    return Member(path.name, content)
