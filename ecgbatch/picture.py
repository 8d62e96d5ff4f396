"""The standard 12-lead page on paper as cardiologists read it: true to size on A4 landscape."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ecgbatch.quality.window import Window
from ecgbatch.records import Recording

__all__ = ["Overlay", "draw"]

_Array = NDArray[np.float64]

_PAGE_MM = (297.0, 210.0)
_DOTS_PER_MM = 10
_MM_PER_INCH = 25.4
_POINTS_PER_MM = 72 / _MM_PER_INCH
_MM_PER_S = 25.0
_MM_PER_MV = 10.0

_COLUMN_S = 2.5
_ROWS = (
    ("I", "aVR", "V1", "V4"),
    ("II", "aVL", "V2", "V5"),
    ("III", "aVF", "V3", "V6"),
    ("II",),
)
# The grid: 270 x 170 mm in whole 5-mm squares; baselines lie on its lines.
_LEFT, _RIGHT, _BOTTOM, _TOP = 13.5, 283.5, 17.0, 187.0
_FIRST_ROW, _ROW_MM = 152.0, 40.0
_PULSE_LEFT = _LEFT + 5.0
_TRACE_LEFT = _LEFT + 15.0
_PULSE = ((0.0, 0.0), (1.25, 0.0), (1.25, 10.0), (6.25, 10.0), (6.25, 0.0), (7.5, 0.0))
"""The calibration pulse in mm: 1 mV for 0.2 s."""

_INK, _FINE, _COARSE = "#101018", "#f6cfcf", "#e79a9a"
_TRACE_MM, _FINE_MM, _COARSE_MM = 0.30, 0.10, 0.20
_MARKER_MM = 2.2
"""Width of the coloured stroke below a trace."""
_FADED = 0.10
"""Share of the limit below which nothing is coloured."""
_COLOURS = LinearSegmentedColormap.from_list(
    "below_above",
    [
        (0.0, "#1f5fd0"),
        (0.5 - _FADED / 2, "#d3e2fb"),
        (0.5 - _FADED / 2, "#ffffff"),
        (0.5 + _FADED / 2, "#ffffff"),
        (0.5 + _FADED / 2, "#ffe6cc"),
        (1.0, "#e06a00"),
    ],
)
_NOTE_BOTTOM, _LOWER_BOTTOM = 9.0, 3.5
_BAR_LEFT, _BAR_RIGHT, _BAR_BOTTOM, _BAR_TOP = 180.0, 230.0, 8.5, 11.5


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """Values along the leads, drawn as a coloured stroke below each trace.

    Attributes:
        values: (12, n), rows as `lead_names`; sample i lies at i / `sampling_frequency` s from
            the recording's start. Where it has no value, nothing is coloured.
        limit: the value, either side of zero, with the full colour; above zero.
        below, above: what the colours of values below and above zero mean.
        lead_notes: a few characters beside the name of a lead.
        note: a line of text below the legend.
    """

    values: _Array = field(repr=False)
    lead_names: tuple[str, ...]
    sampling_frequency: float
    limit: float
    below: str
    above: str
    lead_notes: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def at(self, name: str, times_s: _Array) -> _Array:
        """Values of a lead at some times, linear between samples, 0 outside."""
        row = self.values[self.lead_names.index(name)]
        known_s = np.arange(row.size) / self.sampling_frequency
        between: _Array = np.interp(times_s, known_s, row, left=0.0, right=0.0)
        return between


def draw(
    recording: Recording,
    heading: Sequence[str],
    kind: Literal["png", "svg"],
    overlay: Overlay | None = None,
) -> bytes:
    """Draw the first 10 s: 3 x 4 leads of 2.5 s and lead II throughout.

    25 mm/s, 10 mm/mV, a grid of 1 and 5 mm, calibration pulses. The samples are drawn as
    recorded, but for each lead's median, so that an electrode's offset does not push it off the
    page. A lead that is missing is shown as missing, invalid samples as gaps.

    Args:
        heading: lines of text above the grid; the caller decides whether they say who it is.
        kind: "png" with 10 dots per mm, or "svg".
        overlay: values to colour the traces by, with a legend.

    Returns:
        The file's bytes, the same for the same arguments.
    """
    window = Window.of(recording)
    with rc_context({"svg.hashsalt": "ecgbatch", "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(_PAGE_MM[0] / _MM_PER_INCH, _PAGE_MM[1] / _MM_PER_INCH))
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set_xlim(0.0, _PAGE_MM[0])
        axes.set_ylim(0.0, _PAGE_MM[1])
        _draw_grid(axes)
        for row, leads in enumerate(_ROWS):
            _draw_row(axes, window, leads, _FIRST_ROW - row * _ROW_MM, overlay)
        _draw_text(axes, heading, _NOTE_BOTTOM if overlay is None else _LOWER_BOTTOM)
        if overlay is not None:
            _draw_legend(axes, overlay)
        content = BytesIO()
        metadata = {"Software": None} if kind == "png" else {"Date": None}
        figure.savefig(content, format=kind, dpi=_DOTS_PER_MM * _MM_PER_INCH, metadata=metadata)
    return content.getvalue()


def _draw_grid(axes: Axes) -> None:
    for step, colour, width in ((1.0, _FINE, _FINE_MM), (5.0, _COARSE, _COARSE_MM)):
        across = np.arange(_LEFT, _RIGHT + step / 2, step)
        upwards = np.arange(_BOTTOM, _TOP + step / 2, step)
        lines = [[(x, _BOTTOM), (x, _TOP)] for x in across]
        lines += [[(_LEFT, y), (_RIGHT, y)] for y in upwards]
        axes.add_collection(
            LineCollection(lines, colors=colour, linewidths=width * _POINTS_PER_MM, zorder=1)
        )


def _draw_row(
    axes: Axes,
    window: Window,
    leads: tuple[str, ...],
    baseline: float,
    overlay: Overlay | None,
) -> None:
    pulse = np.array(_PULSE) + np.array((_PULSE_LEFT, baseline))
    _draw_line(axes, pulse[:, 0], pulse[:, 1])
    duration_s = _COLUMN_S * len(_ROWS[0]) / len(leads)
    for column, name in enumerate(leads):
        start_s = column * duration_s
        left = _TRACE_LEFT + start_s * _MM_PER_S
        if column:
            _draw_line(axes, np.array([left, left]), baseline + np.array([-2.5, 2.5]))
        _draw_label(axes, name, left + 1.0, baseline + 9.0, overlay)
        if name not in window.lead_names:
            _draw_missing(axes, left, duration_s * _MM_PER_S, baseline)
            continue
        for x, y in _pieces(window, name, start_s, duration_s):
            if overlay is not None:
                _draw_values(
                    axes,
                    left + x,
                    baseline + y,
                    overlay.at(name, x / _MM_PER_S + start_s),
                    overlay.limit,
                )
            _draw_line(axes, left + x, baseline + y)


def _pieces(
    window: Window, name: str, start_s: float, duration_s: float
) -> Iterator[tuple[_Array, _Array]]:
    """Stretches of valid samples as (x, y) in mm from the column's left end and baseline."""
    signal = window.lead(name)
    valid = np.isfinite(signal)
    if not valid.any():
        return
    times_s = np.arange(signal.size) / window.sampling_frequency - start_s
    # One sample more, so that a lead reaches the mark where the next one starts.
    inside = (times_s >= 0) & (times_s <= duration_s)
    x, y = times_s * _MM_PER_S, (signal - np.median(signal[valid])) * _MM_PER_MV
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (inside & valid).astype(np.int8), [0]))))
    for first, last in edges.reshape(-1, 2):
        yield x[first:last], y[first:last]


