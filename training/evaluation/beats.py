"""Mean beats of the low and the high stratum over the twelve leads, with their differences."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecgbatch.bundle.operating_points import Scope
from ecgbatch.quality.beats import find_beats
from ecgbatch.quality.spectrum import Spectrum
from ecgbatch.records import Millivolts
from ecgbatch.terms import LEADS, Stratum
from training.evaluation.section import Context, Findings, Picture, ReadMillivolts, Table
from training.evaluation.style import BAND, STRATUM_COLOURS, WIDTH, named, styled, titled
from training.records import Array, Rows, Study
from training.statistics.any_vessel import SCOPES, task_of
from training.statistics.decisions import classes

TITLE = "Mean beats"
_HZ = 500
_R_WITHIN_S = 0.1
_LEVEL_S = (-0.08, -0.05)
_FEWEST_BEATS = 3
_AT_ONCE = 64
_GROUPS = (Stratum.LOW, Stratum.HIGH)
Window = tuple[int, int]
"""Samples before (negative) and after the R peak."""
_NOTES = (
    "A beat is the median of an ECG's beats, aligned on the R peak (the largest deflection of "
    "lead II within 0.1 s of the detected QRS complex), its level that of the 30 ms from 80 ms "
    "before it. ECGs with fewer than 3 whole beats are left out.",
    "Line: mean over ECGs; band: 95 % of that mean. A difference between strata is what the risk "
    "goes by and what goes along with it, age, sex and rate among others; it is not a cause.",
)


def examine(context: Context) -> Findings:
    """Per scope with cuts, at most `beats_most` ECGs of each stratum, drawn with the seed."""
    if context.read_mv is None:
        return Findings(TITLE, notes=("Not examined: the ECGs themselves are not at hand.",))
    drawn = {
        scope: _drawn(context, scope, cuts)
        for scope in SCOPES
        if (cuts := context.cuts.get(scope)) is not None
    }
    if not drawn:
        return Findings(TITLE, notes=("Not examined: there are no cuts.",))
    settings = context.settings
    window = (round(settings.beats_from_s * _HZ), round(settings.beats_to_s * _HZ))
    rows = np.unique(np.concatenate([part for of in drawn.values() for part in of.values()]))
    found = dict(_beats(context.read_mv, [context.study.keys[row] for row in rows], window))
    by_row = {int(row): found.get(context.study.keys[row]) for row in rows}
    means = {
        scope: {stratum: _mean(by_row, part) for stratum, part in of.items()}
        for scope, of in drawn.items()
    }
    n_missing = sum(beat is None for beat in by_row.values())
    notes = [f"{n_missing} ECGs could not be read or have too few beats."] if n_missing else []
    return Findings(
        TITLE,
        tables=(_table(context.study, means),),
        pictures=tuple(
            Picture(
                f"beats_{scope}".lower(),
                f"Mean beats of the low and the high stratum, "
                f"{named(scope, context.study.experimental)}: lead II large, all leads beside.",
                partial(draw, context.study, scope, of, window),
            )
            for scope, of in means.items()
            if all(mean is not None for mean in of.values())
        ),
        notes=(*notes, *_NOTES),
    )


MeanBeat = tuple[Array, Array, int]
"""Mean and half-width of its 95 % interval, (12, T) mV, and the number of ECGs."""


def _drawn(context: Context, scope: Scope, cuts: tuple[float, float]) -> dict[Stratum, Rows]:
    place = classes(task_of(context.study, scope).scores, cuts)
    rng = np.random.default_rng(context.bootstrap.seed)
    found = {}
    for stratum in _GROUPS:
        rows = np.flatnonzero(place == list(Stratum).index(stratum))
        most = min(len(rows), context.settings.beats_most)
        found[stratum] = np.sort(rng.choice(rows, most, replace=False))
    return found


def _beats(
    read: ReadMillivolts, keys: Sequence[str], window: Window
) -> Iterator[tuple[str, Array]]:
    """Keys with their median beats; an ECG that is not read or has too few beats is left out."""
    for first in range(0, len(keys), _AT_ONCE):
        part = keys[first : first + _AT_ONCE]
        signals = list(read(part))
        if len(signals) != len(part):
            # One was left out, and it is not said which: singly, the answer is certain.
            pairs = [(key, signal) for key in part for signal in read([key])]
        else:
            pairs = list(zip(part, signals, strict=True))
        for key, signal in pairs:
            if (beat := median_beat(signal, window)) is not None:
                yield key, beat


def median_beat(signal: Millivolts, window: Window) -> Array | None:
    """The median of an ECG's whole beats, aligned on R.

    Args:
        signal: (12, 5000) mV at 500 Hz, leads in the order of LEADS.

    Returns:
        (12, T) mV relative to the level before the QRS complex; None with fewer than three beats.
    """
    peaks = r_peaks(signal)
    whole = peaks[(peaks + window[0] >= 0) & (peaks + window[1] <= signal.shape[1])]
    if len(whole) < _FEWEST_BEATS:
        return None
    beats = signal[:, whole[:, np.newaxis] + np.arange(*window)]
    start, stop = (round(edge * _HZ) - window[0] for edge in _LEVEL_S)
    level = np.median(beats[:, :, max(start, 0) : max(stop, 1)], axis=2, keepdims=True)
    return np.median(beats - level, axis=1)


def r_peaks(signal: Millivolts) -> Rows:
    """Samples of the R peaks: the largest deflection of lead II near each detected QRS complex."""
    lead = signal[LEADS.index("II")]
    found = find_beats(Spectrum.of(signal, _HZ))
    centres = np.round(found.positions * (_HZ / found.sampling_frequency)).astype(np.int64)
    half = round(_R_WITHIN_S * _HZ)
    peaks = []
    for centre in centres:
        first = max(int(centre) - half, 0)
        near = lead[first : int(centre) + half]
        if near.size:
            peaks.append(first + int(np.abs(near - np.median(near)).argmax()))
    return np.unique(np.array(peaks, dtype=np.int64))


def _mean(by_row: dict[int, Array | None], rows: Rows) -> MeanBeat | None:
    beats = [beat for row in rows if (beat := by_row[int(row)]) is not None]
    if not beats:
        return None
    stacked = np.stack(beats)
    sd = stacked.std(axis=0, ddof=1) if len(beats) > 1 else np.zeros_like(stacked[0])
    return stacked.mean(axis=0), 1.96 * sd / np.sqrt(len(beats)), len(beats)


def _table(study: Study, means: dict[Scope, dict[Stratum, MeanBeat | None]]) -> Table:
    rows = [
        {
            "scope": named(scope, study.experimental),
            **{f"{stratum}: ECGs": 0 if mean is None else mean[2] for stratum, mean in of.items()},
        }
        for scope, of in means.items()
    ]
    return Table("ECGs behind the mean beats", pd.DataFrame(rows))


@styled
def draw(
    study: Study, scope: Scope, means: dict[Stratum, MeanBeat | None], window: Window
) -> Figure:
    """Lead II large on the left, the twelve leads beside it in columns of four."""
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    title = f"Mean beats, {named(scope, study.experimental)}"
    figure.suptitle(titled(study, title), fontsize=11, fontweight="bold")
    grid = figure.add_gridspec(4, 5)
    large = figure.add_subplot(grid[:, :2])
    _panel(large, LEADS.index("II"), means, window)
    large.set_xlabel("s after R")
    large.set_ylabel("mV")
    figure.legend(*large.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    first: Axes | None = None
    for index in range(len(LEADS)):
        small = figure.add_subplot(grid[index % 4, 2 + index // 4], sharex=first, sharey=first)
        first = first or small
        _panel(small, index, means, window)
        small.tick_params(labelleft=index < 4, labelbottom=index % 4 == 3)
    return figure


def _panel(axes: Axes, lead: int, means: dict[Stratum, MeanBeat | None], window: Window) -> None:
    seconds = np.arange(*window) / _HZ
    for stratum, mean in means.items():
        if mean is None:
            continue
        line, half, n = mean[0][lead], mean[1][lead], mean[2]
        colour = STRATUM_COLOURS[stratum]
        style = "-" if stratum is Stratum.LOW else "--"
        axes.plot(seconds, line, style, color=colour, label=f"{stratum} (n = {n:,})", linewidth=1.2)
        axes.fill_between(seconds, line - half, line + half, color=colour, alpha=BAND, linewidth=0)
    axes.set_title(LEADS[lead], loc="left")
