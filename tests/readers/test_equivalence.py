"""The same waveform in any two formats, sampling frequencies and lead orders: the same array.

What may differ: the rounding of each file to its own step, which the derivation of a limb lead
and the resampling filter can amplify, and the filter's ripple.
"""

from itertools import combinations

import numpy as np
import pytest
from equivalent_files import FILES, RATES, Written
from equivalent_signal import waveform

from ecgbatch.convert import STANDARD, Standardised, standardise
from ecgbatch.isolation.here import decode_here
from ecgbatch.preprocessing.spec import Resample
from ecgbatch.readers.registry import READERS
from ecgbatch.settings import load_settings

FLOAT32_MV = 5e-7
"""The array's own precision at 2.7 mV, and more."""
STORED, DERIVED = 0.5, 1.0
"""Steps: a file's rounding; III = II - I adds two of them. No filter at 500 Hz, no ripple."""
RESAMPLED = 1.5
"""Steps, at any other sampling frequency: the filter adds to what is stored or derived."""
RIPPLE_MV = 0.0002
"""The anti-aliasing filter is flat to 80 dB: 0.0001 of the waveform's 2.7 mV, and less."""

Case = tuple[int, Written]
CASES: list[Case] = [(rate, written) for written in FILES for rate in RATES]
Arrays = dict[tuple[int, str], Standardised]


def _standardised(rate: int, written: Written, factor: float = 1.0) -> Standardised:
    source = written.write(waveform(rate) * factor, rate, written.leads, written.step_mv)
    return standardise(source, decode_here, load_settings(environment={}), strict=False)


def _limit_mv(rate: int, written: Written) -> float:
    if rate != 500:
        return FLOAT32_MV + RIPPLE_MV + RESAMPLED * written.step_mv
    return FLOAT32_MV + (DERIVED if len(written.leads) < 12 else STORED) * written.step_mv


def _n_whole(rate: int, written: Written) -> int:
    """Samples for which the filter saw the signal on both sides.

    Half of it reaches beyond the window, where a Philips file holds no more ECG.
    """
    if rate == 500 or written.has_context:
        return 5000
    filters = [step for step in STANDARD.steps if isinstance(step, Resample)]
    return 5000 - filters[0].half_length * 500 // min(rate, 500)


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return {(rate, written.name): _standardised(rate, written) for rate, written in CASES}


def _differ(one: Case, other: Case, arrays: Arrays) -> bool:
    (rate, written), (rate_2, written_2) = one, other
    n = min(_n_whole(rate, written), _n_whole(rate_2, written_2))
    limit = _limit_mv(rate, written) + _limit_mv(rate_2, written_2)
    difference = arrays[rate, written.name].signal - arrays[rate_2, written_2.name].signal
    return bool(np.abs(difference[:, :n]).max() > limit)


@pytest.mark.parametrize(("rate", "written"), CASES, ids=[f"{w.name} {r}" for r, w in CASES])
def test_file_becomes_the_waveform_itself_at_500_hz(
    rate: int, written: Written, arrays: Arrays
) -> None:
    found = arrays[rate, written.name].signal
    assert (found.shape, found.dtype) == ((12, 5000), np.dtype(np.float32))
    error = np.abs(found - waveform(500)[:, :5000])[:, : _n_whole(rate, written)].max()
    assert error <= _limit_mv(rate, written)


def test_any_two_files_become_the_same_array(arrays: Arrays) -> None:
    pairs = combinations(CASES, 2)
    assert [(one, other) for one, other in pairs if _differ(one, other, arrays)] == []


def test_every_reader_of_the_registry_reads_one_of_the_files(arrays: Arrays) -> None:
    assert {one.reader for one in arrays.values()} == {entry.name for entry in READERS}


def test_tolerance_is_too_narrow_for_two_leads_that_are_swapped_or_a_gain_of_two_percent(
    arrays: Arrays,
) -> None:
    loosest = 2 * max(_limit_mv(rate, written) for rate, written in CASES)
    for found in arrays.values():
        for one, other in combinations(range(12), 2):
            assert np.abs(found.signal[one] - found.signal[other]).max() > 10 * loosest
    scaled = _standardised(500, FILES[0], factor=1.02)
    assert np.abs(scaled.signal - arrays[500, FILES[0].name].signal).max() > loosest
