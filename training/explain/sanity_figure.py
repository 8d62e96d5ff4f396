"""The result of the randomisation test as a figure."""

from io import BytesIO
from typing import Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.explain.sanity import LARGEST_SENSITIVITY, SanityCheck


def draw_sanity(checks: tuple[SanityCheck, ...], title: str, kind: Literal["png", "svg"]) -> bytes:
    """One panel per output: similarity against how far down the net is random."""
    with rc_context({"svg.hashsalt": "ecgbatch", "font.family": "DejaVu Sans", "font.size": 9}):
        figure = Figure(figsize=(3.4 * len(checks) + 0.6, 4.0), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(checks), squeeze=False, sharey=True)[0]
        for axes, check in zip(panels, checks, strict=True):
            _draw(axes, check)
        panels[0].set_ylabel("Spearman correlation with the trained net")
        panels[0].legend(loc="upper right", fontsize=8, frameon=False)
        figure.suptitle(title, fontsize=9)
        content = BytesIO()
        metadata = {"Software": None} if kind == "png" else {"Date": None}
        figure.savefig(content, format=kind, dpi=150, metadata=metadata)
    return content.getvalue()


def _draw(axes: Axes, check: SanityCheck) -> None:
    places = range(len(check.similarities))
    series = {
        "|relevance|": [one.magnitude for one in check.similarities],
        "relevance with its sign": [one.signed for one in check.similarities],
    }
    if check.input_magnitude is not None:
        series["|relevance / input|"] = [one.sensitivity for one in check.similarities]
        axes.axhline(check.input_magnitude, color="0.45", linestyle=":", label="|input| alone")
    for (name, values), marker in zip(series.items(), "os^", strict=False):
        axes.plot(places, values, marker=marker, markersize=4, linewidth=1.2, label=name)
    axes.axhline(LARGEST_SENSITIVITY, color="0.75", linewidth=0.8)
    axes.axhline(0.0, color="0.3", linewidth=0.8)
    axes.set_ylim(-0.5, 1.05)
    names = [one.layer.replace("stage_list.", "stage ") for one in check.similarities]
    axes.set_xticks(list(places), names, rotation=60, ha="right")
    axes.set_xlabel("random from the head down to")
    axes.set_title(f"{check.output}: {'passed' if check.has_passed else 'not passed'}", fontsize=10)
