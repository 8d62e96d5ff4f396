"""Who changes class when the risk takes the place of the pre-test probability."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecgbatch.terms import Stratum
from training.evaluation import style
from training.evaluation.section import Context, Findings, Picture, Table
from training.evaluation.wording import NONE, interval, sizes
from training.records import Estimate, Measure, Study, Task
from training.statistics.any_vessel import task_of
from training.statistics.bootstrap import estimates
from training.statistics.decisions import (
    Classes,
    Reclassification,
    classes,
    net_reclassification_statistic,
    reclassified,
)
from training.terms import Quantity

_TITLE = "Reclassification"
_NOTES = (
    "The pre-test probability speaks of obstructive disease anywhere, so it is compared with any "
    "vessel. Its classes and the strata are cut by different rules; moving between them is a "
    "change of class, and no proof of a better decision.",
    "Net reclassification of positives (share moved up less share moved down) and of negatives "
    "(down less up) are shown apart. Their sum, the usual NRI, weighs both alike whatever the "
    "prevalence, and can rise with a model that is only miscalibrated (Hilden and Gerds 2014).",
)


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """ECGs with a label and a pre-test probability, in both classifications."""

    task: Task = field(repr=False)
    before: Classes = field(repr=False)
    after: Classes = field(repr=False)


def examine(context: Context) -> Findings:
    """Three-by-three tables of positives and of negatives, and the net reclassification of each."""
    cuts = context.cuts.get("any_vessel")
    if cuts is None:
        return Findings(_TITLE, notes=("Any vessel has no cuts; no reclassification.",))
    found = _compared(context, cuts)
    if found is None:
        return Findings(_TITLE, notes=("No ECG has both a pre-test probability and a label.",))
    statistic = net_reclassification_statistic(found.before, found.after, found.task.labels)
    both = estimates(statistic, found.task.patients, context.bootstrap)
    counts = reclassified(found.before, found.after, found.task.labels)
    return Findings(
        title=_TITLE,
        measures=_measures(found.task, both),
        tables=(*_tables(context, counts), _net_table(context.study, found.task, both)),
        pictures=(_picture(context, counts),),
        notes=(_left_out(context.study, found.task), *_NOTES),
    )


def _compared(context: Context, cuts: tuple[float, float]) -> _Compared | None:
    task = task_of(context.study, "any_vessel")
    prior = context.study.covariates["pretest_probability"].to_numpy(dtype=np.float64)
    rows = np.flatnonzero(np.isfinite(task.labels) & np.isfinite(prior))
    if len(rows) == 0:
        return None
    known = task.at(rows)
    before = classes(prior[rows], context.settings.reclassification_cuts)
    return _Compared(known, before, classes(known.scores, cuts))


def _left_out(study: Study, task: Task) -> str:
    n = len(task.labels)
    return (
        f"{n:,} of {len(study):,} ECGs have both a pre-test probability and a label of any vessel."
    )


def _measures(task: Task, both: tuple[Estimate | None, ...]) -> tuple[Measure, ...]:
    pairs = zip((Quantity.NRI_EVENTS, Quantity.NRI_NON_EVENTS), both, strict=True)
    return tuple(
        Measure("any_vessel", quantity, estimate, *sizes(task))
        for quantity, estimate in pairs
        if estimate is not None
    )


def _edges(context: Context) -> list[str]:
    low, high = context.settings.reclassification_cuts
    return [
        f"below {100 * low:g} %",
        f"{100 * low:g} to under {100 * high:g} %",
        f"{100 * high:g} % or more",
    ]


def _tables(context: Context, counts: Reclassification) -> tuple[Table, Table]:
    return (
        _table(context, "positives", counts.positives),
        _table(context, "negatives", counts.negatives),
    )


def _table(context: Context, who: str, counts: NDArray[np.int64]) -> Table:
    frame = pd.DataFrame({"pre-test probability": _edges(context)})
    for column, stratum in enumerate(Stratum):
        frame[f"{stratum}"] = [f"{n:,}" for n in counts[:, column]]
    frame["all"] = [f"{n:,}" for n in counts.sum(axis=1)]
    note = f"ECGs of {who}; rows: before; columns: stratum of any vessel."
    return Table(style.titled(context.study, f"Reclassification of {who}"), frame, note)


def _net_table(study: Study, task: Task, both: tuple[Estimate | None, ...]) -> Table:
    n, n_positives = sizes(task)
    rows = [
        {"": who, "n": f"{size:,}", "net reclassification": interval(one) if one else NONE}
        for who, size, one in zip(
            ("positives: up less down", "negatives: down less up"),
            (n_positives, n - n_positives),
            both,
            strict=True,
        )
    ]
    note = "Shares, with 95 % intervals over resampled patients; never added to one number."
    return Table(style.titled(study, "Net reclassification"), pd.DataFrame(rows), note)


def _picture(context: Context, counts: Reclassification) -> Picture:
    caption = (
        "ECGs by pre-test probability (rows) and stratum of any vessel (columns), positives and "
        "negatives apart; shade: share of the row. Above the diagonal: moved up."
    )
    return Picture("reclassification", caption, lambda: _draw(context, counts))


@style.styled
def _draw(context: Context, counts: Reclassification) -> Figure:
    figure, panels = style.sheet(context.study, _TITLE, 1, 2, height=3.5)
    for panel, who, table in zip(
        panels, ("positives", "negatives"), (counts.positives, counts.negatives), strict=True
    ):
        _panel(panel, table, _edges(context))
        panel.set_title(f"{who}: n = {int(table.sum()):,}")
    panels[0].set_ylabel("pre-test probability")
    panels[1].set_yticklabels([])
    return figure


def _panel(panel: Axes, table: NDArray[np.int64], edges: list[str]) -> None:
    totals = np.maximum(table.sum(axis=1, keepdims=True), 1)
    shares = table / totals
    panel.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), n in np.ndenumerate(table):
        share = shares[row, column]
        panel.text(
            column,
            row,
            f"{n:,}\n{100 * share:.0f} %",
            ha="center",
            va="center",
            color="white" if share > 0.55 else style.BLACK,
        )
    panel.set_xticks(range(3), [str(stratum) for stratum in Stratum])
    panel.set_yticks(range(3), edges)
    panel.set_xlabel("stratum of any vessel")
    panel.grid(visible=False)
