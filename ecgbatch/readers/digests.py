"""The digest of a signal as stored: equal for the same ECG in two exports."""

from collections.abc import Iterable
from hashlib import sha256

from ecgbatch.readers.scaling import StoredLead
from ecgbatch.terms import LEADS


def signal_digest(leads: Iterable[StoredLead], sampling_frequency: float) -> str:
    """SHA-256 over the stored standard leads in LEADS order, and the sampling frequency.

    Per lead: name, mV per count to 9 digits, then its length and the counts (baseline
    subtracted) as little-endian int64. Derived leads say nothing new and are left out.
    """
    by_name = {lead.name: lead for lead in leads}
    digest = sha256()
    for name in (name for name in LEADS if name in by_name):
        lead = by_name[name]
        digest.update(f"{name}\0{lead.mv_per_count:.9g}\0{lead.counts.size}\0".encode())
        digest.update(lead.counts.astype("<i8").tobytes())
    digest.update(f"{sampling_frequency:.9g}".encode())
    return digest.hexdigest()
