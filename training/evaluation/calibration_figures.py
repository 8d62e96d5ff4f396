"""The calibration figure: groups, smooth curve with bands, distribution of the probabilities."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation.calibrated import Groups, Smooth
from training.evaluation.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILION,
    WIDTH,
    in_percent,
    styled,
    titled,
)
from training.records import Study, Task

MOST_DOTS = 150
"""More groups are thinned evenly for drawing; the table has all."""


@styled
def curve(study: Study, name: str, task: Task, found: Groups, line: Smooth) -> Figure:
    """Observed share against mean probability, and how the probabilities lie below."""
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    figure.suptitle(titled(study, f"Calibration, {name}"), fontsize=11, fontweight="bold")
    above, below = figure.subplots(2, 1, height_ratios=(4.0, 0.9), sharex=True)
    _bands(above, line)
    drawn = np.unique(np.linspace(0, len(found.n) - 1, MOST_DOTS).astype(int))
    label = f"groups of {int(found.n[0])}"
    if len(drawn) < len(found.n):
        label += f" ({len(drawn)} of {len(found.n)} drawn)"
    above.plot(found.predicted[drawn], found.observed[drawn], "o", color=GREY, ms=3.5, label=label)
    smoothed = line.y[np.isfinite(line.y)]
    top = max(
        float(smoothed.max(initial=0.0)), float(found.observed.max()), float(task.scores.max())
    )
    above.plot([0.0, top], [0.0, top], "--", color=BLACK, linewidth=1.0, label="agreement")
    right = float(task.scores.max()) * 1.02
    above.set_xlim(0.0, right)
    above.set_ylim(-0.02 * top, top * 1.05)
    above.set_ylabel("observed share")
    above.legend(loc="upper left")
    edges = np.linspace(0.0, right, 60).tolist()
    for value, colour, word in ((0, BLUE, "negative"), (1, VERMILION, "positive")):
        below.hist(task.scores[task.labels == value], edges, color=colour, alpha=0.6, label=word)
    below.set_yscale("log")
    below.set_ylabel("ECGs")
    below.set_xlabel("predicted probability")
    below.legend(loc="lower right", bbox_to_anchor=(1.0, 0.97), ncols=2, borderaxespad=0.0)
    in_percent(above.xaxis, above.yaxis)
    return figure


def _bands(axes: Axes, line: Smooth) -> None:
    for (coverage, (low, high)), opacity in zip(line.bands.items(), (0.30, 0.15), strict=True):
        label = f"{100 * coverage:g} %"
        axes.fill_between(line.x, low, high, color=BLUE, alpha=opacity, linewidth=0, label=label)
    axes.plot(line.x, line.y, color=BLUE, label="LOWESS")
