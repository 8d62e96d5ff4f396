"""How far the risk differs between ECGs of one patient for one CCTA."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecgbatch.bundle.operating_points import Scope
from training.evaluation import style
from training.evaluation.section import Context, Findings, Picture, Table
from training.evaluation.wording import NONE, interval, percent, sizes
from training.records import Array, Estimate, Measure, Study, Task
from training.statistics.any_vessel import SCOPES, task_of
from training.statistics.association import agreement_statistic, groups_of, within_statistic
from training.statistics.bootstrap import Statistic, estimate
from training.statistics.decisions import classes
from training.terms import Quantity

_TITLE = "Repeatability"
_NOTES = (
    "ECGs of one patient for one CCTA: most of what differs between them is noise, electrodes and "
    "the patient's state, little of it disease. All of them are used here, the index "
    "ECG too; every other section uses index ECGs alone.",
    "Two ECGs of one patient differ by less than 2.77 standard deviations in 95 % of pairs (Bland "
    "and Altman 1996). A change of stratum between two ECGs is no sign of a change of disease.",
)


@dataclass(frozen=True, slots=True)
class _Agreement:
    """Of one scope; None where it is undefined or there are no cuts."""

    scope: Scope
    task: Task = field(repr=False)
    probability: Estimate | None
    logit: Estimate | None
    same_stratum: Estimate | None


def examine(context: Context) -> Findings:
    """Standard deviation within patients of probability and logit; pairs in the same stratum."""
    if context.repeats is None:
        return Findings(_TITLE, notes=("There are no ECGs beside the index ECGs.",))
    groups = groups_of(context.repeats.patients, _occasions(context.repeats))
    rows = np.flatnonzero(groups >= 0)
    if len(rows) == 0:
        return Findings(_TITLE, notes=("No patient has two ECGs for one CCTA of known date.",))
    study, groups = context.repeats.at(rows), groups[rows]
    found = [_agreement(context, study, groups, scope) for scope in SCOPES]
    caption = (
        "Difference between two successive ECGs of one patient for one CCTA against their mean "
        "(Bland and Altman 1986). Lines: 0, and the 95 % limits of agreement, 1.96 x sqrt(2) "
        "standard deviations within a patient."
    )
    return Findings(
        title=_TITLE,
        measures=tuple(one for agreement in found for one in _measures(agreement)),
        tables=(_table(study, groups, found),),
        pictures=(Picture("repeatability", caption, lambda: _draw(study, groups, found)),),
        notes=_NOTES,
    )


def _occasions(study: Study) -> list[object]:
    dates = study.covariates["ccta_at"]
    return [None if pd.isna(date) else date for date in dates]


def _agreement(
    context: Context, study: Study, groups: NDArray[np.int64], scope: Scope
) -> _Agreement:
    task = task_of(study, scope)

    def estimated(statistic: Statistic) -> Estimate | None:
        return estimate(statistic, study.patients, context.bootstrap)

    logits = _logits(task.scores)
    cuts = context.cuts.get(scope)
    return _Agreement(
        scope=scope,
        task=task,
        probability=estimated(within_statistic(task.scores, groups)),
        logit=None if logits is None else estimated(within_statistic(logits, groups)),
        same_stratum=None
        if cuts is None
        else estimated(agreement_statistic(classes(task.scores, cuts), groups)),
    )


def _logits(scores: Array) -> Array | None:
    """None where a probability is 0 or 1, which an isotonic calibrator gives."""
    if ((scores <= 0.0) | (scores >= 1.0)).any():
        return None
    found: Array = np.log(scores) - np.log1p(-scores)
    return found


def _measures(one: _Agreement) -> list[Measure]:
    _, n_positives = sizes(one.task)
    numbers = (
        (Quantity.REPEATABILITY, one.probability),
        (Quantity.REPEATABILITY_LOGIT, one.logit),
        (Quantity.SAME_STRATUM, one.same_stratum),
    )
    return [
        Measure(one.scope, quantity, estimate, len(one.task.labels), n_positives)
        for quantity, estimate in numbers
        if estimate is not None
    ]


def _table(study: Study, groups: NDArray[np.int64], found: list[_Agreement]) -> Table:
    n_groups, n_patients = int(groups.max()) + 1, len(set(study.patients))
    rows = [
        {
            "": style.named(one.scope, study.experimental),
            "SD of the probability": interval(one.probability),
            "two ECGs differ by less than": (
                NONE if one.probability is None else f"{_limit(one.probability):.3f}"
            ),
            "SD of the logit": interval(one.logit),
            "pairs in the same stratum": percent(one.same_stratum),
        }
        for one in found
    ]
    note = (
        f"{len(study):,} ECGs for {n_groups:,} CCTA of {n_patients:,} patients. "
        "95 % intervals over resampled patients. No logit where a probability is 0 or 1."
    )
    return Table(style.titled(study, _TITLE), pd.DataFrame(rows), note)


def _limit(deviation: Estimate) -> float:
    """Of the difference of two ECGs, in 95 % of pairs."""
    return float(1.96 * np.sqrt(2.0) * deviation.value)


@style.styled
def _draw(study: Study, groups: NDArray[np.int64], found: list[_Agreement]) -> Figure:
    first, second = _successive(study, groups)
    figure, panels = style.sheet(study, _TITLE, 2, 3, height=5.4)
    panels[-1].set_visible(False)
    for panel, one in zip(panels, found, strict=False):
        _panel(panel, one, first, second)
        panel.set_title(
            f"{style.named(one.scope, study.experimental)}\n{len(first):,} pairs", fontsize=8.5
        )
    return figure


def _successive(
    study: Study, groups: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of ECGs that follow each other in one group, by their date, else as they stand."""
    dates = study.covariates["ecg_at"].to_numpy(dtype="datetime64[s]").astype(np.int64)
    order = np.lexsort((dates, groups))
    is_pair = groups[order][1:] == groups[order][:-1]
    return order[:-1][is_pair], order[1:][is_pair]


def _panel(
    panel: Axes, one: _Agreement, first: NDArray[np.int64], second: NDArray[np.int64]
) -> None:
    scores = one.task.scores
    mean, difference = (scores[first] + scores[second]) / 2, scores[second] - scores[first]
    size = 9.0 if len(first) < 500 else 3.0
    panel.scatter(
        mean, difference, s=size, alpha=0.45, linewidths=0, color=style.SCOPE_COLOURS[one.scope]
    )
    panel.axhline(0.0, color=style.GREY, linewidth=0.9)
    if one.probability is not None:
        for side in (-1.0, 1.0):
            panel.axhline(side * _limit(one.probability), color=style.BLACK, linestyle="--")
    panel.set_xlabel("mean probability")
    panel.set_ylabel("second less first")
