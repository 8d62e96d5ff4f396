"""Agreement and shift with intervals that know that one patient's ECGs are alike. Pure functions.

`clusters` is one integer per ECG, the same for ECGs of one patient. Intervals are of 95 %.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_CONFIDENCE = 0.95

Values = NDArray[np.float64]
Clusters = NDArray[np.int64]
Interval = tuple[float, float]


def wilson(share: float, n: float) -> Interval:
    """Wilson's score interval of a share of `n` observations; `n` > 0 need not be whole."""
    z = float(stats.norm.ppf((1 + _CONFIDENCE) / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def effective_number(values: Values, clusters: Clusters) -> float:
    """How many independent ECGs tell as much of the mean as these do; never more than there are.

    The number over the design effect: the variance of the mean with the patients as units, over
    that with the ECGs as units. Where all values are equal the number of patients, as if the ECGs
    of each were one.
    """
    n, n_patients = values.size, np.unique(clusters).size
    if n_patients == n:
        return float(n)
    plain = float(np.var(values, ddof=1)) / n
    clustered = _variance_of_mean(values, clusters)
    if plain == 0 or clustered is None:
        return float(n_patients)
    return n / max(1.0, clustered / plain)


def share_interval(is_so: NDArray[np.bool_], clusters: Clusters) -> Interval | None:
    """Wilson's interval of the share of True, with the effective number; None without ECGs."""
    if is_so.size == 0:
        return None
    return wilson(float(is_so.mean()), effective_number(is_so.astype(np.float64), clusters))


def mean_interval(values: Values, clusters: Clusters) -> Interval | None:
    """Interval of a mean, patients as units (cluster-robust, t with one less than patients).

    None with fewer than two patients.
    """
    variance = _variance_of_mean(values, clusters)
    if variance is None:
        return None
    freedom = np.unique(clusters).size - 1
    half = float(stats.t.ppf((1 + _CONFIDENCE) / 2, freedom)) * math.sqrt(variance)
    mean = float(values.mean())
    return mean - half, mean + half


def kappa(counts: NDArray[np.int64]) -> float | None:
    """Cohen's kappa of a square table (champion in rows); None if chance alone would agree."""
    total = counts.sum()
    if total == 0:
        return None
    observed = np.trace(counts) / total
    expected = float(counts.sum(axis=1) @ counts.sum(axis=0)) / total**2
    return None if expected == 1 else float((observed - expected) / (1 - expected))


def _variance_of_mean(values: Values, clusters: Clusters) -> float | None:
    known, place = np.unique(clusters, return_inverse=True)
    if known.size < 2:
        return None
    sums = np.bincount(place, weights=values - values.mean())
    correction = known.size / (known.size - 1)
    return float(correction * np.square(sums).sum() / values.size**2)
