"""Figures as shares of their width and height: pure numbers, which the page draws as SVG.

Text of a figure is text of the page, so that it has one size however wide the figure is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10

from ecgbatch.report.spans import Spans
from ecgbatch.store.reporting_strata import BINS
from ecgbatch.terms import Stratum, counted

_GAP = 0.14
"""Share of a column that is left free."""
_MOST_NUMBERED = 10
"""Columns up to which each has its number written above."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, 0..100 from the left and from the top; `kind` is its colour's class."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A label at 0..100 along an axis: from the left, or from the bottom."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure.

    Attributes:
        alt: what it shows, in words and numbers, for those who do not see it.
        bands: behind the bars, without a name of their own.
        cuts: vertical lines.
        above: labels on the upper edge.
    """

    title: str
    alt: str
    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_name: str
    y_name: str
    bands: tuple[Bar, ...] = ()
    cuts: tuple[Tick, ...] = ()
    above: tuple[Tick, ...] = ()


def stacked(title: str, spans: Spans, layers: Mapping[str, Sequence[int]], what: str) -> Chart:
    """Counts per column, one layer upon the other, the first at the bottom."""
    totals = [sum(column) for column in zip(*layers.values(), strict=True)]
    top, ticks = axis(max(totals, default=0))
    bars = _columns(spans, layers, [top] * len(totals))
    busiest = max(range(len(totals)), key=totals.__getitem__)
    alt = f"{sum(totals):,} {what} per {spans.unit}"
    if totals[busiest]:
        alt += f"; most, {totals[busiest]:,}, in {spans.columns[busiest].name}"
    return Chart(title, f"{alt}.", bars, _x_ticks(spans), ticks, "", f"{what} per {spans.unit}")


def shares(title: str, spans: Spans, layers: Mapping[str, Sequence[int]]) -> Chart:
    """Shares per column that has any, the first layer at the bottom; with the number above."""
    totals = [sum(column) for column in zip(*layers.values(), strict=True)]
    ticks = tuple(Tick(at, f"{at} %") for at in (0, 50, 100))
    bars = _columns(spans, layers, [max(1, total) for total in totals])
    width = 100 / len(totals)
    above = (
        tuple(Tick(width * (n + 0.5), f"{total:,}") for n, total in enumerate(totals) if total)
        if len(totals) <= _MOST_NUMBERED
        else ()
    )
    n_ecgs = sum(totals)
    parts = (
        f"{name} {percent(sum(numbers), n_ecgs)}" for name, numbers in layers.items() if n_ecgs
    )
    alt = f"{title}, {counted(n_ecgs, 'ECG')}: {', '.join(parts) or 'none'}."
    return Chart(title, alt, bars, _x_ticks(spans), ticks, "", "share of ECGs", above=above)


def distribution(title: str, counts: Sequence[int], cuts: tuple[float, float] | None) -> Chart:
    """A histogram over 0..1 with the cuts between low, intermediate and high.

    Args:
        counts: ECGs per bin, `BINS` of equal width.
    """
    top, ticks = axis(max(counts))
    width = 100 / BINS
    bars = tuple(
        Bar(
            number * width + width * _GAP / 2,
            100 - 100 * count / top,
            width * (1 - _GAP),
            100 * count / top,
            "count",
            f"risk {number / BINS:.2f} to {(number + 1) / BINS:.2f}: {counted(count, 'ECG')}",
        )
        for number, count in enumerate(counts)
        if count
    )
    edges = (0.0, *cuts, 1.0) if cuts else ()
    bands = tuple(
        Bar(100 * start, 0, 100 * (end - start), 100, stratum, stratum)
        for stratum, start, end in zip(Stratum, edges, edges[1:], strict=False)
    )
    fullest = max(range(BINS), key=counts.__getitem__)
    alt = f"{title}: {counted(sum(counts), 'ECG')}"
    if counts[fullest]:
        alt += f", most with a risk of {fullest / BINS:.2f} to {(fullest + 1) / BINS:.2f}"
    if cuts:
        alt += f"; cuts at {cuts[0]:.3f} and {cuts[1]:.3f}"
    return Chart(
        title,
        f"{alt}.",
        bars,
        tuple(Tick(at, f"{at / 100:g}") for at in (0, 25, 50, 75, 100)),
        ticks,
        "calibrated risk",
        "ECGs",
        bands,
        tuple(Tick(100 * cut, f"{cut:.2f}") for cut in cuts or ()),
    )


def axis(largest: int) -> tuple[int, tuple[Tick, ...]]:
    """The upper end of an axis of counts and two or three whole ticks from 0 to it."""
    if largest <= 1:
        return 1, (Tick(0, "0"), Tick(100, "1"))
    power = 10 ** floor(log10(largest))
    top = next(step * power for step in (1, 2, 4, 5, 6, 8, 10) if step * power >= largest)
    middle = (Tick(50, f"{top // 2:,}"),) if top % 2 == 0 else ()
    return top, (Tick(0, "0"), *middle, Tick(100, f"{top:,}"))


def percent(part: int, whole: int) -> str:
    """`12 %`; a part that is not none is never shown as 0 %, nor one short of all as 100 %."""
    if whole == 0:
        return "-"
    share = 100 * part / whole
    if 0 < share < 1:
        return "< 1 %"
    return f"{floor(share)} %" if 99 < share < 100 else f"{round(share)} %"


def _columns(
    spans: Spans, layers: Mapping[str, Sequence[int]], tops: Sequence[int]
) -> tuple[Bar, ...]:
    width = 100 / len(tops)
    bars = []
    for place, (span, top) in enumerate(zip(spans.columns, tops, strict=True)):
        column = {name: numbers[place] for name, numbers in layers.items()}
        bottom = 0.0
        for name, number in column.items():
            height = 100 * number / top
            if number:
                named = f"{span.name}: {number:,} of {sum(column.values()):,} {name}"
                left = width * (place + _GAP / 2)
                inside = width * (1 - _GAP)
                bars.append(Bar(left, 100 - bottom - height, inside, height, name, named))
            bottom += height
    return tuple(bars)


def _x_ticks(spans: Spans) -> tuple[Tick, ...]:
    width = 100 / len(spans.columns)
    # An hour begins at its label; a day is the column above it.
    middle = 0.0 if spans.hours == 1 else 0.5
    return tuple(Tick(width * (place + middle), text) for place, text in spans.labels())
