"""The same waveform in any two formats, sampling frequencies and lead orders: the same array.

What may differ: the rounding of each file to its own step, which the derivation of a limb lead
and the resampling filter can amplify, and the filter's ripple.
"""

from itertools import combinations

import numpy as np
import pytest
from equivalent_files import FILES, RATES, Written, waveform
from numpy.typing import NDArray

from ecgbatch.convert import standardise
from ecgbatch.isolation.here import decode_here
from ecgbatch.settings import load_settings

RIPPLE_MV = 0.0002
"""The anti-aliasing filter is flat to 80 dB: 0.0001 of the waveform's 2.7 mV, and less."""
ROUNDING = 1.5
"""Steps. Half a step is a file's rounding; deriving III = II - I doubles it, the filter adds."""

CASES = [(rate, written) for written in FILES for rate in RATES]
Arrays = dict[tuple[int, str], NDArray[np.float32]]


def _array(rate: int, written: Written, factor: float = 1.0) -> NDArray[np.float32]:
    source = written.write(waveform(rate) * factor, rate, written.leads, written.step_mv)
    return standardise(source, decode_here, load_settings(environment={}), strict=False).signal


def _limit_mv(*files: Written) -> float:
    return RIPPLE_MV + ROUNDING * sum(written.step_mv for written in files)


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return {(rate, written.name): _array(rate, written) for rate, written in CASES}


@pytest.mark.parametrize(("rate", "written"), CASES, ids=[f"{w.name} {r}" for r, w in CASES])
def test_file_becomes_the_waveform_itself_at_500_hz(
    rate: int, written: Written, arrays: Arrays
) -> None:
    found = arrays[rate, written.name]
    assert (found.shape, found.dtype) == ((12, 5000), np.dtype(np.float32))
    error = np.abs(found - waveform(500)[:, :5000]).max()
    assert error <= _limit_mv(written)


def test_any_two_files_become_the_same_array(arrays: Arrays) -> None:
    differing = [
        (one, other)
        for (rate, one), (rate_2, other) in combinations(CASES, 2)
        if np.abs(arrays[rate, one.name] - arrays[rate_2, other.name]).max() > _limit_mv(one, other)
    ]
    assert not differing


def test_tolerance_is_too_narrow_for_two_leads_that_are_swapped_or_a_gain_of_two_percent(
    arrays: Arrays,
) -> None:
    loosest = _limit_mv(*sorted(FILES, key=lambda written: written.step_mv)[-2:])
    for found in arrays.values():
        for one, other in combinations(range(12), 2):
            assert np.abs(found[one] - found[other]).max() > 10 * loosest
    written = FILES[0]
    scaled = _array(500, written, factor=1.02)
    assert np.abs(scaled - arrays[500, written.name]).max() > loosest
