"""The part of a recording that is scored, as the checks see it."""

from dataclasses import dataclass, field
from typing import Self

from ecgbatch.records import Millivolts, Recording
from ecgbatch.terms import WINDOW_S


@dataclass(frozen=True, slots=True, eq=False)
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
