"""Curves of cumulative incidence with the numbers at risk below, and bars on fixed days."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecgbatch.terms import Stratum
from training.evaluation.competing import Curve
from training.evaluation.style import BAND, STRATUM_COLOURS, WIDTH, in_percent, styled, titled
from training.evaluation.wording import NONE
from training.records import Study

Curves = Mapping[Stratum, Curve]
_LINES = {Stratum.LOW: "-", Stratum.INTERMEDIATE: "--", Stratum.HIGH: "-."}


@styled
def curves(
    study: Study, name: str, found: Curves, span: tuple[float, float], log_rank: float | None
) -> Figure:
    """One step curve per stratum with its band; a row of numbers at risk for each below."""
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    figure.suptitle(titled(study, f"Events after the ECG, {name}"), fontsize=11, fontweight="bold")
    above, below = figure.subplots(2, 1, height_ratios=(4.0, 0.9), sharex=True)
    for stratum, curve in found.items():
        _step(above, stratum, curve, span)
    above.set_ylim(bottom=0.0)
    in_percent(above.yaxis)
    above.set_ylabel("cumulative incidence")
    if log_rank is not None:
        above.set_title(f"log-rank p {p_text(log_rank)}", loc="right")
    above.legend(loc="upper left")
    _numbers(below, found, span)
    return figure


def _step(axes: Axes, stratum: Stratum, curve: Curve, span: tuple[float, float]) -> None:
    colour = STRATUM_COLOURS[stratum]
    x = np.concatenate([[span[0]], curve.days, [min(curve.observed[-1], span[1])]])
    level = curve.incidence[-1:] if curve.days.size else np.zeros(1)
    y = np.concatenate([[0.0], curve.incidence, level])
    label = f"{stratum}: {curve.event_days.size:,} of {curve.observed.size:,} patients"
    axes.step(x, y, where="post", color=colour, linestyle=_LINES[stratum], label=label)
    if curve.event_days.size:
        # From the first event on: the upper limit of none at all would hide every other curve.
        low, high = (np.concatenate([edge, edge[-1:]]) for edge in (curve.low, curve.high))
        seen = x[1:] >= curve.event_days[0]
        axes.fill_between(
            x[1:][seen], low[seen], high[seen], step="post", color=colour, alpha=BAND, linewidth=0
        )


def _numbers(axes: Axes, found: Curves, span: tuple[float, float]) -> None:
    ticks = [span[0], *np.arange(100.0, span[1] + 1.0, 100.0)]
    for row, (stratum, curve) in enumerate(found.items()):
        for tick in ticks:
            text = f"{curve.n_at_risk(tick):,}"
            colour = STRATUM_COLOURS[stratum]
            axes.text(tick, -row, text, color=colour, ha="center", va="center", fontsize=8)
    axes.set_ylim(-len(found) + 0.4, 0.6)
    axes.set_xlim(0.0, span[1] * 1.03)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([-row for row in range(len(found))], [str(stratum) for stratum in found])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.set_ylabel("at risk")
    axes.set_xlabel("days after the ECG")
    axes.spines[:].set_visible(False)


@styled
def bars(
    study: Study, found: Mapping[str, Curves], days: Sequence[float], landmark: float
) -> Figure:
    """A panel per scope: bars by stratum on each day, with their 95 % intervals."""
    n_columns = min(3, len(found))
    n_rows = -(-len(found) // n_columns)
    figure = Figure(figsize=(WIDTH, 2.3 * n_rows + 1.0), layout="constrained")
    title = f"Events after day {landmark:g}, on fixed days"
    figure.suptitle(titled(study, title), fontsize=11, fontweight="bold")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, (name, of_scope) in zip(panels, found.items(), strict=False):
        _bars(axes, of_scope, days)
        axes.set_title(name, loc="left", fontweight="bold")
        axes.set_xlabel("days after the ECG")
    for axes in panels[len(found) :]:
        axes.set_visible(False)
    handles = [
        panels[0].bar([0], [0], color=colour, label=str(stratum))
        for stratum, colour in STRATUM_COLOURS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    figure.supylabel("cumulative incidence", fontsize=9)
    return figure


def _bars(axes: Axes, of_scope: Curves, days: Sequence[float]) -> None:
    for place, (stratum, colour) in enumerate(STRATUM_COLOURS.items()):
        curve = of_scope.get(stratum)
        for slot, day in enumerate(days):
            estimate = None if curve is None else curve.at(day)
            if estimate is not None:
                x = slot + (place - 1) * 0.27
                axes.bar([x], [estimate.value], width=0.25, color=colour)
                axes.plot([x, x], [estimate.low, estimate.high], color="#333333", linewidth=1.0)
    axes.set_xticks(range(len(days)), [f"{day:g}" for day in days])
    axes.set_xlim(-0.6, len(days) - 0.4)
    axes.set_ylim(bottom=0.0)
    axes.grid(visible=False, axis="x")
    in_percent(axes.yaxis)


def p_text(p: float | None) -> str:
    """As a table or a title shows it."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
