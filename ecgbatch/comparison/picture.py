"""The flip report as one picture: per task a 3 x 3 table of strata, and how far risks shift."""

from io import BytesIO
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ecgbatch.comparison.flips import Flips, shifts
from ecgbatch.comparison.report import Comparison
from ecgbatch.terms import ANY_VESSEL, DEMONSTRATION_NOTICE, INTENDED_USE_NOTICE, Vessel

_DPI = 150
_WIDTH, _HEIGHT = 12.5, 6.4
"""Inches."""
# Okabe and Ito's blue and vermilion: told apart with every kind of colour vision, and in grey.
_DOWN, _UP, _SAME, _INK = "#0072b2", "#d55e00", "#6e6e6e", "#202020"
_STRATA = ("low", "inter-\nmediate", "high")
_BINS = 31


def draw(comparison: Comparison, kind: Literal["png", "svg"]) -> bytes:
    """The picture's bytes, the same for the same comparison."""
    with rc_context({"svg.hashsalt": "ecgbatch", "font.family": "DejaVu Sans", "font.size": 9}):
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        FigureCanvasAgg(figure)
        _draw_text(figure, comparison)
        n_tasks = max(1, len(comparison.flips))
        upper = figure.subplots(
            2,
            n_tasks,
            squeeze=False,
            gridspec_kw={
                "left": 0.075,
                "right": 0.985,
                "top": 0.79,
                "bottom": 0.15,
                "hspace": 0.55,
                "wspace": 0.28,
            },
        )
        widest = max((abs(shifts(comparison.pairs)).max() if comparison.pairs else 0.0), 0.01)
        for column, one in enumerate(comparison.flips):
            of_task = [pair for pair in comparison.pairs if pair.task == one.task]
            _draw_strata(upper[0, column], one, is_first=column == 0)
            _draw_shift(upper[1, column], one, shifts(of_task), widest, is_first=column == 0)
        if not comparison.flips:
            for axes in upper.flat:
                axes.set_axis_off()
            figure.text(0.5, 0.5, "no ECG has been scored by both", ha="center", color=_INK)
        content = BytesIO()
        metadata = {"Software": None} if kind == "png" else {"Date": None}
        figure.savefig(content, format=kind, dpi=_DPI, metadata=metadata)
    return content.getvalue()


def _draw_text(figure: Figure, comparison: Comparison) -> None:
    champion, challenger = comparison.champion, comparison.challenger
    since = "" if comparison.since is None else f": ECGs since {comparison.since:%Y-%m-%d}"
    left = 0.015
    title = f"What would change with the challenger{since}"
    figure.text(left, 0.965, title, size=13, va="top")
    # A $ in a name is a dollar and no formula.
    for height, role, one in ((0.92, "champion", champion), (0.893, "challenger", challenger)):
        named = f"{role} {one.name} {one.version} ({one.digest[:12]})"
        figure.text(left, height, named, va="top", parse_math=False)
    figure.text(left, 0.035, INTENDED_USE_NOTICE, va="bottom", color=_INK)
    if not comparison.is_clinical:
        figure.text(left, 0.008, DEMONSTRATION_NOTICE, va="bottom", weight="bold", color=_INK)


def _draw_strata(axes: Axes, one: Flips, *, is_first: bool) -> None:
    """Counts, shaded by their share of the champion's stratum; above the diagonal is upward."""
    counts = np.array(one.counts)
    of_row = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, of_row, out=np.zeros(counts.shape), where=of_row > 0)
    for row in range(3):
        for column in range(3):
            colour = _SAME if row == column else _UP if column > row else _DOWN
            strength = 0.75 * share[row, column]
            corner = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, alpha=strength))
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="#b0b0b0", linewidth=0.6))
            text = f"{counts[row, column]:,}"
            axes.text(column, row, text, ha="center", va="center", color=_INK)
    axes.set_xlim(-0.5, 2.5)
    axes.set_ylim(-0.5, 2.5)
    axes.set_aspect("equal")
    axes.set_xticks(range(3), _STRATA, size=8)
    axes.set_yticks(range(3), _STRATA if is_first else ("", "", ""), size=8)
    axes.tick_params(length=0)
    axes.set_xlabel("challenger")
    if is_first:
        axes.set_ylabel("champion")
    axes.set_title(f"{_title(one)}\n{_agreement(one)}", size=9)


def _draw_shift(
    axes: Axes, one: Flips, shift: NDArray[np.float64], widest: float, *, is_first: bool
) -> None:
    edges = np.linspace(-widest, widest, _BINS + 1)
    heights, _ = np.histogram(shift, edges)
    middles = (edges[:-1] + edges[1:]) / 2
    colours = [_SAME if abs(x) < 1e-12 else _UP if x > 0 else _DOWN for x in middles]
    axes.bar(middles, heights, width=edges[1] - edges[0], color=colours)
    axes.axvline(0.0, color=_INK, linewidth=0.8)
    axes.axvline(one.mean_shift, color=_INK, linewidth=1.2, linestyle="--")
    axes.set_xlim(-widest, widest)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("challenger - champion")
    if is_first:
        axes.set_ylabel("ECGs")
    axes.set_title(f"mean shift {one.mean_shift:+.3f} (dashed)", size=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _title(one: Flips) -> str:
    name = "any vessel" if one.task == ANY_VESSEL else one.task
    experimental = " (experimental)" if one.task == Vessel.LM else ""
    return f"{name}{experimental}, {one.n_ecgs:,} ECGs"


def _agreement(one: Flips) -> str:
    if one.agreement is None or one.agreement_ci is None:
        return "no stratum from both"
    low, high = one.agreement_ci
    return f"same {one.agreement:.1%} ({low:.1%} to {high:.1%})"
