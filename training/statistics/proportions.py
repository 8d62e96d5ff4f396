"""Sensitivity, specificity, predictive values and likelihood ratios at a cut, with intervals.

Every proportion here has one kind of interval: Wilson's, on the number of ECGs that the patients
are worth. The percentile bootstrap is not used for them: where no positive lies below the low cut
each resample says 100 %, and the interval would have no width where it matters most.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from training.records import Estimate, Rows, Task

_Z = float(norm.ppf(0.975))
Flags = NDArray[np.bool_]


def proportion(hits: Flags, members: Flags, patients: Sequence[str] | Rows) -> Estimate | None:
    """Share of the members that are hits; None where there are no members.

    Wilson's score interval (1927) on the effective number of members: that number of independent
    ones would give the variance between patients that is seen (linearised ratio estimator,
    Cochran 1977; the design effect in Wilson's interval after Saha, Miller and Wang 2016). Where
    each patient counts once it is Wilson's interval as it stands. Where all are hits, or none is,
    no variance is seen: then each patient counts as one.

    Args:
        hits, members: (N,). patients: (N,) names, or numbers in their place.
    """
    n = int(members.sum())
    if n == 0:
        return None
    share = float((hits & members).sum()) / n
    return wilson(share, _effective(hits[members], np.asarray(patients)[members]))


def _effective(hits: Flags, patients: NDArray[Any]) -> float:
    """Between the number of patients that are alike and the number of ECGs that differ."""
    n = len(hits)
    unique, of_row = np.unique(patients, return_inverse=True)
    n_patients = len(unique)
    if n_patients == n:
        return float(n)
    share = hits.mean()
    residuals = np.bincount(of_row, weights=hits - share, minlength=n_patients)
    if n_patients == 1 or share in (0.0, 1.0) or not residuals.any():
        return float(n_patients)
    variance = n_patients / (n_patients - 1) * float(residuals @ residuals) / n**2
    # A patient's ECGs that repel each other do not make more of them than there are.
    return min(float(n), float(share * (1.0 - share)) / variance)


def wilson(share: float, n: float) -> Estimate:
    """Wilson's 95 % score interval of a share of n; n need not be whole."""
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Estimate(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def complement(estimate: Estimate | None) -> Estimate | None:
    """1 - a share: its interval turned round; None for None."""
    return None if estimate is None else inverse(estimate)


def inverse(estimate: Estimate) -> Estimate:
    """1 - a share that is defined."""
    return Estimate(1.0 - estimate.value, 1.0 - estimate.high, 1.0 - estimate.low)


def sensitivity(task: Task, cut: float) -> Estimate | None:
    """Share of the positives at or above the cut. Missing labels are left out, here as below."""
    known = task.known()
    return proportion(known.scores >= cut, known.labels == 1, known.patients)


def specificity(task: Task, cut: float) -> Estimate | None:
    """Share of the negatives below the cut."""
    known = task.known()
    return proportion(known.scores < cut, known.labels == 0, known.patients)


def ppv(task: Task, cut: float) -> Estimate | None:
    """Share of positives among those at or above the cut, at the prevalence of these data."""
    known = task.known()
    return proportion(known.labels == 1, known.scores >= cut, known.patients)


def npv(task: Task, cut: float) -> Estimate | None:
    """Share of negatives among those below the cut, at the prevalence of these data."""
    known = task.known()
    return proportion(known.labels == 0, known.scores < cut, known.patients)


def prevalence(task: Task) -> Estimate | None:
    """Share of positives among the ECGs with a label."""
    known = task.known()
    return proportion(known.labels == 1, np.ones(len(known.labels), dtype=bool), known.patients)


def lr_positive(task: Task, cut: float) -> Estimate | None:
    """Sensitivity / (1 - specificity); None where no negative is at or above the cut."""
    return quotient(sensitivity(task, cut), complement(specificity(task, cut)))


def lr_negative(task: Task, cut: float) -> Estimate | None:
    """(1 - sensitivity) / specificity; None where no negative is below the cut."""
    return quotient(complement(sensitivity(task, cut)), specificity(task, cut))


def quotient(above: Estimate | None, below: Estimate | None) -> Estimate | None:
    """The ratio of two independent shares, its interval from theirs; None where it is unbounded.

    Method of variance estimates recovery for ratios (Donner and Zou 2012): it keeps a width
    where a share is 0 or 1, which the bootstrap and the delta method do not.
    """
    if above is None or below is None or below.value <= 0.0 or below.low <= 0.0:
        return None
    value = above.value / below.value
    low = _lower_limit(above, below)
    high = _upper_limit(above, below)
    return Estimate(value, min(low, value), max(high, value)) if math.isfinite(high) else None


def _lower_limit(above: Estimate, below: Estimate) -> float:
    """The smaller root of `b x^2 - 2 above below x + a = 0`, written so that b may be 0."""
    product = above.value * below.value
    if product == 0.0:
        return 0.0
    a = above.low * (2 * above.value - above.low)
    b = below.high * (2 * below.value - below.high)
    return a / (product + math.sqrt(max(0.0, product**2 - a * b)))


def _upper_limit(above: Estimate, below: Estimate) -> float:
    """The larger root, from the opposite limits."""
    product = above.value * below.value
    a = above.high * (2 * above.value - above.high)
    b = below.low * (2 * below.value - below.low)
    return (product + math.sqrt(max(0.0, product**2 - a * b))) / b


def ppv_at(task: Task, cut: float, stated: float) -> Estimate | None:
    """PPV by Bayes at a stated prevalence; rises with LR+, so that its interval comes from it."""
    ratio = lr_positive(task, cut)
    return None if ratio is None else _mapped(ratio, lambda lr: _posterior(stated, lr))


def npv_at(task: Task, cut: float, stated: float) -> Estimate | None:
    """NPV by Bayes at a stated prevalence; falls with LR-, so that its interval is turned."""
    ratio = lr_negative(task, cut)
    return complement(None if ratio is None else _mapped(ratio, lambda lr: _posterior(stated, lr)))


def _posterior(stated: float, lr: float) -> float:
    return stated * lr / (stated * lr + 1.0 - stated)


def _mapped(estimate: Estimate, rising: Callable[[float], float]) -> Estimate:
    return Estimate(rising(estimate.value), rising(estimate.low), rising(estimate.high))
