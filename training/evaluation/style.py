"""How every figure looks: sizes, colours that colour-blind readers can tell apart, titles."""

from collections.abc import Callable
from functools import wraps
from textwrap import fill
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ecgbatch.bundle.operating_points import Scope
from ecgbatch.terms import ANY_VESSEL, Stratum, Vessel
from training.records import Study

WIDTH = 7.5
"""Inches; the width of the report's column, so that 9 points stay 9 points."""

# Okabe and Ito (2008): eight colours that all common kinds of colour blindness tell apart.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#767676"

SCOPE_COLOURS: dict[Scope, str] = {
    Vessel.RCA: BLUE,
    Vessel.LM: PURPLE,
    Vessel.LAD: VERMILION,
    Vessel.LCX: GREEN,
    "any_vessel": BLACK,
}
SCOPE_LINES: dict[Scope, str] = {
    Vessel.RCA: "-",
    Vessel.LM: ":",
    Vessel.LAD: "--",
    Vessel.LCX: "-.",
    "any_vessel": "-",
}
"""A second mark beside the colour, for print in grey."""
STRATUM_COLOURS: dict[Stratum, str] = {
    Stratum.LOW: BLUE,
    Stratum.INTERMEDIATE: ORANGE,
    Stratum.HIGH: VERMILION,
}
BAND = 0.18
"""Opacity of the area of an interval."""

_LOOK: Any = {  # its stub names every key of every version
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "svg.hashsalt": "ecgbatch",
}

P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """A drawing function that draws in this look, whatever the process has set."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_LOOK):
            return draw(*args, **kwargs)

    return drawn


def sheet(
    study: Study, title: str, rows: int = 1, columns: int = 1, height: float = 3.6
) -> tuple[Figure, list[Axes]]:
    """A figure of report width with its title and its panels, row by row. Not known to pyplot.

    Args:
        height: inches, of the whole figure.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(fill(titled(study, title), 75), fontsize=11, fontweight="bold")
    panels = figure.subplots(rows, columns, squeeze=False)
    return figure, [panel for row in panels for panel in row]


def titled(study: Study, title: str) -> str:
    """With the study's name, and whether it is synthetic or not called clinical."""
    mark = " (synthetic or not clinical)" if study.is_synthetic else ""
    return f"{title}: {study.name}{mark}"


def named(scope: Scope, experimental: tuple[Vessel, ...] = ()) -> str:
    """A scope as a reader sees it."""
    if scope == ANY_VESSEL:
        return "any vessel"
    return f"{scope} (experimental)" if scope in experimental else str(scope)


def counted(n: int, n_positives: int) -> str:
    """For a legend or a caption."""
    return f"n = {n:,}, {n_positives:,} positive"


def in_percent(*axes: Axis) -> None:
    """Ticks of these axes (`panel.xaxis`) as per cent of a share."""
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=None))
