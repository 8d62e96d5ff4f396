"""gzip around one recording: expanded in memory, within bounds, before its format is recognised."""

import gzip
import zlib
from io import BytesIO

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.terms import ReasonCode

MAX_BYTES = 64 * 1024 * 1024
MAX_RATIO = 200
"""Expanded to compressed size, above `HARMLESS_BYTES`; an ECG compresses three to twentyfold."""
HARMLESS_BYTES = 1024 * 1024

_MAGIC = b"\x1f\x8b"
_STEP_BYTES = 256 * 1024


def expand(source: RecordingBytes) -> RecordingBytes:
    """The recording inside a gzip file; anything else as it is.

    Only a recording of one file is expanded: the names in a WFDB header mean other files.

    Raises:
        Incomplete: the compressed file ends early.
        InputFault: `sample_data_damaged` (CRC, length or code), `expansion_limit` (too large,
            or gzip within gzip).
    """
    if len(source.members) != 1 or not source.first.startswith(_MAGIC):
        return source
    content = _expanded(source.first)
    if content.startswith(_MAGIC):
        raise InputFault(ReasonCode.EXPANSION_LIMIT, "nested")
    return RecordingBytes((Member(source.members[0].name, content),))


def _expanded(compressed: bytes) -> bytes:
    """All gzip members one after the other, their CRC and length checked."""
    limit = min(MAX_BYTES, max(HARMLESS_BYTES, MAX_RATIO * len(compressed)))
    content = bytearray()
    try:
        with gzip.GzipFile(fileobj=BytesIO(compressed)) as file:
            while part := file.read(_STEP_BYTES):
                content += part
                if len(content) > limit:
                    raise InputFault(ReasonCode.EXPANSION_LIMIT)
    except EOFError:
        raise Incomplete("gzip") from None
    except (gzip.BadGzipFile, zlib.error):
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED, "gzip") from None
    return bytes(content)