def _draw_line(axes: Axes, x: _Array, y: _Array) -> None:
    (line,) = axes.plot(
        x,
        y,
        color=_INK,
        linewidth=_TRACE_MM * _POINTS_PER_MM,
        solid_joinstyle="round",
        zorder=3,
    )
    paper = Rectangle((_LEFT, _BOTTOM), _RIGHT - _LEFT, _TOP - _BOTTOM, transform=axes.transData)
    line.set_clip_path(paper)


def _draw_values(axes: Axes, x: _Array, y: _Array, values: _Array, limit: float) -> None:
    """A stroke along the trace, the stronger the further its value is from zero."""
    shares = np.clip((values[:-1] + values[1:]) / 2 / limit, -1.0, 1.0)
    is_drawn = np.abs(shares) >= _FADED
    points = np.column_stack((x, y))
    segments = np.stack((points[:-1], points[1:]), axis=1)[is_drawn]
    stroke = LineCollection(
        list(segments),
        colors=_COLOURS((shares[is_drawn] + 1) / 2),
        linewidths=_MARKER_MM * _POINTS_PER_MM,
        capstyle="butt",
        zorder=1.5,
    )
    axes.add_collection(stroke)
    paper = Rectangle((_LEFT, _BOTTOM), _RIGHT - _LEFT, _TOP - _BOTTOM, transform=axes.transData)
    stroke.set_clip_path(paper)


