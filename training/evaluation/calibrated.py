"""How far probabilities agree with what was found: groups, smooth curve, Brier, slope, ECE."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import statsmodels.api as sm
from scipy.stats import norm
from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

from training.records import Array, Estimate, Rows, Task
from training.settings.evaluation import BootstrapSettings
from training.statistics.bootstrap import Statistic, divided, estimates, joined, resampled

N_BINS = 10
"""Of the expected calibration error: tenths of the ECGs by probability, ties together."""
N_GRID = 100
FLOOR = 1e-6
"""A probability of 0 or 1 has no logit; for slope and intercept it is this far inside."""
_COVERAGES = (0.95, 0.99)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Consecutive ECGs by probability: mean probability and observed share; (G,) each."""

    predicted: Array = field(repr=False)
    observed: Array = field(repr=False)
    n: Rows = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Smooth:
    """LOWESS of the labels on the probability.

    Attributes:
        x, y: (K,). bands: coverage to lower and upper edge, (K,) each; NaN at places that fewer
            than half of the resamples reach.
    """

    x: Array = field(repr=False)
    y: Array = field(repr=False)
    bands: dict[float, tuple[Array, Array]] = field(repr=False)


def groups(task: Task, size: int) -> Groups:
    """Groups of `size` ECGs in the order of their probability; the last takes the remainder.

    Args:
        task: with labels throughout.
    """
    order = np.argsort(task.scores, kind="stable")
    starts = np.arange(0, max(len(order) - size + 1, 1), size)
    n = np.diff([*starts, len(order)])
    return Groups(
        np.add.reduceat(task.scores[order], starts) / n,
        np.add.reduceat(task.labels[order], starts) / n,
        n,
    )


def smooth(task: Task, share: float, bootstrap: BootstrapSettings) -> Smooth:
    """LOWESS of statsmodels without its robust steps, with bands over resampled patients.

    The robust steps weigh down large residuals; of a rare 0/1 label these are the positives.
    Source: Cleveland 1979; for calibration Austin and Steyerberg 2014.

    Args:
        task: with labels throughout. share: of the ECGs, behind each point of the curve.
    """
    x = np.linspace(task.scores.min(), task.scores.max(), N_GRID)
    drawn = np.stack(
        [
            _lowess(task.labels[rows], task.scores[rows], share, x)
            for rows in resampled(task.patients, bootstrap)
        ]
    )
    is_reached = np.isfinite(drawn).mean(axis=0) >= 0.5
    bands = {}
    for coverage in _COVERAGES:
        low, high = np.full((2, N_GRID), np.nan)
        tail = (1.0 - coverage) / 2.0
        if is_reached.any():
            low[is_reached], high[is_reached] = np.nanquantile(
                drawn[:, is_reached], (tail, 1.0 - tail), axis=0
            )
        bands[coverage] = (low, high)
    return Smooth(x, _lowess(task.labels, task.scores, share, x), bands)


def _lowess(labels: Array, scores: Array, share: float, x: Array) -> Array:
    """(K,), NaN outside of the scores and where all neighbours share one score."""
    with np.errstate(invalid="ignore", divide="ignore"):
        y = sm.nonparametric.lowess(labels, scores, frac=share, it=0, xvals=x)
    inside = (x >= scores.min()) & (x <= scores.max())
    return np.where(inside, np.clip(y, 0.0, 1.0), np.nan)


def brier_and_ece(
    task: Task, bootstrap: BootstrapSettings
) -> tuple[Estimate | None, Estimate | None]:
    """Brier score and expected calibration error, intervals over resampled patients.

    ECE: mean over the bins, weighted by their ECGs, of |observed share - mean probability|. The
    bins are tenths of the ECGs by probability and stay as they are in each resample; ties stay
    together. It is never negative, and of few ECGs too large even where calibration is perfect.

    Args:
        task: with labels throughout.
    """
    brier, ece = estimates(joined(_brier(task), _ece(task)), task.patients, bootstrap)
    return brier, ece


def _brier(task: Task) -> Statistic:
    squares = (task.scores - task.labels) ** 2

    def of(counts: Array) -> Array:
        return divided(counts @ squares[:, np.newaxis], counts.sum(axis=1, keepdims=True))

    return of


def bins(scores: Array) -> Rows:
    """(N,) the bin of each probability, from 0; fewer than N_BINS where many are tied."""
    edges = np.unique(np.quantile(scores, np.linspace(0.0, 1.0, N_BINS + 1)[1:-1]))
    return np.searchsorted(edges, scores, side="right").astype(np.int64)


def _ece(task: Task) -> Statistic:
    differences = np.zeros((len(task.scores), N_BINS))
    differences[np.arange(len(task.scores)), bins(task.scores)] = task.labels - task.scores

    def of(counts: Array) -> Array:
        summed: Array = np.abs(counts @ differences).sum(axis=1, keepdims=True)
        return divided(summed, counts.sum(axis=1, keepdims=True))

    return of


def slope_and_intercept(task: Task) -> tuple[Estimate | None, Estimate | None]:
    """Calibration slope, and the intercept at slope 1 (calibration in the large).

    Logistic regression of the label on the logit of the probability, for the intercept with the
    logit as offset. 1 and 0 are perfect. Intervals from the covariance clustered by patient.
    Source: Cox 1958; Steyerberg, Clinical Prediction Models, chapter 15.

    Args:
        task: with labels throughout, both classes present.

    Returns:
        None where it has no finite estimate: one probability for all, or classes that separate.
    """
    p = np.clip(task.scores, FLOOR, 1.0 - FLOOR)
    logit = np.log(p) - np.log1p(-p)
    ones = np.ones((len(p), 1))
    slope = None
    if np.ptp(logit) > 0.0 and not _separate(task.labels, logit):
        slope = _coefficient(task, np.column_stack([ones, logit]), offset=None)
    return slope, _coefficient(task, ones, offset=logit)


def _separate(labels: Array, logit: Array) -> bool:
    """Whether a threshold parts the classes, in either order: no finite slope exists."""
    positive, negative = logit[labels == 1], logit[labels == 0]
    return bool(negative.max() <= positive.min() or positive.max() <= negative.min())


def _coefficient(task: Task, design: Array, offset: Array | None) -> Estimate | None:
    """The last coefficient of a logistic regression."""
    codes = np.unique(np.asarray(task.patients, dtype=str), return_inverse=True)[1]
    if not codes.any():
        return None  # of one patient nothing is seen of the variance between patients
    model = sm.GLM(task.labels, design, family=sm.families.Binomial(), offset=offset)
    # A weight of 0 at a fitted probability of 0 or 1 shows in the result: not finite.
    with warnings.catch_warnings(), np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        warnings.simplefilter("error", PerfectSeparationWarning)
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            fitted = model.fit(cov_type="cluster", cov_kwds={"groups": codes})
        except (PerfectSeparationWarning, ConvergenceWarning, np.linalg.LinAlgError, ValueError):
            return None
    value, se = float(fitted.params[-1]), float(np.sqrt(fitted.cov_params()[-1, -1]))
    if not np.isfinite([value, se]).all():
        return None
    half = float(norm.ppf(0.975)) * se
    return Estimate(value, value - half, value + half)
