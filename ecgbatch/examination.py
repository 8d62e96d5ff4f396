"""A recording held against the gates and prepared for the net: all that happens before the net."""

from dataclasses import dataclass, field

from ecgbatch.errors import Refusal
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.preprocessing.of_spec import PreprocessingSpec
from ecgbatch.quality.checks import check, refusal
from ecgbatch.quality.eligibility import is_outside
from ecgbatch.quality.of_settings import Eligibility, Quality
from ecgbatch.records import Examined, Recording, Stated


@dataclass(frozen=True, slots=True)
class Terms:
    """What recordings are examined under: the settings' gates and the bundle's preparation."""

    quality: Quality
    eligibility: Eligibility
    preprocessing: PreprocessingSpec = field(repr=False)


def examine(recording: Recording, terms: Terms) -> Examined:
    """The gates' findings, and the net's input unless one of them refuses the recording."""
    stated = Stated.of(recording)
    findings = check(recording, terms.quality, terms.eligibility)
    outside = is_outside(recording, findings)
    refused = refusal(findings)
    if refused is not None:
        return Examined(stated, findings, outside, refused=refused.reason)
    try:
        prepared = to_input(recording.signal, recording.sampling_frequency, terms.preprocessing)
    except Refusal as fault:
        return Examined(stated, findings, outside, refused=fault.reason)
    return Examined(stated, findings, outside, prepared)
