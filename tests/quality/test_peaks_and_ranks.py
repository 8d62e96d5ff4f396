"""Own peaks, medians and percentiles against scipy's and numpy's; the bounds against the truth."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import signal as scipy_signal

from ecgbatch.quality.peaks import find_peaks
from ecgbatch.quality.ranks import median, percentile
from ecgbatch.quality.spectrum import Spectrum
from ecgbatch.records import Millivolts

# Few values make plateaus and equally high peaks, many make neither.
_VALUES = st.one_of(st.integers(0, 3).map(float), st.floats(-1e3, 1e3))
_CURVES = arrays(np.float64, st.integers(0, 120), elements=_VALUES)


@settings(max_examples=300, deadline=None)
@given(curve=_CURVES, distance=st.integers(1, 40))
def test_peaks_are_those_of_scipy(curve: Millivolts, distance: int) -> None:
    expected, _ = scipy_signal.find_peaks(curve, distance=distance)

    np.testing.assert_array_equal(find_peaks(curve, distance), expected)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 15, 64, 65, 66, 999, 1000])
def test_median_and_percentile_are_numpys_to_the_bit(size: int) -> None:
    rng = np.random.default_rng(size)
    values = np.round(rng.standard_normal((3, size)), 2) * rng.choice([1e-3, 1.0, 1e3], (3, 1))

    np.testing.assert_array_equal(median(values), np.median(values, axis=-1))
    for percent in (0.0, 50.0, 99.0, 99.5):
        np.testing.assert_array_equal(
            percentile(values, percent), np.percentile(values, percent, axis=-1)
        )


@settings(max_examples=30, deadline=None)
@given(
    n_samples=st.integers(1000, 3001),
    rate=st.sampled_from([250.0, 300.0, 500.0]),
    seed=st.integers(0, 1000),
)
def test_spectral_bounds_hold_and_the_half_band_is_every_other_sample(
    n_samples: int, rate: float, seed: int
) -> None:
    signal = np.random.default_rng(seed).standard_normal((4, n_samples))
    spectrum = Spectrum.of(signal, rate)
    rows = np.array([0, 2])

    band, _ = spectrum.band(35.0, 150.0, at_hz=300.0, rows=rows)
    half = spectrum.half_band(35.0, 150.0, at_hz=300.0, rows=rows, without_hz=())
    least = spectrum.squared_differences(40.0)
    power = spectrum.power[:, spectrum.between(0.5, 20.0)].sum(axis=1)

    np.testing.assert_allclose(half, band[:, ::2], atol=1e-12)
    most = spectrum.most_in_band(35.0, 150.0)[rows]
    assert (np.square(band).mean(axis=1) <= most * (1 + 1e-9)).all()
    for one in range(4):
        variances = (signal - signal[one]).var(axis=1)
        assert (least[one] <= variances * (1 + 1e-9) + 1e-12).all()
    np.testing.assert_allclose(spectrum.power_between(0.5, 20.0), power, rtol=1e-12)


def test_checks_do_not_import_scipy() -> None:
    code = "import sys, ecgbatch.quality.checks as c; sys.exit('scipy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
