"""Bytes to outcome: read and examine, score, stratify. No clock, no disk, no database."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ecgbatch.bundle.manifest import Manifest
from ecgbatch.errors import EcgbatchError, Incomplete, InputFault, Refusal
from ecgbatch.examination import Terms, examine
from ecgbatch.identity import Pseudonymiser, facts_of, facts_of_refused
from ecgbatch.records import (
    Examined,
    Facts,
    Finding,
    Identity,
    ModelInput,
    Named,
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

Risks = tuple[Risk, ...]
"""One per task, in the bundle's order."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """Everything that an assessment depends on beside the bytes; resolved once per run.

    Attributes:
        decode: bytes to a Recording; raises Incomplete, InputFault or Refusal.
        score: (12, 5000) input to one risk per task, in bundle order.
        examine: bytes to what is known before the net, in a process of its own; raises as
            `decode`. None: what `decode` gives is examined in this process.
        keeps_identifiers: the outcome also says who stands behind the patient key.
    """

    decode: Callable[[RecordingBytes], Recording]
    score: Callable[[ModelInput], Risks]
    manifest: Manifest = field(repr=False)
    numerics: Numerics
    quality: Quality
    eligibility: Eligibility
    pseudonymiser: Pseudonymiser = field(repr=False)
    time_zone: str
    keeps_identifiers: bool = False
    examine: Callable[[RecordingBytes, Terms], Examined] | None = None

    @property
    def terms(self) -> Terms:
        return Terms(self.quality, self.eligibility, self.manifest.preprocessing)


@dataclass(frozen=True, slots=True, eq=False)
class Awaiting:
    """An ECG that only the net's answer is missing from."""

    facts: Facts
    findings: tuple[Finding, ...]
    outside: bool | None
    prepared: ModelInput = field(repr=False)
    named: Named | None = field(default=None, repr=False)


def assess(source: RecordingBytes, instruments: Instruments) -> Outcome:
    """What becomes of one recording. Every fault of the recording is an outcome, none is raised."""
    try:
        before = as_far_as_the_net(source, instruments)
        if not isinstance(before, Awaiting):
            return before
        return after_net(before, _risks(before, instruments), instruments)
    except MemoryError:
        return RetryLater(ReasonCode.OUT_OF_MEMORY, "assess")


def as_far_as_the_net(source: RecordingBytes, instruments: Instruments) -> Awaiting | Outcome:
    """Read and examined: an ECG for the net, or an end without it.

    Raises:
        MemoryError: this machine has too little for it.
    """
    return before_net(source.file_digest, _answer(source, instruments), instruments)


def before_net(
    file_digest: str, answer: Examined | EcgbatchError, instruments: Instruments
) -> Awaiting | Outcome:
    """What a reading and its examination come to: an ECG for the net, or an end without it.

    Args:
        answer: of the reader; an error as it was raised.

    Raises:
        EcgbatchError: `answer`, where it is none of the recording's.
    """
    unread = Facts(file_digest=file_digest)
    match answer:
        case Examined():
            return _weighed(answer, file_digest, instruments)
        case Incomplete():
            return NotYet(unread, answer.reason, "decode")
        case InputFault():
            return Quarantined(unread, answer.reason, "decode")
        case RefusedECG():
            head, people = answer.letterhead, instruments.pseudonymiser
            facts = facts_of_refused(head, file_digest, people, instruments.time_zone)
            rejected = Rejected(facts, (), answer.reason, outside_intended_use=None)
            return replace(rejected, named=_named(head.identity, instruments))
        case Refusal():
            return Rejected(unread, (), answer.reason, outside_intended_use=None)
    raise answer


def after_net(
    awaiting: Awaiting, risks: Risks | InputFault, instruments: Instruments
) -> Scored | Quarantined:
    """The strata of an ECG's risks; a number that is none sets it aside."""
    try:
        if isinstance(risks, InputFault):
            raise risks
        assessment = stratify(risks, instruments.manifest, instruments.numerics)
    except InputFault as fault:
        return Quarantined(awaiting.facts, fault.reason, "score")
    return Scored(
        facts=awaiting.facts,
        findings=awaiting.findings,
        assessment=assessment,
        outside_intended_use=awaiting.outside,
        padded_samples=awaiting.prepared.padded_samples,
        named=awaiting.named,
    )


def _answer(source: RecordingBytes, instruments: Instruments) -> Examined | EcgbatchError:
    try:
        if instruments.examine is not None:
            return instruments.examine(source, instruments.terms)
        return examine(instruments.decode(source), instruments.terms)
    except (InputFault, Refusal) as fault:
        return fault


def _risks(awaiting: Awaiting, instruments: Instruments) -> Risks | InputFault:
    try:
        return instruments.score(awaiting.prepared)
    except InputFault as fault:
        return fault


def _weighed(examined: Examined, file_digest: str, instruments: Instruments) -> Awaiting | Rejected:
    facts = facts_of(examined.stated, file_digest, instruments.pseudonymiser, instruments.time_zone)
    named = _named(examined.stated.identity, instruments)
    if examined.prepared is None:
        reason = examined.refused or ReasonCode.INTERNAL_FAULT
        return Rejected(facts, examined.findings, reason, examined.outside, named)
    return Awaiting(facts, examined.findings, examined.outside, examined.prepared, named)


def _named(identity: Identity, instruments: Instruments) -> Named | None:
    """The one place where an identifier goes on, and only if the site keeps it."""
    if not instruments.keeps_identifiers:
        return None
    return instruments.pseudonymiser.named(identity.patient_identifier)
