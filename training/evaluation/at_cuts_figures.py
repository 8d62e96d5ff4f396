"""Shares of the strata, and how many positives each holds."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecgbatch.terms import Stratum
from training.evaluation import style
from training.evaluation.section import Context, Picture
from training.records import Measure
from training.statistics.any_vessel import SCOPES
from training.terms import Quantity

_WIDTH = 0.26


def strata_picture(context: Context, found: Sequence[Measure]) -> Picture:
    caption = (
        "Left: share of all ECGs in each stratum. Right: share of positives among the ECGs of the "
        "stratum, with 95 % intervals; above each bar positives of ECGs with a label. "
        "Low does not exclude disease."
    )
    return Picture("strata", caption, lambda: _draw(context, found))


@style.styled
def _draw(context: Context, found: Sequence[Measure]) -> Figure:
    scopes = [scope for scope in SCOPES if scope in context.cuts]
    figure, panels = style.sheet(context.study, "Strata", 1, 2, height=3.9)
    for panel, quantity in zip(panels, (Quantity.SHARE, Quantity.PREVALENCE), strict=True):
        for place, stratum in enumerate(Stratum):
            for at, scope in enumerate(scopes):
                for one in found:
                    if (one.scope, one.stratum, one.quantity) == (scope, stratum, quantity):
                        _bar(panel, at + (place - 1) * _WIDTH, one)
        panel.set_xticks(
            np.arange(len(scopes)),
            [
                style.named(scope, context.study.experimental).replace(" ", "\n", 1)
                for scope in scopes
            ],
        )
        highs = [one.estimate.high for one in found if one.quantity is quantity]
        tallest = max(highs, default=1.0)  # no label at all: no positives to show
        panel.set_ylim(0.0, 1.25 * tallest)
        panel.grid(visible=False, axis="x")
        style.in_percent(panel.yaxis)
    panels[0].set_ylabel("share of all ECGs")
    panels[1].set_ylabel("positive among the ECGs of the stratum")
    handles = [
        panels[0].bar(0, 0, color=style.STRATUM_COLOURS[stratum], label=str(stratum))
        for stratum in Stratum
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _bar(panel: Axes, x: float, one: Measure) -> None:
    estimate = one.estimate
    if one.stratum is None:
        return
    panel.bar(x, estimate.value, width=_WIDTH * 0.92, color=style.STRATUM_COLOURS[one.stratum])
    panel.plot([x, x], [estimate.low, estimate.high], color=style.BLACK, linewidth=1.0)
    if one.quantity is Quantity.PREVALENCE:
        panel.annotate(
            f"{one.n_positives:,}/{one.n:,}",
            (x, estimate.high),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            rotation=90,
            fontsize=6.5,
        )
