"""How well the risks rank: AUROC and AUPRC per vessel, any vessel and their mean."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from ecgbatch.bundle.operating_points import Scope
from ecgbatch.terms import Vessel
from training.evaluation import discrimination_figures, style
from training.evaluation.section import Context, Findings, Picture, Table
from training.evaluation.wording import interval, percent, sizes
from training.records import Array, Estimate, Measure, Study, Task
from training.settings.evaluation import BootstrapSettings
from training.statistics.any_vessel import SCOPES, counted, task_of
from training.statistics.auc import areas_statistic, delong, has_both_classes
from training.statistics.bootstrap import at_once, joined, percentiles, replicates
from training.statistics.proportions import prevalence
from training.terms import Quantity

AreaScope = Scope | Literal["macro"]
MACRO: Literal["macro"] = "macro"


@dataclass(frozen=True, slots=True)
class Ranking:
    """How one scope ranks in one group; the areas are None where they are undefined.

    Attributes:
        delong: AUROC with DeLong's interval, where each patient counts once.
    """

    scope: AreaScope
    n: int
    n_positives: int
    auroc: Estimate | None
    auprc: Estimate | None
    prevalence: Estimate | None = None
    delong: Estimate | None = field(default=None, repr=False)


def examine(context: Context) -> Findings:
    """AUROC and AUPRC with intervals over patients; ROC and precision-recall curves."""
    study = context.study
    found = rankings(study, context.bootstrap)
    drawn = {
        scope: task_of(study, scope).known()
        for scope in SCOPES
        if has_both_classes(task_of(study, scope).labels)
    }
    return Findings(
        title="Discrimination",
        measures=measures(found),
        tables=(_table(study, found),),
        pictures=_pictures(context, drawn, found),
        notes=_notes(study, found),
    )


def rankings(study: Study, bootstrap: BootstrapSettings) -> tuple[Ranking, ...]:
    """Every scope and the macro mean, all from the same resamples of the study's patients."""
    tasks = {scope: task_of(study, scope) for scope in SCOPES}
    ranked = [scope for scope in SCOPES if has_both_classes(tasks[scope].labels)]
    areas = _areas(study, [tasks[scope] for scope in ranked], bootstrap, _macro(study, ranked))
    found = [_ranking(scope, tasks[scope], areas, ranked) for scope in SCOPES]
    if areas and _macro(study, ranked):
        first = task_of(study, "any_vessel")
        found.append(Ranking(MACRO, *sizes(first), *areas[-1]))
    return tuple(found)


def _macro(study: Study, ranked: list[Scope]) -> list[int]:
    """Places among the ranked scopes of those whose areas are averaged."""
    vessels = {list(Vessel)[column] for column in counted(study.experimental)}
    return [place for place, scope in enumerate(ranked) if scope in vessels]


def _areas(
    study: Study, tasks: list[Task], bootstrap: BootstrapSettings, averaged: list[int]
) -> list[tuple[Estimate | None, Estimate | None]]:
    """AUROC and AUPRC of each task, then their means over the averaged ones."""
    if not tasks:
        return []
    statistic = joined(*(areas_statistic(task.labels, task.scores) for task in tasks))
    values = _with_mean(at_once(statistic, len(study))[None], averaged)[0]
    low, high = percentiles(_with_mean(replicates(statistic, study.patients, bootstrap), averaged))
    flat = [_estimate(*numbers) for numbers in zip(values, low, high, strict=True)]
    return list(zip(flat[0::2], flat[1::2], strict=True))


def _with_mean(areas: Array, averaged: list[int]) -> Array:
    """(B, 2K) -> (B, 2K + 2); a resample in which one of the averaged is undefined has no mean."""
    by_task = areas.reshape(len(areas), -1, 2)
    mean = by_task[:, averaged].mean(axis=1) if averaged else np.full((len(areas), 2), np.nan)
    return np.concatenate([areas, mean], axis=1)


def _estimate(value: float, low: float, high: float) -> Estimate | None:
    if not np.isfinite([value, low, high]).all():
        return None
    return Estimate(float(value), min(float(low), float(value)), max(float(high), float(value)))


def _ranking(
    scope: Scope,
    task: Task,
    areas: list[tuple[Estimate | None, Estimate | None]],
    ranked: list[Scope],
) -> Ranking:
    if scope not in ranked:
        return Ranking(scope, *sizes(task), None, None, prevalence(task))
    auroc, auprc = areas[ranked.index(scope)]
    return Ranking(scope, *sizes(task), auroc, auprc, prevalence(task), delong(task))


def measures(found: tuple[Ranking, ...], group: str = "overall") -> tuple[Measure, ...]:
    """What is defined, as measures."""
    return tuple(
        Measure(one.scope, quantity, estimate, one.n, one.n_positives, group)
        for one in found
        for quantity, estimate in (
            (Quantity.AUROC, one.auroc),
            (Quantity.AUPRC, one.auprc),
            (Quantity.PREVALENCE, one.prevalence),
        )
        if estimate is not None
    )


def shown(scope: AreaScope, study: Study) -> str:
    """A scope as a reader sees it; the macro mean too."""
    return "macro mean" if scope == MACRO else style.named(scope, study.experimental)


def _table(study: Study, found: tuple[Ranking, ...]) -> Table:
    rows = [
        {
            "": shown(one.scope, study),
            "n": f"{one.n:,}",
            "positive": f"{one.n_positives:,}",
            "prevalence": percent(one.prevalence),
            "AUROC": interval(one.auroc),
            "AUROC, DeLong": interval(one.delong),
            "AUPRC": interval(one.auprc),
        }
        for one in found
    ]
    note = (
        "95 % intervals over resampled patients; DeLong's only where each patient counts once. "
        "AUPRC is to be read against the prevalence, which chance reaches. The macro mean is over "
        "the vessels that are not experimental and have both classes; its n is any vessel's."
    )
    return Table(style.titled(study, "AUROC and AUPRC"), pd.DataFrame(rows), note)


def _pictures(
    context: Context, tasks: dict[Scope, Task], found: tuple[Ranking, ...]
) -> tuple[Picture, ...]:
    if not tasks:
        return ()
    auroc: dict[str, Estimate | None] = {one.scope: one.auroc for one in found}
    auprc: dict[str, Estimate | None] = {one.scope: one.auprc for one in found}
    sentence = "Shaded: 95 % band over resampled patients."
    return (
        Picture(
            "roc",
            f"ROC curves. {sentence}",
            lambda: discrimination_figures.roc(context, tasks, auroc),
        ),
        Picture(
            "precision_recall",
            f"Precision against recall. {sentence} The grey line is the prevalence: chance.",
            lambda: discrimination_figures.precision_recall(context, tasks, auprc),
        ),
    )


def _notes(study: Study, found: tuple[Ranking, ...]) -> tuple[str, ...]:
    absent = [
        f"{shown(one.scope, study)}: not evaluated, as one class is absent "
        f"({style.counted(one.n, one.n_positives)})."
        for one in found
        if one.auroc is None and one.scope != MACRO
    ]
    return (*absent, *_labels_note(study))


def _labels_note(study: Study) -> tuple[str, ...]:
    missing = int(np.isnan(study.labels).any(axis=1).sum())
    if not missing:
        return ()
    return (
        f"{missing:,} of {len(study):,} ECGs lack the label of at least one vessel; "
        "they are left out of that vessel, and never count as negative.",
    )
