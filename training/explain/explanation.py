"""One ECG file into the relevances of each vessel, or the reason why it has none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ecgbatch.errors import Refusal
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.quality.checks import check, refusal
from ecgbatch.quality.eligibility import is_outside
from ecgbatch.records import ModelInput, Recording, RecordingBytes
from ecgbatch.settings import Settings
from ecgbatch.terms import Stratum, Vessel
from training.explain.attribution import Attribution, Method, attribute
from training.explain.model import Model
from training.explain.reading import read_bytes


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """One vessel's risk and what moved it.

    Attributes:
        probability: calibrated, as `ecgbatch` would store it; the stratum likewise, None where
            the bundle has no cuts for the vessel.
    """

    vessel: Vessel
    probability: float
    stratum: Stratum | None
    is_experimental: bool
    attribution: Attribution


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedECG:
    """An ECG that a bundle can score, with one explanation per vessel that was asked for.

    Attributes:
        prepared: what the nets saw: (12, 5000) at 500 Hz from the recording's first sample on.
        outside_intended_use: as on a result; None where it is not known.
    """

    file_digest: str
    recording: Recording = field(repr=False)
    prepared: ModelInput = field(repr=False)
    outside_intended_use: bool | None
    explanations: tuple[Explanation, ...]


def explain_file(
    path: Path,
    model: Model,
    vessels: Sequence[Vessel],
    method: Method,
    *,
    decode: Callable[[RecordingBytes], Recording],
    settings: Settings,
) -> ExplainedECG:
    """Read, gate and prepare one ECG as scoring does, then attribute each vessel's logit.

    Raises:
        InputFault, TransientFault: it cannot be read.
        SetupFault: `source_unavailable`: its disk or network share fails.
        Refusal: scoring would reject it, with the same reason.
    """
    source = read_bytes(path)
    recording = decode(source)
    findings = check(recording, settings.quality, settings.eligibility)
    refused = refusal(findings)
    if refused is not None:
        raise Refusal(refused.reason, refused.lead or "")
    prepared = to_input(
        recording.signal, recording.sampling_frequency, model.bundle.manifest.preprocessing
    )
    return ExplainedECG(
        source.file_digest,
        recording,
        prepared,
        is_outside(recording, findings),
        tuple(explain(prepared, model, vessel, method) for vessel in vessels),
    )


def explain(prepared: ModelInput, model: Model, vessel: Vessel, method: Method) -> Explanation:
    """One vessel's risk and what moved it."""
    output = model.output(vessel)
    attribution = attribute(model.nets, prepared.signal, output, method)
    probability = model.probability(vessel, attribution.logit)
    return Explanation(
        vessel,
        probability,
        model.stratum(vessel, probability),
        model.bundle.manifest.tasks[output].is_experimental,
        attribution,
    )
