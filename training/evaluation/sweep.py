"""The sweep of thresholds as published: what a cut anywhere would be worth."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecgbatch.bundle.operating_points import Scope
from ecgbatch.terms import Vessel
from training.evaluation import style
from training.evaluation.section import Context, Findings, Picture, Table
from training.evaluation.wording import sizes
from training.records import Array, Estimate, Task
from training.settings.evaluation import EvaluationSettings
from training.statistics.any_vessel import SCOPES, task_of
from training.statistics.auc import has_both_classes
from training.statistics.proportions import proportion

_SHOWN = 20
_MEASURED = {
    "sensitivity": (style.VERMILION, "-"),
    "specificity": (style.BLUE, "--"),
    "PPV": (style.PURPLE, "-."),
    "NPV": (style.GREEN, ":"),
    "share": (style.BLACK, (0, (5, 1, 1, 1, 1, 1))),
}


def examine(context: Context) -> Findings:
    """Sensitivity, specificity, PPV, NPV and share at or above each threshold, per scope."""
    study = context.study
    tasks = {scope: task_of(study, scope) for scope in SCOPES}
    swept = {
        scope: swept_task(task, thresholds(context.settings, scope, None))
        for scope, task in tasks.items()
        if has_both_classes(task.labels)
    }
    if not swept:
        return Findings("Threshold sweep", notes=("No scope has both classes; no sweep.",))
    full = pd.concat(
        [frame.assign(scope=str(scope)) for scope, frame in swept.items()], ignore_index=True
    )
    caption = (
        "What a cut at each threshold would give: at or above it against below it. Shaded: 95 % "
        "intervals. Vertical lines: the cuts of the bundle. Share: of the ECGs with a label."
    )
    return Findings(
        title="Threshold sweep",
        tables=(_table(context, full, swept),),
        pictures=(Picture("sweep", caption, lambda: _draw(context, swept, tasks)),),
        notes=("A threshold chosen from this sweep would look better here than on new data.",),
    )


def thresholds(settings: EvaluationSettings, scope: Scope, n: int | None) -> Array:
    """Evenly spaced, in the range of the scope's sweep; n of them, or as many as the sweep's."""
    sweep = settings.sweep_default
    if isinstance(scope, Vessel):
        sweep = settings.sweep.get(scope, sweep)
    return np.linspace(sweep.low, sweep.high, n or sweep.n)


def swept_task(task: Task, cuts: Array) -> pd.DataFrame:
    """One row per threshold: `NAME`, `NAME_low`, `NAME_high`; missing where undefined."""
    known = task.known()
    patients = np.unique(np.asarray(known.patients), return_inverse=True)[1].astype(np.int64)
    positive, everyone = known.labels == 1, np.ones(len(known.labels), dtype=bool)
    rows = []
    for cut in cuts:
        above = known.scores >= cut
        found = {
            "sensitivity": proportion(above, positive, patients),
            "specificity": proportion(~above, ~positive, patients),
            "PPV": proportion(positive, above, patients),
            "NPV": proportion(~positive, ~above, patients),
            "share": proportion(above, everyone, patients),
        }
        rows.append({"threshold": float(cut), **_flat(found)})
    return pd.DataFrame(rows).astype("float64")


def _flat(found: dict[str, Estimate | None]) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for name, one in found.items():
        row[name] = None if one is None else one.value
        row[f"{name}_low"] = None if one is None else one.low
        row[f"{name}_high"] = None if one is None else one.high
    return row


def _table(context: Context, full: pd.DataFrame, swept: dict[Scope, pd.DataFrame]) -> Table:
    thin = pd.concat([_thinned(context, scope, frame) for scope, frame in swept.items()])
    return Table(
        style.titled(context.study, "Threshold sweep"),
        full,
        f"Every {_SHOWN}th threshold; all of them, with 95 % intervals, are in the Parquet file.",
        thin.reset_index(drop=True),
    )


def _thinned(context: Context, scope: Scope, frame: pd.DataFrame) -> pd.DataFrame:
    shown = frame.iloc[::_SHOWN]
    columns: dict[str, list[str]] = {
        "": [style.named(scope, context.study.experimental)] * len(shown),
        "threshold": [f"{value:.3g}" for value in shown["threshold"]],
    }
    for name in _MEASURED:
        columns[name] = ["–" if np.isnan(one) else f"{100 * one:.1f} %" for one in shown[name]]
    return pd.DataFrame(columns)


@style.styled
def _draw(context: Context, swept: dict[Scope, pd.DataFrame], tasks: dict[Scope, Task]) -> Figure:
    rows = (len(swept) + 1) // 2
    figure, panels = style.sheet(context.study, "Threshold sweep", rows, 2, height=0.8 + 2.5 * rows)
    for unused in panels[len(swept) :]:
        unused.set_visible(False)
    for panel, (scope, frame) in zip(panels, swept.items(), strict=False):
        _panel(panel, frame)
        for cut in context.cuts.get(scope, ()):
            panel.axvline(cut, color=style.GREY, linewidth=0.9)
        name = style.named(scope, context.study.experimental)
        panel.set_title(f"{name}: {style.counted(*sizes(tasks[scope]))}", fontsize=8.5)
        panel.set_xlim(frame["threshold"].min(), frame["threshold"].max())
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(_MEASURED))
    return figure


def _panel(panel: Axes, frame: pd.DataFrame) -> None:
    x = frame["threshold"].to_numpy()
    for name, (colour, line) in _MEASURED.items():
        panel.fill_between(
            x,
            frame[f"{name}_low"].to_numpy(),
            frame[f"{name}_high"].to_numpy(),
            color=colour,
            alpha=style.BAND * 0.7,
            linewidth=0,
        )
        label = "share at or above" if name == "share" else name
        panel.plot(x, frame[name].to_numpy(), color=colour, linestyle=line, label=label)
    panel.set_ylim(-0.02, 1.02)
    style.in_percent(panel.yaxis)
    panel.set_xlabel("threshold on the probability")
