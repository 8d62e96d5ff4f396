"""Whether the risk rises with the grade of stenosis, beyond the one cut that labels it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecgbatch.terms import Vessel
from training.evaluation import style
from training.evaluation.section import Context, Findings, Picture, Table
from training.evaluation.wording import interval
from training.records import Measure, Rows, Study
from training.statistics.association import rank_correlation_statistic
from training.statistics.bootstrap import estimate
from training.terms import GRADES, NO_GRADE, Quantity

_TITLE = "Probability by grade"


def examine(context: Context) -> Findings:
    """Box plots per vessel, and Spearman's correlation with its interval over patients."""
    study = context.study
    graded = {
        vessel: rows
        for column, vessel in enumerate(Vessel)
        if len(rows := np.flatnonzero(study.grades[:, column] != NO_GRADE))
    }
    if not graded:
        return Findings(_TITLE, notes=("No vessel was graded; labels alone show no trend.",))
    found = [one for vessel, rows in graded.items() for one in _trend(context, vessel, rows)]
    absent = [str(vessel) for vessel in Vessel if vessel not in graded]
    caption = (
        "Probability by grade of stenosis on CCTA: median, quartiles, and whiskers to the furthest "
        "ECG within 1.5 quartile distances; beneath each grade its ECGs."
    )
    return Findings(
        title=_TITLE,
        measures=tuple(found),
        tables=(_table(study, graded, found),),
        pictures=(Picture("grades", caption, lambda: _draw(context, graded, found)),),
        notes=(f"Not graded: {', '.join(absent)}.",) if absent else (),
    )


def _column(vessel: Vessel) -> int:
    return list(Vessel).index(vessel)


def _trend(context: Context, vessel: Vessel, rows: Rows) -> list[Measure]:
    study, column = context.study.at(rows), _column(vessel)
    statistic = rank_correlation_statistic(
        study.grades[:, column].astype(np.float64), study.probabilities[:, column]
    )
    trend = estimate(statistic, study.patients, context.bootstrap)
    if trend is None:
        return []
    n_positives = int((study.labels[:, column] == 1).sum())
    return [Measure(vessel, Quantity.GRADE_TREND, trend, len(rows), n_positives)]


def _table(study: Study, graded: dict[Vessel, Rows], found: list[Measure]) -> Table:
    trends = {one.scope: one.estimate for one in found}
    rows = []
    for vessel in graded:
        column = _column(vessel)
        row = {"": style.named(vessel, study.experimental)}
        for code, grade in enumerate(GRADES):
            scores = study.probabilities[study.grades[:, column] == code, column]
            row[f"{grade}: median (n)"] = (
                f"{np.median(scores):.3f} ({len(scores):,})" if len(scores) else "– (0)"
            )
        row["Spearman"] = interval(trends.get(vessel))
        rows.append(row)
    note = "Spearman's correlation of grade and probability, 95 % interval over resampled patients."
    return Table(style.titled(study, _TITLE), pd.DataFrame(rows), note)


@style.styled
def _draw(context: Context, graded: dict[Vessel, Rows], found: list[Measure]) -> Figure:
    study = context.study
    trends = {one.scope: one.estimate for one in found}
    rows = (len(graded) + 1) // 2
    figure, panels = style.sheet(study, _TITLE, rows, 2, height=0.5 + 2.7 * rows)
    for unused in panels[len(graded) :]:
        unused.set_visible(False)
    for panel, vessel in zip(panels, graded, strict=False):
        _panel(panel, study, vessel)
        name = style.named(vessel, study.experimental)
        panel.set_title(f"{name}: Spearman {interval(trends.get(vessel), 2)}", fontsize=8.5)
    return figure


def _panel(panel: Axes, study: Study, vessel: Vessel) -> None:
    column = _column(vessel)
    by_grade = [
        study.probabilities[study.grades[:, column] == code, column] for code in range(len(GRADES))
    ]
    boxes = panel.boxplot(
        by_grade,
        widths=0.6,
        patch_artist=True,
        flierprops={"marker": ".", "markersize": 2, "markeredgecolor": style.GREY},
        medianprops={"color": style.BLACK},
    )
    for box in boxes["boxes"]:
        box.set_facecolor(style.SCOPE_COLOURS[vessel])
        box.set_alpha(0.6)
    labels = [f"{grade}\n{len(scores):,}" for grade, scores in zip(GRADES, by_grade, strict=True)]
    panel.set_xticks(range(1, len(GRADES) + 1), labels)
    panel.set_ylim(0.0, None)
    panel.grid(visible=False, axis="x")
    panel.set_ylabel("probability")
