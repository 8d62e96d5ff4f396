"""The digest of a signal does not depend on how many derived leads an export stores."""

import numpy as np

from ecgbatch.readers.digests import signal_digest
from ecgbatch.readers.scaling import StoredLead
from ecgbatch.terms import DERIVABLE_LEADS, LEADS


def _leads(names: tuple[str, ...], seed: int = 0) -> list[StoredLead]:
    counts = {n: np.random.default_rng(seed + i).integers(-9, 9, 50) for i, n in enumerate(LEADS)}
    return [StoredLead(n, counts[n], 0.005, counts[n] * 0.005) for n in names]


def test_exports_of_eight_and_of_twelve_leads_agree_in_any_order() -> None:
    eight = tuple(name for name in LEADS if name not in DERIVABLE_LEADS)

    assert signal_digest(_leads(LEADS), 500.0) == signal_digest(_leads(eight[::-1]), 500.0)


def test_counts_gain_lead_and_sampling_frequency_tell_signals_apart() -> None:
    plain = _leads(("I", "III", "V1"))
    scaled = [StoredLead(o.name, o.counts, 0.0025, o.millivolts) for o in plain]

    digests = {
        signal_digest(plain, 500.0),
        signal_digest(plain, 250.0),
        signal_digest(scaled, 500.0),
        signal_digest(_leads(("I", "III", "V1"), seed=50), 500.0),
        signal_digest(_leads(("I", "aVR", "V1")), 500.0),
    }

    assert len(digests) == 5
