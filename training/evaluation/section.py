"""What one section of an evaluation takes and gives; `sections.SECTIONS` lists them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd
from matplotlib.figure import Figure

from ecgbatch.bundle.operating_points import Scope
from ecgbatch.records import Millivolts
from training.records import Measure, Study
from training.settings.evaluation import BootstrapSettings, EvaluationSettings

CutPairs = Mapping[Scope, tuple[float, float]]
"""Low and high cut on the calibrated probability; a scope without cuts is absent."""
ReadMillivolts = Callable[[Sequence[str]], Iterator[Millivolts]]
"""Keys of ECGs to (12, 5000) mV at 500 Hz, in order; one that cannot be read is left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What every section sees.

    Attributes:
        read_mv: None where the ECGs themselves are not at hand (`evaluate --scores`).
        repeats: all ECGs of the same patients, index ECGs or not; None where there are no others.
    """

    study: Study = field(repr=False)
    cuts: CutPairs
    settings: EvaluationSettings
    bootstrap: BootstrapSettings
    read_mv: ReadMillivolts | None = None
    repeats: Study | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table as it is shown; the index is not.

    Attributes:
        thin: what a report shows of a frame too long for it, which goes to Parquet; None: all.
    """

    title: str
    frame: pd.DataFrame = field(repr=False)
    note: str = ""
    thin: pd.DataFrame | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A figure by name (`calibration_lad`); drawn when it is saved, then closed."""

    name: str
    caption: str
    draw: Callable[[], Figure] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What a section found.

    Attributes:
        measures: for measures.parquet, metrics.json and the bundle.
        notes: sentences: what was left out and why, what a reader must not conclude.
    """

    title: str
    measures: tuple[Measure, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()


class Section(Protocol):
    """A module with one function `examine(context) -> Findings`. Pure but for `read_mv`.

    A section whose columns or classes are absent says so in `notes` and gives no measures.
    """

    def examine(self, context: Context) -> Findings: ...
