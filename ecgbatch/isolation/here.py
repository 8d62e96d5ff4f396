"""Decoding in this process: what the reader process does, and tests that need no process."""

from collections.abc import Sequence

from ecgbatch.errors import EcgbatchError, InputFault
from ecgbatch.readers import registry
from ecgbatch.readers.registry import Reader
from ecgbatch.records import Recording, RecordingBytes
from ecgbatch.terms import LEADS, ReasonCode


def decode_here(source: RecordingBytes, plug_ins: Sequence[Reader] = ()) -> Recording:
    """Bytes to a Recording by the reader that recognises them.

    Args:
        plug_ins: readers that are asked after those of the registry.

    Raises:
        InputFault, Incomplete, Refusal: as the reader says. What else a reader lets through
            becomes `reader_memory` or `reader_crashed`, without its text.
    """
    try:
        return registry.decode(source, plug_ins)
    except EcgbatchError:
        raise
    except MemoryError:
        raise InputFault(ReasonCode.READER_MEMORY) from None
    except Exception:  # noqa: BLE001 - whatever a reader trips over must cost one recording only
        raise InputFault(ReasonCode.READER_CRASHED) from None


def fit_together(
    shape: tuple[int, ...], lead_names: tuple[str, ...], derived_leads: tuple[str, ...]
) -> bool:
    """Whether samples and leads are those of one recording: rows in LEADS order, none empty."""
    return (
        len(shape) == 2
        and shape[0] == len(lead_names)
        and min(shape) > 0
        and lead_names == tuple(lead for lead in LEADS if lead in lead_names)
        and set(derived_leads) <= set(lead_names)
    )
