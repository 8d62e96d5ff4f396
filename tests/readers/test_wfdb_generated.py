"""Records written by the wfdb library: read bit-equal to what it reads itself."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from reader_cases import wfdb_bytes

from ecgbatch.readers.leads import stack_leads
from ecgbatch.readers.registry import decode
from ecgbatch.terms import LEADS

BITS = {"16": 16, "24": 24, "32": 32, "80": 8, "212": 12}


def _write(
    folder: str, fmt: str, counts: NDArray[np.int64], gains: list[float], baselines: list[int]
) -> Path:
    n_leads = counts.shape[1]
    wfdb.wrsamp(
        "record",
        fs=500,
        units=["mV"] * n_leads,
        sig_name=list(LEADS[:n_leads]),
        d_signal=counts,
        fmt=[fmt] * n_leads,
        adc_gain=gains,
        baseline=baselines,
        write_dir=folder,
    )
    return Path(folder) / "record.hea"


@given(
    fmt=st.sampled_from(sorted(BITS)),
    n_leads=st.integers(1, 12),
    n_samples=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    gains=st.lists(st.integers(1, 100_000).map(lambda x: x / 8), min_size=12, max_size=12),
    baselines=st.lists(st.integers(-2048, 2048), min_size=12, max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_generated_record_is_read_bit_equal_to_the_wfdb_library(
    fmt: str, n_leads: int, n_samples: int, seed: int, gains: list[float], baselines: list[int]
) -> None:
    edge = 2 ** (BITS[fmt] - 1)
    counts = np.random.default_rng(seed).integers(-edge, edge, (n_samples, n_leads))
    with TemporaryDirectory() as folder:
        path = _write(folder, fmt, counts, gains[:n_leads], baselines[:n_leads])
        recording = decode(wfdb_bytes(path))
        oracle = wfdb.rdrecord(str(path.with_suffix("")))

    stored = [lead for lead in recording.lead_names if lead not in recording.derived_leads]
    assert stored == oracle.sig_name
    for row, lead in enumerate(stored):
        mine = recording.signal[recording.lead_names.index(lead)]
        assert np.array_equal(mine, oracle.p_signal[:, row], equal_nan=True)


@pytest.mark.parametrize("fmt", sorted(BITS))
def test_least_count_of_a_format_is_an_invalid_sample(fmt: str, tmp_path: Path) -> None:
    least = -(2 ** (BITS[fmt] - 1))
    counts = np.array([[1, 5], [least, 6], [3, least + 1]])
    recording = decode(wfdb_bytes(_write(str(tmp_path), fmt, counts, [100.0, 100.0], [0, 0])))
    assert np.isnan(recording.signal[:2]).tolist() == [[False, True, False], [False] * 3]
    # What is derived from an invalid sample is invalid too.
    assert np.isnan(recording.signal[2:, 1]).all()


@given(order=st.permutations(LEADS), kept=st.integers(8, 12))
@settings(max_examples=60, deadline=None)
def test_leads_come_out_in_standard_order_whatever_their_order_in_the_file(
    order: list[str], kept: int
) -> None:
    signals = {name: np.full(3, float(row)) for row, name in enumerate(LEADS)}
    stacked = stack_leads((name, signals[name]) for name in order[:kept])
    assert list(stacked.names) == [name for name in LEADS if name in stacked.names]
    for row, name in enumerate(stacked.names):
        if name in order[:kept]:
            assert np.array_equal(stacked.signal[row], signals[name])
        else:
            assert name in stacked.derived
