"""A synthetic ECG as a WFDB record: header and signal file of format 16."""

import numpy as np

from ecgbatch.terms import LEADS, SAMPLING_FREQUENCY
from training.synthetic.cohort import SyntheticEcg
from training.synthetic.device import counts_per_mv

HEADER, SIGNAL = ".hea", ".dat"


def wfdb_record(ecg: SyntheticEcg) -> dict[str, bytes]:
    """The record's two files by suffix, the header last: once it is there, the record is whole.

    Initial value and checksum stand in the header. The comments name patient, age and sex.
    """
    samples = ecg.counts.T.astype("<i2")
    return {SIGNAL: samples.tobytes(), HEADER: _header(ecg).encode("ascii")}


def _header(ecg: SyntheticEcg) -> str:
    n_leads, n_samples = ecg.counts.shape
    at = ecg.acquired_at.strftime("%H:%M:%S %d/%m/%Y")
    gain = repr(counts_per_mv(ecg.device)).removesuffix(".0")
    sums = ecg.counts.sum(axis=1, dtype=np.int64) % 65536
    lines = [f"{ecg.name} {n_leads} {SAMPLING_FREQUENCY:g} {n_samples} {at}"]
    for lead, first, total in zip(LEADS, ecg.counts[:, 0], sums, strict=True):
        lines.append(f"{ecg.name}{SIGNAL} 16 {gain}(0)/mV 16 0 {first} {total} 0 {lead}")
    lines += [
        f"# subject_id: {ecg.patient.patient_id}",
        f"# Age: {ecg.age_years:.0f}",
        f"# Sex: {ecg.patient.sex}",
        "# synthetic ECG, no patient",
    ]
    return "\n".join(lines) + "\n"