def _draw_legend(axes: Axes, overlay: Overlay) -> None:
    axes.imshow(
        np.linspace(-1.0, 1.0, 256)[np.newaxis],
        cmap=_COLOURS,
        extent=(_BAR_LEFT, _BAR_RIGHT, _BAR_BOTTOM, _BAR_TOP),
        aspect="auto",
        zorder=2,
    )
    axes.set_xlim(0.0, _PAGE_MM[0])
    axes.set_ylim(0.0, _PAGE_MM[1])
    middle = (_BAR_BOTTOM + _BAR_TOP) / 2
    for x, text, side in (
        (_BAR_LEFT - 1.5, overlay.below, "right"),
        (_BAR_RIGHT + 1.5, overlay.above, "left"),
    ):
        axes.text(x, middle, text, fontsize=8, color=_INK, ha=side, va="center")
    axes.text(_LEFT, _LOWER_BOTTOM, overlay.note, fontsize=8, color=_INK, parse_math=False)


def _draw_missing(axes: Axes, left: float, length: float, baseline: float) -> None:
    axes.plot(
        (left + 2.5, left + length - 2.5),
        (baseline, baseline),
        color=_INK,
        linewidth=_TRACE_MM * _POINTS_PER_MM,
        linestyle=(0, (4, 4)),
        zorder=3,
    )
    axes.text(left + length / 2, baseline + 2.0, "not in the file", ha="center", fontsize=8)


def _draw_label(axes: Axes, name: str, x: float, y: float, overlay: Overlay | None) -> None:
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
    note = overlay.lead_notes.get(name, "") if overlay is not None else ""
    if note:
        axes.text(x, y + 5.0, note, fontsize=8, color=_INK, zorder=2, bbox=paper)
    axes.text(x, y, name, fontsize=10, fontweight="bold", color=_INK, zorder=2, bbox=paper)


def _draw_text(axes: Axes, heading: Sequence[str], note_bottom: float) -> None:
    for number, line in enumerate(heading):
        # Text of a file is no formula.
        axes.text(_LEFT, 202.0 - 5.0 * number, line, fontsize=9, color=_INK, parse_math=False)
    axes.text(_LEFT, 9.0, "25 mm/s    10 mm/mV", fontsize=10, fontweight="bold", color=_INK)
    note = "first 10 s as recorded, unfiltered; each lead's median lies on its baseline"
    axes.text(_RIGHT, note_bottom, note, fontsize=8, color=_INK, ha="right")
