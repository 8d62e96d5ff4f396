"""The part of a recording that is scored, as the checks see it: measured once, used by many."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np

from ecgbatch.quality.beats import Beats, find_beats
from ecgbatch.quality.ranks import median
from ecgbatch.quality.runs import Rows
from ecgbatch.quality.spectrum import Spectrum
from ecgbatch.records import Millivolts, Recording
from ecgbatch.terms import WINDOW_S


@dataclass(frozen=True, eq=False)
class Window:
    """The first 10 s in mV, (n_leads, n_samples), beside the whole recording's duration in s.

    What is measured needs samples, and numbers (`is_measurable`).
    """

    signal: Millivolts = field(repr=False)
    lead_names: tuple[str, ...]
    derived_leads: tuple[str, ...]
    sampling_frequency: float
    duration_s: float

    @classmethod
    def of(cls, recording: Recording) -> Self:
        n_samples = round(WINDOW_S * recording.sampling_frequency)
        return cls(
            signal=recording.signal[:, :n_samples],
            lead_names=recording.lead_names,
            derived_leads=recording.derived_leads,
            sampling_frequency=recording.sampling_frequency,
            duration_s=recording.duration_s,
        )

    def lead(self, name: str) -> Millivolts:
        """One lead, (n_samples,) in mV."""
        samples: Millivolts = self.signal[self.lead_names.index(name)]
        return samples

    @cached_property
    def highest(self) -> Millivolts:
        """The largest value of each lead, (n_leads,) in mV; NaN where one of them is."""
        highest: Millivolts = self.signal.max(axis=1)
        return highest

    @cached_property
    def lowest(self) -> Millivolts:
        """The smallest value of each lead, (n_leads,) in mV; NaN where one of them is."""
        lowest: Millivolts = self.signal.min(axis=1)
        return lowest

    @cached_property
    def swings(self) -> Millivolts:
        """From the lowest to the highest value of each lead, (n_leads,) in mV."""
        swings: Millivolts = self.highest - self.lowest
        return swings

    @cached_property
    def is_measurable(self) -> bool:
        """There are samples, and each is a number."""
        if self.signal.size == 0:
            return False
        return bool(np.isfinite([self.highest, self.lowest]).all())

    @cached_property
    def centred(self) -> Millivolts:
        """Each lead without its median, which is the offset of the electrode."""
        centred: Millivolts = self.signal - median(self.signal)[:, None]
        return centred

    def peaks(self, rows: Rows) -> Millivolts:
        """Largest distance of each of these leads from its median, (n,) in mV."""
        medians = median(self.signal[rows])
        peaks: Millivolts = np.maximum(self.highest[rows] - medians, medians - self.lowest[rows])
        return peaks

    def rows_beyond(self, limit_mv: float) -> Rows:
        """Leads that may be farther from their median than that: none is by more than its swing."""
        return np.flatnonzero(self.swings > limit_mv)

    @cached_property
    def spectrum(self) -> Spectrum:
        """The signal in frequency."""
        return Spectrum.of(self.signal, self.sampling_frequency)

    @cached_property
    def beats(self) -> Beats:
        """The QRS complexes of all leads together."""
        return find_beats(self.spectrum)
