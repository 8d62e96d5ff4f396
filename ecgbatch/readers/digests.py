"""The digest of a signal as stored: equal for the same ECG in two exports."""

from collections.abc import Iterable
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ecgbatch.readers.scaling import StoredLead
from ecgbatch.terms import DERIVABLE_LEADS, LEADS

_LEAST_OF_16_BITS = -(2**15)


def signal_digest(leads: Iterable[StoredLead], sampling_frequency: float) -> str:
    """SHA-256 over the stored standard leads in LEADS order, and the sampling frequency.

    Per lead: name, mV per count to 9 digits, then its length and the counts (baseline
    subtracted), little-endian, in the narrowest of int16, int32 and int64 that holds them all:
    a quarter of the bytes to hash. Where I and II are stored, the other limb leads say nothing
    new and are left out, so that exports of 8 and of 12 leads agree.
    """
    by_name = {lead.name: lead for lead in leads}
    if {"I", "II"} <= by_name.keys():
        by_name = {name: lead for name, lead in by_name.items() if name not in DERIVABLE_LEADS}
    digest = sha256()
    for name in (name for name in LEADS if name in by_name):
        lead = by_name[name]
        digest.update(f"{name}\0{lead.mv_per_count:.9g}\0{lead.counts.size}\0".encode())
        digest.update(_narrow(lead.counts))
    digest.update(f"{sampling_frequency:.9g}".encode())
    return digest.hexdigest()


def _narrow(counts: NDArray[np.integer]) -> bytes | memoryview:
    if counts.dtype == np.int16 and counts.size and counts.min() > _LEAST_OF_16_BITS:
        return np.ascontiguousarray(counts, dtype="<i2").data
    widest = max(abs(int(counts.max())), abs(int(counts.min()))) if counts.size else 0
    dtype = next((f"<i{size}" for size in (2, 4) if widest < 1 << (8 * size - 1)), "<i8")
    return counts.astype(dtype).tobytes()
