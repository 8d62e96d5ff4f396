"""ROC and precision-recall curves with their bands, one panel per scope."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from ecgbatch.bundle.operating_points import Scope
from training.evaluation import style
from training.evaluation.section import Context
from training.evaluation.wording import interval, sizes
from training.records import Estimate, Task
from training.statistics.bootstrap import band
from training.statistics.curves import GRID, pr_statistic, roc_statistic


@style.styled
def roc(
    context: Context, tasks: Mapping[Scope, Task], areas: Mapping[str, Estimate | None]
) -> Figure:
    """Sensitivity against 1 - specificity."""
    figure, panels = _panels(context, "ROC", tasks)
    for panel, (scope, task) in zip(panels, tasks.items(), strict=True):
        colour = style.SCOPE_COLOURS[scope]
        _, low, high = band(
            roc_statistic(task.labels, task.scores), task.patients, context.bootstrap
        )
        panel.fill_between(GRID, low, high, color=colour, alpha=style.BAND, linewidth=0)
        alarms, hits, _ = roc_curve(task.labels, task.scores)
        panel.plot(alarms, hits, color=colour)
        panel.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.8, linestyle="--")
        _label(panel, context, scope, task, f"AUROC {interval(areas[scope], 2)}")
        panel.set_xlabel("1 - specificity")
        panel.set_ylabel("sensitivity")
    return figure


@style.styled
def precision_recall(
    context: Context, tasks: Mapping[Scope, Task], areas: Mapping[str, Estimate | None]
) -> Figure:
    """Precision (PPV) against recall (sensitivity)."""
    figure, panels = _panels(context, "Precision and recall", tasks)
    for panel, (scope, task) in zip(panels, tasks.items(), strict=True):
        colour = style.SCOPE_COLOURS[scope]
        _, low, high = band(
            pr_statistic(task.labels, task.scores), task.patients, context.bootstrap
        )
        panel.fill_between(GRID, low, high, color=colour, alpha=style.BAND, linewidth=0, step="pre")
        precision, recall, _ = precision_recall_curve(task.labels, task.scores)
        # The last point (recall 0, precision 1) is a convention and no measurement.
        panel.step(recall[:-1], precision[:-1], color=colour, where="post")
        panel.axhline(float(np.mean(task.labels == 1)), color=style.GREY, linewidth=0.8)
        _label(panel, context, scope, task, f"AUPRC {interval(areas[scope], 2)}")
        panel.set_xlabel("recall (sensitivity)")
        panel.set_ylabel("precision (PPV)")
    return figure


def _panels(context: Context, title: str, tasks: Mapping[Scope, Task]) -> tuple[Figure, list[Axes]]:
    rows = (len(tasks) + 2) // 3
    figure, panels = style.sheet(context.study, title, rows, 3, height=0.4 + 2.85 * rows)
    for unused in panels[len(tasks) :]:
        unused.set_visible(False)
    return figure, panels[: len(tasks)]


def _label(panel: Axes, context: Context, scope: Scope, task: Task, area: str) -> None:
    name = style.named(scope, context.study.experimental)
    panel.set_title(f"{name}\n{area}\n{style.counted(*sizes(task))}", fontsize=8)
    panel.set_xlim(-0.02, 1.02)
    panel.set_ylim(-0.02, 1.02)
    panel.set_aspect("equal")
