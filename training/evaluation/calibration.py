"""Whether a risk of 10 % means one in ten: groups, LOWESS with bands, Brier, slope, ECE."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ecgbatch.bundle.operating_points import Scope
from training.evaluation.calibrated import (
    FLOOR,
    Groups,
    brier_and_ece,
    groups,
    slope_and_intercept,
    smooth,
)
from training.evaluation.calibration_figures import curve
from training.evaluation.section import Context, Findings, Picture, Table
from training.evaluation.style import named
from training.evaluation.wording import interval, percent, sizes
from training.records import Estimate, Measure, Study, Task
from training.settings.evaluation import BootstrapSettings
from training.statistics.any_vessel import SCOPES, task_of
from training.terms import Quantity

TITLE = "Calibration"
_FEWEST = 10
"""ECGs of the rarer class; with fewer there is nothing to fit."""
_NOTES = (
    "Groups of consecutive ECGs by probability, as published; the curve is LOWESS without robust "
    "steps, its bands (95 and 99 %) are over resampled patients, pointwise.",
    "Slope 1 and intercept 0 are perfect; a slope below 1 means risks too extreme, an intercept "
    "above 0 risks too low. Their intervals are clustered by patient.",
    "The expected calibration error uses tenths of the ECGs by probability with ties together; "
    "it is never negative and is too large for few ECGs.",
    "The maximum of several probabilities is not itself the probability of any of the vessels: "
    "any vessel is expected to be too low.",
)


def examine(context: Context) -> Findings:
    """Calibration of each vessel and of any vessel, over the ECGs with a label."""
    known = {scope: task_of(context.study, scope).known() for scope in SCOPES}
    kept = {scope: task for scope, task in known.items() if _rarer(task) >= _FEWEST}
    measures = [one for scope, task in kept.items() for one in _measures(scope, task, context)]
    return Findings(
        TITLE,
        measures=tuple(measures),
        tables=(_table(context, measures), *_group_tables(context, kept)) if kept else (),
        pictures=tuple(_picture(context, scope, task) for scope, task in kept.items()),
        notes=(*_left_out(context, known, kept), *_clipped(context, kept), *_NOTES),
    )


def in_group(context: Context, group: str, study: Study) -> tuple[Measure, ...]:
    """The numbers of one subgroup, of the scopes with enough ECGs of both classes there."""
    known = {scope: task_of(study, scope).known() for scope in SCOPES}
    return tuple(
        replace(one, group=group)
        for scope, task in known.items()
        if _rarer(task) >= _FEWEST
        for one in _measures(scope, task, context)
    )


def _rarer(task: Task) -> int:
    n_positives = int(task.labels.sum())
    return min(n_positives, len(task.labels) - n_positives)


def _left_out(
    context: Context, known: dict[Scope, Task], kept: dict[Scope, Task]
) -> tuple[str, ...]:
    names = [named(scope, context.study.experimental) for scope in known if scope not in kept]
    if not names:
        return ()
    return (f"Fewer than {_FEWEST} ECGs of the rarer class, not examined: {', '.join(names)}.",)


def _clipped(context: Context, kept: dict[Scope, Task]) -> tuple[str, ...]:
    counts = {
        scope: int(((task.scores < FLOOR) | (task.scores > 1.0 - FLOOR)).sum())
        for scope, task in kept.items()
    }
    return tuple(
        f"{named(scope, context.study.experimental)}: {n} probabilities of 0 or 1 are taken as "
        f"{FLOOR:g} inside for slope and intercept."
        for scope, n in counts.items()
        if n
    )


def _measures(scope: Scope, task: Task, context: Context) -> list[Measure]:
    brier, ece = brier_and_ece(task, context.bootstrap)
    slope, intercept = slope_and_intercept(task)
    found = {
        Quantity.BRIER: brier,
        Quantity.CALIBRATION_SLOPE: slope,
        Quantity.CALIBRATION_INTERCEPT: intercept,
        Quantity.ECE: ece,
    }
    return [
        Measure(scope, quantity, estimate, *sizes(task))
        for quantity, estimate in found.items()
        if estimate is not None
    ]


def _table(context: Context, measures: list[Measure]) -> Table:
    by_scope: dict[str, dict[Quantity, Estimate]] = {}
    counts = {}
    for one in measures:
        by_scope.setdefault(one.scope, {})[one.quantity] = one.estimate
        counts[str(one.scope)] = (one.n, one.n_positives)
    rows = [
        {
            "scope": named(scope, context.study.experimental),
            "ECGs": counts[scope][0],
            "positive": counts[scope][1],
            "slope": interval(of.get(Quantity.CALIBRATION_SLOPE), 2),
            "intercept": interval(of.get(Quantity.CALIBRATION_INTERCEPT), 2),
            "Brier score": interval(of.get(Quantity.BRIER), 4),
            "expected calibration error": percent(of.get(Quantity.ECE)),
        }
        for scope in SCOPES
        if (of := by_scope.get(scope)) is not None
    ]
    note = "A Brier score depends on the prevalence: compare it within a row's task alone."
    return Table("Calibration", pd.DataFrame(rows), note)


def _group_tables(context: Context, kept: dict[Scope, Task]) -> tuple[Table, ...]:
    frames = []
    for scope, task in kept.items():
        found = groups(task, context.settings.group_size)
        frames.append(
            pd.DataFrame(
                {
                    "scope": named(scope, context.study.experimental),
                    "group": np.arange(1, len(found.n) + 1),
                    "ECGs": found.n,
                    "mean probability": found.predicted,
                    "observed share": found.observed,
                }
            )
        )
    whole = pd.concat(frames, ignore_index=True)
    title = f"Groups of {context.settings.group_size} ECGs by probability"
    note = "The report shows the first; all of them are in the table beside it."
    return (Table(title, whole, note, thin=whole.groupby("scope", sort=False).head(3)),)


def _picture(context: Context, scope: Scope, task: Task) -> Picture:
    name = named(scope, context.study.experimental)
    return Picture(
        f"calibration_{scope}".lower(),
        f"Calibration, {name}: dots are groups of {context.settings.group_size} ECGs by "
        "probability, the line is LOWESS with its 95 and 99 % bands, below the distribution of "
        "the probabilities. On the dashed line observed and predicted agree.",
        partial(_draw, context, name, task),
    )


def _draw(context: Context, name: str, task: Task) -> Figure:
    settings = context.settings
    resampling = BootstrapSettings(
        seed=context.bootstrap.seed, n_resamples=settings.lowess_resamples
    )
    found: Groups = groups(task, settings.group_size)
    return curve(context.study, name, task, found, smooth(task, settings.lowess_share, resampling))
