"""The decision curve: the net benefit of acting on the risk, on everyone, and on no one."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecgbatch.bundle.operating_points import Scope
from training.evaluation import style
from training.evaluation.section import Context, Findings, Picture, Table
from training.evaluation.sweep import thresholds
from training.evaluation.wording import sizes
from training.records import Array, Task
from training.statistics.any_vessel import SCOPES, task_of
from training.statistics.auc import has_both_classes
from training.statistics.bootstrap import band
from training.statistics.decisions import net_benefit_statistic

_SHOWN = 30
_NOTES = (
    "Net benefit is true positives per ECG less false positives per ECG, weighed by the odds of "
    "the threshold (Vickers and Elkin 2006). It takes the probability at its word: read it beside "
    "the calibration.",
    "The threshold is the risk at which someone would act; it follows from harms and benefits, "
    "never from this curve.",
)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Net benefit per ECG at each threshold, with the band over resampled patients."""

    task: Task = field(repr=False)
    cuts: Array = field(repr=False)
    model: Array = field(repr=False)
    low: Array = field(repr=False)
    high: Array = field(repr=False)
    everyone: Array = field(repr=False)


def examine(context: Context) -> Findings:
    """Net benefit at `decision_points` thresholds per scope with both classes."""
    curves = {
        scope: _curve(context, scope, task)
        for scope in SCOPES
        if has_both_classes((task := task_of(context.study, scope).known()).labels)
    }
    if not curves:
        return Findings("Decision curve", notes=("No scope has both classes; no curve.",))
    caption = (
        "Net benefit per 1,000 ECGs of acting at or above each threshold, with its 95 % band over "
        "resampled patients, against acting on all ECGs and on none."
    )
    return Findings(
        title="Decision curve",
        tables=(_table(context, curves),),
        pictures=(Picture("decision", caption, lambda: _draw(context, curves)),),
        notes=_NOTES,
    )


def _curve(context: Context, scope: Scope, task: Task) -> Curve:
    at = thresholds(context.settings, scope, context.settings.decision_points)
    at = at[at < 1.0]
    statistic = net_benefit_statistic(task.labels, task.scores, at)
    value, low, high = band(statistic, task.patients, context.bootstrap)
    n = len(at)
    return Curve(task, at, value[:n], low[:n], high[:n], value[n:])


def _table(context: Context, curves: dict[Scope, Curve]) -> Table:
    frames = [
        pd.DataFrame(
            {
                "scope": str(scope),
                "threshold": curve.cuts,
                "net benefit": curve.model,
                "net benefit_low": curve.low,
                "net benefit_high": curve.high,
                "acting on all": curve.everyone,
            }
        )
        for scope, curve in curves.items()
    ]
    thin = [_thinned(context, scope, curve) for scope, curve in curves.items()]
    return Table(
        style.titled(context.study, "Net benefit per 1,000 ECGs"),
        pd.concat(frames, ignore_index=True),
        f"Every {_SHOWN}th threshold; all of them, per ECG, are in the Parquet file. Acting on "
        "none has a net benefit of 0.",
        pd.concat(thin, ignore_index=True),
    )


def _thinned(context: Context, scope: Scope, curve: Curve) -> pd.DataFrame:
    places = np.arange(0, len(curve.cuts), _SHOWN)
    return pd.DataFrame(
        {
            "": style.named(scope, context.study.experimental),
            "threshold": [f"{curve.cuts[place]:.3g}" for place in places],
            "acting on the risk": [
                f"{1000 * curve.model[place]:.1f} "
                f"({1000 * curve.low[place]:.1f} to {1000 * curve.high[place]:.1f})"
                for place in places
            ],
            "acting on all": [f"{1000 * curve.everyone[place]:.1f}" for place in places],
        }
    )


@style.styled
def _draw(context: Context, curves: dict[Scope, Curve]) -> Figure:
    rows = (len(curves) + 1) // 2
    figure, panels = style.sheet(context.study, "Decision curve", rows, 2, height=0.8 + 2.5 * rows)
    for unused in panels[len(curves) :]:
        unused.set_visible(False)
    for panel, (scope, curve) in zip(panels, curves.items(), strict=False):
        _panel(panel, curve, style.SCOPE_COLOURS[scope])
        name = style.named(scope, context.study.experimental)
        panel.set_title(f"{name}: {style.counted(*sizes(curve.task))}", fontsize=8.5)
    handles, _ = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        ["acting on the risk (in the panel's colour)", "acting on all", "acting on none"],
        loc="outside lower center",
        ncols=3,
    )
    return figure


def _panel(panel: Axes, curve: Curve, colour: str) -> None:
    panel.fill_between(
        curve.cuts, 1000 * curve.low, 1000 * curve.high, color=colour, alpha=style.BAND, linewidth=0
    )
    panel.plot(curve.cuts, 1000 * curve.model, color=colour, label="model")
    panel.plot(curve.cuts, 1000 * curve.everyone, color=style.GREY, linestyle="--", label="all")
    panel.axhline(0.0, color=style.GREY, linewidth=1.0, linestyle=":", label="none")
    top = 1000 * max(float(np.max(curve.high)), float(curve.everyone[0]))
    # Acting on all falls without end: what lies far below 0 only hides the rest.
    panel.set_ylim(min(1000 * float(np.min(curve.low)), -0.15 * top) * 1.05, 1.08 * top)
    panel.set_xlim(curve.cuts[0], curve.cuts[-1])
    panel.set_xlabel("threshold on the probability")
    panel.set_ylabel("net benefit per 1,000 ECGs")
