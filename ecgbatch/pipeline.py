"""Bytes to outcome: decode, gate, prepare, score, stratify. No clock, no disk, no database."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ecgbatch.bundle.manifest import Manifest
from ecgbatch.errors import Incomplete, InputFault, Refusal
from ecgbatch.identity import Pseudonymiser, facts_of, facts_of_refused
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.quality.checks import check, refusal
from ecgbatch.quality.eligibility import is_outside
from ecgbatch.records import (
    Facts,
    Finding,
    Identity,
    ModelInput,
    NotYet,
    Outcome,
    Quarantined,
    Recording,
    RecordingBytes,
    RefusedECG,
    Rejected,
    RetryLater,
    Risk,
    Scored,
)
from ecgbatch.settings import Eligibility, Quality
from ecgbatch.strata import stratify
from ecgbatch.terms import Numerics, ReasonCode


@dataclass(frozen=True, slots=True)
class Instruments:
    """Everything that an assessment depends on beside the bytes; resolved once per run.

    Attributes:
        decode: bytes to a Recording; raises Incomplete, InputFault or Refusal.
        score: (12, 5000) input to one risk per task, in bundle order.
        keeps_identifiers: the outcome also says who stands behind the patient key.
    """

    decode: Callable[[RecordingBytes], Recording]
    score: Callable[[ModelInput], tuple[Risk, ...]]
    manifest: Manifest = field(repr=False)
    numerics: Numerics
    quality: Quality
    eligibility: Eligibility
    pseudonymiser: Pseudonymiser = field(repr=False)
    time_zone: str
    keeps_identifiers: bool = False


def assess(source: RecordingBytes, instruments: Instruments) -> Outcome:
    """What becomes of one recording. Every fault of the recording is an outcome, none is raised."""
    try:
        return _assess(source, instruments)
    except MemoryError:
        return RetryLater(ReasonCode.OUT_OF_MEMORY, "assess")


def _assess(source: RecordingBytes, instruments: Instruments) -> Outcome:
    unread = Facts(file_digest=source.file_digest)
    try:
        recording = instruments.decode(source)
    except Incomplete as fault:
        return NotYet(unread, fault.reason, "decode")
    except InputFault as fault:
        return Quarantined(unread, fault.reason, "decode")
    except RefusedECG as fault:
        facts = facts_of_refused(
            fault.letterhead,
            unread.file_digest,
            instruments.pseudonymiser,
            instruments.time_zone,
        )
        rejected = Rejected(facts, (), fault.reason, outside_intended_use=None)
        return _named(rejected, fault.letterhead.identity, instruments)
    except Refusal as fault:
        return Rejected(unread, (), fault.reason, outside_intended_use=None)
    outcome = _weigh(recording, unread.file_digest, instruments)
    return _named(outcome, recording.identity, instruments)


def _named(outcome: Outcome, identity: Identity, instruments: Instruments) -> Outcome:
    """The one place where an identifier goes on, and only if the site keeps it."""
    if not instruments.keeps_identifiers or not isinstance(outcome, Scored | Rejected):
        return outcome
    return replace(outcome, named=instruments.pseudonymiser.named(identity.patient_identifier))


def _weigh(recording: Recording, file_digest: str, instruments: Instruments) -> Outcome:
    facts = facts_of(recording, file_digest, instruments.pseudonymiser, instruments.time_zone)
    findings = check(recording, instruments.quality, instruments.eligibility)
    outside = is_outside(recording, findings)
    refused = refusal(findings)
    if refused is not None:
        return Rejected(facts, findings, refused.reason, outside)
    try:
        return _score(recording, facts, findings, outside, instruments)
    except Refusal as fault:
        return Rejected(facts, findings, fault.reason, outside)
    except InputFault as fault:
        return Quarantined(facts, fault.reason, "score")


def _score(
    recording: Recording,
    facts: Facts,
    findings: tuple[Finding, ...],
    outside: bool | None,
    instruments: Instruments,
) -> Scored:
    prepared = to_input(
        recording.signal, recording.sampling_frequency, instruments.manifest.preprocessing
    )
    risks = instruments.score(prepared)
    return Scored(
        facts=facts,
        findings=findings,
        assessment=stratify(risks, instruments.manifest, instruments.numerics),
        outside_intended_use=outside,
        padded_samples=prepared.padded_samples,
    )
