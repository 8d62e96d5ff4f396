"""Decoding behind one function, so that a reader's crash is one recording's fault."""

from ecgbatch.errors import EcgbatchError, InputFault
from ecgbatch.readers import registry
from ecgbatch.records import Recording, RecordingBytes
from ecgbatch.terms import ReasonCode


def decode(source: RecordingBytes) -> Recording:
    """Bytes to a Recording by the reader that recognises them.

    Raises:
        InputFault, Incomplete, Refusal: as the reader says; anything else a reader lets through
            becomes `reader_crashed`, without its text.
    """
    try:
        return registry.decode(source)
    except EcgbatchError:
        raise
    except Exception:  # noqa: BLE001 - whatever a reader trips over must cost one recording only
        raise InputFault(ReasonCode.READER_CRASHED) from None
