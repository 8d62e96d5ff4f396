"""The part of a recording that is scored, as the checks see it: measured once, used by many."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np

from ecgbatch.quality.beats import Beats, find_beats
from ecgbatch.quality.spectrum import Spectrum
from ecgbatch.records import Millivolts, Recording
from ecgbatch.terms import WINDOW_S


@dataclass(frozen=True, eq=False)
class Window:
    """The first 10 s in mV, (n_leads, n_samples), beside the whole recording's duration in s."""

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
    def centred(self) -> Millivolts:
        """Each lead without its median, which is the offset of the electrode."""
        centred: Millivolts = self.signal - np.median(self.signal, axis=1, keepdims=True)
        return centred

    @cached_property
    def peaks(self) -> Millivolts:
        """Largest distance of each lead from its median, (n_leads,) in mV."""
        peaks: Millivolts = np.maximum(self.centred.max(axis=1), -self.centred.min(axis=1))
        return peaks

    @cached_property
    def spectrum(self) -> Spectrum:
        """The centred signal in frequency."""
        return Spectrum.of(self.centred, self.sampling_frequency)

    @cached_property
    def beats(self) -> Beats:
        """The QRS complexes of all leads together."""
        return find_beats(self.spectrum)
