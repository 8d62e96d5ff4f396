"""Intervals over resampled patients: each patient is drawn with all its ECGs."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from training.records import Array, Estimate, Rows
from training.settings.evaluation import BootstrapSettings

Statistic = Callable[[Array], Array]
"""How often each ECG counts, (B, N), to B times K values, (B, K); NaN where one is undefined.

A resample of patients is a whole number per ECG: how often its patient was drawn. So one sort
serves every resample, and all of them go through in a few matrix operations.
"""

_COVERAGE = 0.95
_NUMBERS_AT_ONCE = 2_000_000


def each_counts_once(patients: Sequence[str]) -> bool:
    """Whether no patient has more than one ECG here."""
    return len(set(patients)) == len(patients)


def estimate(
    statistic: Statistic, patients: Sequence[str], bootstrap: BootstrapSettings
) -> Estimate | None:
    """The first value of a statistic with its percentile interval; None where undefined."""
    return estimates(statistic, patients, bootstrap)[0]


def estimates(
    statistic: Statistic, patients: Sequence[str], bootstrap: BootstrapSettings
) -> tuple[Estimate | None, ...]:
    """Every value of a statistic, all from the same resamples.

    The 95 % interval is the percentile interval of Efron (1981), over patients (Field and
    Welsh 2007). Resamples without a value are left out, infinite ones are not. An interval that
    is not bounded is no estimate: None. The value always lies within its interval.

    Args:
        patients: (N,) who each ECG is of.
    """
    values, low, high = band(statistic, patients, bootstrap)
    return tuple(
        Estimate(float(value), float(least), float(most))
        if np.isfinite([least, most]).all()
        else None
        for value, least, most in zip(values, low, high, strict=True)
    )


def band(
    statistic: Statistic, patients: Sequence[str], bootstrap: BootstrapSettings
) -> tuple[Array, Array, Array]:
    """As `estimates`, for a curve: value, low and high, (K,) each, NaN where undefined."""
    values = at_once(statistic, len(patients))
    drawn = replicates(statistic, patients, bootstrap)
    low, high = percentiles(drawn)
    return values, np.minimum(low, values), np.maximum(high, values)


def at_once(statistic: Statistic, n: int) -> Array:
    """(K,): the values on the ECGs as they are, each counted once; NaN where undefined."""
    values: Array = statistic(np.ones((1, n)))[0]
    return values


def replicates(
    statistic: Statistic, patients: Sequence[str], bootstrap: BootstrapSettings
) -> Array:
    """(n_resamples, K): the values on each resample."""
    return np.concatenate([statistic(block) for block in weights(patients, bootstrap)])


def percentiles(drawn: Array) -> tuple[Array, Array]:
    """The 2.5th and 97.5th percentile of each column, leaving NaN out; NaN where nothing is left.

    Args:
        drawn: (R, K).
    """
    tail = (1.0 - _COVERAGE) / 2.0
    found = np.full((2, drawn.shape[1]), np.nan)
    for column in range(drawn.shape[1]):
        known = drawn[~np.isnan(drawn[:, column]), column]
        if len(known):
            # Between two infinite values the interpolation has no value: an unbounded interval.
            with np.errstate(invalid="ignore"):
                found[:, column] = np.quantile(known, (tail, 1.0 - tail))
    return found[0], found[1]


def weights(patients: Sequence[str], bootstrap: BootstrapSettings) -> Iterator[Array]:
    """How often each ECG counts: blocks (B, N) of whole numbers, n_resamples rows in all."""
    unique, of_row = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    size = max(1, _NUMBERS_AT_ONCE // max(1, len(of_row)))
    block: list[NDArray[np.int64]] = []
    for times in _drawn(len(unique), bootstrap):
        block.append(times)
        if len(block) == size:
            yield np.stack(block).astype(np.float64)[:, of_row]
            block = []
    if block:
        yield np.stack(block).astype(np.float64)[:, of_row]


def resampled(patients: Sequence[str], bootstrap: BootstrapSettings) -> Iterator[Rows]:
    """Rows of each resample, for statistics that take no weights; the same draws as `weights`."""
    unique, of_row = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    rows = np.arange(len(of_row))
    for times in _drawn(len(unique), bootstrap):
        yield np.repeat(rows, times[of_row])


def _drawn(n_patients: int, bootstrap: BootstrapSettings) -> Iterator[NDArray[np.int64]]:
    """How often each patient is drawn: as many draws as there are patients."""
    rng = np.random.default_rng(bootstrap.seed)
    for _ in range(bootstrap.n_resamples):
        drawn = rng.integers(0, n_patients, size=n_patients) if n_patients else np.zeros(0, int)
        yield np.bincount(drawn, minlength=n_patients)


def joined(*statistics: Statistic) -> Statistic:
    """Several statistics of the same ECGs as one, their values side by side."""

    def all_of(counts: Array) -> Array:
        return np.concatenate([statistic(counts) for statistic in statistics], axis=1)

    return all_of


def ratio(above: Array, below: Array) -> Statistic:
    """Weighted sums over the ECGs, one over the other: every proportion at a cut is one.

    Args:
        above, below: (N,) or (N, K) numbers per ECG. For a sensitivity: positive and at or above
            the cut; positive.
    """
    numerator = np.asarray(above, dtype=np.float64).reshape(len(above), -1)
    denominator = np.asarray(below, dtype=np.float64).reshape(len(below), -1)

    def of(counts: Array) -> Array:
        return divided(counts @ numerator, counts @ denominator)

    return of


def divided(numerator: Array, denominator: Array) -> Array:
    """NaN for 0 / 0, infinite for anything else over 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.divide(numerator, denominator)
    return found
