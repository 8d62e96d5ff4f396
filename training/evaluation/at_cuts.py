"""What each cut and each stratum is worth: sensitivity to likelihood ratios, shares, incidence."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from ecgbatch.bundle.operating_points import Scope
from ecgbatch.terms import Stratum, Vessel
from training.evaluation import style
from training.evaluation.at_cuts_figures import strata_picture
from training.evaluation.section import Context, Findings, Table
from training.evaluation.wording import interval, percent, sizes
from training.records import Estimate, Measure, Study, Task
from training.statistics import proportions
from training.statistics.any_vessel import SCOPES, task_of
from training.statistics.decisions import classes
from training.terms import Quantity

Side = Literal["low", "high"]
AT_A_CUT: Mapping[Quantity, Callable[[Task, float], Estimate | None]] = {
    Quantity.SENSITIVITY: proportions.sensitivity,
    Quantity.SPECIFICITY: proportions.specificity,
    Quantity.PPV: proportions.ppv,
    Quantity.NPV: proportions.npv,
    Quantity.LR_POSITIVE: proportions.lr_positive,
    Quantity.LR_NEGATIVE: proportions.lr_negative,
}
RATIOS = (Quantity.LR_POSITIVE, Quantity.LR_NEGATIVE)

_NOTES = (
    "Low does not exclude disease: its NPV says how many of the low ECGs had no severe stenosis, "
    "and 1 - sensitivity at the low cut how many of the diseased vessels it holds.",
    "PPV and NPV hold at the prevalence beside them. Patients sent to CCTA have more disease than "
    "those who only had an ECG; at a lower prevalence PPV falls and NPV rises.",
)


def examine(context: Context) -> Findings:
    """Everything at the cuts of each scope that has cuts."""
    study = context.study
    found = [one for scope in SCOPES for one in _of_scope(context, scope)]
    without = [
        style.named(scope, study.experimental) for scope in SCOPES if scope not in context.cuts
    ]
    notes = [f"No cuts, nothing measured at them: {', '.join(without)}."] if without else []
    return Findings(
        title="At the cuts",
        measures=tuple(found),
        tables=(_cut_table(context, found), _stratum_table(study, found)) if found else (),
        pictures=(strata_picture(context, found),) if found else (),
        notes=(*notes, *_NOTES) if found else tuple(notes),
    )


def in_group(context: Context, group: str, study: Study) -> tuple[Measure, ...]:
    """The same of one subgroup, but for the prevalence that a site states, which is of all."""
    inside = replace(context, study=study)
    return tuple(
        replace(one, group=group)
        for scope in SCOPES
        for one in _of_scope(inside, scope)
        if one.at is None
    )


def _of_scope(context: Context, scope: Scope) -> list[Measure]:
    cuts = context.cuts.get(scope)
    if cuts is None:
        return []
    task = task_of(context.study, scope)
    stated = context.settings.prevalence.get(scope) if isinstance(scope, Vessel) else None
    sides: tuple[tuple[Side, float], ...] = (("low", cuts[0]), ("high", cuts[1]))
    return [
        *(one for side, cut in sides for one in _at_cut(scope, task, side, cut)),
        *(one for side, cut in sides for one in _stated(scope, task, side, cut, stated)),
        *_strata(scope, task, cuts),
    ]


def _at_cut(scope: Scope, task: Task, side: Side, cut: float) -> list[Measure]:
    return [
        Measure(scope, quantity, estimate, *sizes(task), cut=side)
        for quantity, measure in AT_A_CUT.items()
        if (estimate := measure(task, cut)) is not None
    ]


def _stated(
    scope: Scope, task: Task, side: Side, cut: float, prevalence: float | None
) -> list[Measure]:
    if prevalence is None:
        return []
    both = (
        (Quantity.PPV, proportions.ppv_at(task, cut, prevalence)),
        (Quantity.NPV, proportions.npv_at(task, cut, prevalence)),
    )
    return [
        Measure(scope, quantity, estimate, *sizes(task), cut=side, at=prevalence)
        for quantity, estimate in both
        if estimate is not None
    ]


def _strata(scope: Scope, task: Task, cuts: tuple[float, float]) -> list[Measure]:
    """Share of all ECGs, and of positives and negatives among the labelled ones, per stratum."""
    place = classes(task.scores, cuts)
    everyone = np.ones(len(place), dtype=bool)
    known = np.isfinite(task.labels)
    found = []
    for index, stratum in enumerate(Stratum):
        inside = (place == index) & known
        share = proportions.proportion(place == index, everyone, task.patients)
        if share is not None:
            n_positives = int((task.labels == 1).sum())
            found.append(
                Measure(scope, Quantity.SHARE, share, len(place), n_positives, stratum=stratum)
            )
        incidence = proportions.proportion(task.labels == 1, inside, task.patients)
        if incidence is None:
            continue
        n, n_positives = int(inside.sum()), int((task.labels[inside] == 1).sum())
        found += [
            Measure(scope, Quantity.PREVALENCE, incidence, n, n_positives, stratum=stratum),
            Measure(
                scope, Quantity.NPV, proportions.inverse(incidence), n, n_positives, stratum=stratum
            ),
        ]
    return found


def _cut_table(context: Context, found: list[Measure]) -> Table:
    study = context.study
    rows = []
    for scope, cuts in ((one, context.cuts[one]) for one in SCOPES if one in context.cuts):
        for side, cut in (("low", cuts[0]), ("high", cuts[1])):
            mine = [one for one in found if one.scope == scope and one.cut == side]
            row = {
                "": style.named(scope, study.experimental),
                "cut": f"{side}: {cut:.4g}",
                "n (positive)": _n(task_of(study, scope)),
            }
            for quantity in AT_A_CUT:
                estimate = _pick(mine, quantity)
                row[_HEADS[quantity]] = (
                    interval(estimate, 2) if quantity in RATIOS else percent(estimate)
                )
            stated = [one for one in mine if one.at is not None]
            if context.settings.prevalence:
                row["at the stated prevalence"] = "; ".join(
                    f"{one.quantity} at {100 * (one.at or 0.0):g} %: {percent(one.estimate)}"
                    for one in stated
                )
            rows.append(row)
    note = (
        "At or above the cut against below it. 95 % intervals: Wilson's on the effective number of "
        "ECGs, for ratios recovered from those of their shares."
    )
    return Table(style.titled(study, "At each cut"), pd.DataFrame(rows), note)


_HEADS = {
    Quantity.SENSITIVITY: "sensitivity",
    Quantity.SPECIFICITY: "specificity",
    Quantity.PPV: "PPV",
    Quantity.NPV: "NPV",
    Quantity.LR_POSITIVE: "LR+",
    Quantity.LR_NEGATIVE: "LR-",
}


def _pick(found: list[Measure], quantity: Quantity) -> Estimate | None:
    return next((m.estimate for m in found if m.quantity is quantity and m.at is None), None)


def _n(task: Task) -> str:
    n, n_positives = sizes(task)
    return f"{n:,} ({n_positives:,})"


def _stratum_table(study: Study, found: list[Measure]) -> Table:
    rows = []
    for scope in SCOPES:
        for stratum in Stratum:
            mine = [one for one in found if one.scope == scope and one.stratum is stratum]
            if not mine:
                continue
            rows.append(
                {
                    "": style.named(scope, study.experimental),
                    "stratum": str(stratum),
                    "n (positive)": next(
                        (
                            f"{one.n:,} ({one.n_positives:,})"
                            for one in mine
                            if one.quantity is Quantity.PREVALENCE
                        ),
                        "0 (0)",
                    ),
                    "share of all ECGs": percent(_pick(mine, Quantity.SHARE)),
                    "positive": percent(_pick(mine, Quantity.PREVALENCE)),
                    "negative (NPV)": percent(_pick(mine, Quantity.NPV)),
                }
            )
    note = "Low does not exclude disease. Positive: what the CCTA showed, among ECGs with a label."
    return Table(style.titled(study, "In each stratum"), pd.DataFrame(rows), note)
