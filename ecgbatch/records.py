"""The frozen values that travel from source to store. Arrays in them are read-only."""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import Refusal
from ecgbatch.terms import Disposition, ReasonCode, Stratum, Vessel

Millivolts = NDArray[np.float64]
"""Samples in mV, shape (n_leads, n_samples) or (n_samples,)."""
Counts = NDArray[np.int64]
"""Samples as stored, baseline subtracted, shape (n_samples,)."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something seen at a place, before any byte of its signal was read.

    Attributes:
        locator: relative to the source's root, percent-encoded bytes, "/" between parts.
            For WFDB the header's; for a signal file without a header its own.
        fingerprint: size and mtime_ns of all members; a change means other bytes.
        members: locators of all members in canonical order; the first is `locator`.
        is_whole: every member that the header names is there.
    """

    locator: str
    fingerprint: str
    members: tuple[str, ...]
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """A claimed piece of work; `token` is the fence of every later write.

    Attributes:
        request: `new`, or the number of the re-scoring that asked for it.
    """

    work_id: int
    item_id: int
    locator: str
    fingerprint: str
    token: int
    bundle_digest: str
    source_id: int
    request: str


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a recording: its bare name (never a path) and its bytes."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecordingBytes:
    """All bytes of one recording, in memory, as hashed and as decoded."""

    members: tuple[Member, ...] = field(repr=False)

    @property
    def first(self) -> bytes:
        return self.members[0].content

    @property
    def file_digest(self) -> str:
        """SHA-256 over the members in order, each after its length (8 bytes, big-endian)."""
        digest = sha256()
        for member in self.members:
            digest.update(len(member.content).to_bytes(8, "big"))
            digest.update(member.content)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check or a reader saw; written whether it refuses or not.

    Attributes:
        value, limit: in the check's own unit; None where the finding has no number.
        lead: None for the whole recording.
    """

    check: str
    reason: ReasonCode
    lead: str | None = None
    value: float | None = None
    limit: float | None = None
    refuses: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Who, when and where, as the file says it. Never printed, logged or kept as it stands.

    Attributes:
        acquired_at: the file's wall clock, unconverted; `acquired_zone` beside it or None.
        age_years: at acquisition.
        device: what tells one cart from another; `ecg_id` the vendor's own id of this ECG.
        edit_status: unconfirmed, confirmed, corrected or None.
    """

    patient_identifier: str | None = field(default=None, repr=False)
    acquired_at: datetime | None = None
    acquired_zone: str | None = None
    age_years: float | None = None
    sex: str | None = None
    device: str | None = None
    site: str | None = None
    accession: str | None = field(default=None, repr=False)
    order_number: str | None = field(default=None, repr=False)
    ecg_id: str | None = field(default=None, repr=False)
    edit_at: datetime | None = None
    edit_status: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One decoded ECG.

    Attributes:
        signal: (n_leads, n_samples) float64 mV; NaN where the file marks a sample as invalid.
        lead_names: standard names, in LEADS order, derived ones included.
        sampling_frequency: Hz.
        signal_digest: SHA-256 over counts, lead order, rate and scale as stored.
        statements: the device's or reader's text, for gates in memory; not kept.
        findings: what the reader itself noticed.
    """

    signal: Millivolts = field(repr=False)
    lead_names: tuple[str, ...]
    sampling_frequency: float
    signal_digest: str
    format: str
    reader: str
    reader_version: str
    derived_leads: tuple[str, ...] = ()
    identity: Identity = field(default=Identity(), repr=False)
    statements: tuple[str, ...] = field(default=(), repr=False)
    statement_normal: bool | None = None
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        self.signal.flags.writeable = False

    @property
    def n_samples(self) -> int:
        return int(self.signal.shape[1])

    @property
    def duration_s(self) -> float:
        return self.n_samples / self.sampling_frequency


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What a reader knows of an ECG whose signal it refuses; fields as in `Recording`."""

    format: str
    reader: str
    reader_version: str
    identity: Identity = field(default=Identity(), repr=False)
    statement_normal: bool | None = None


class RefusedECG(Refusal):
    """A reader's refusal that says which ECG it refuses."""

    def __init__(self, refusal: Refusal, letterhead: Letterhead) -> None:
        super().__init__(refusal.reason, refusal.detail)
        self.letterhead = letterhead


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """Signal (12, 5000) float32, as the preprocessing specification says, rows in LEADS order."""

    signal: NDArray[np.float32] = field(repr=False)
    padded_samples: int

    def __post_init__(self) -> None:
        self.signal.flags.writeable = False


@dataclass(frozen=True, slots=True)
class Stated:
    """What a reading says of a recording, without its samples; fields as in `Recording`."""

    signal_digest: str
    format: str
    sampling_frequency: float
    n_samples: int
    reader: str
    reader_version: str
    identity: Identity = field(default=Identity(), repr=False)
    statement_normal: bool | None = None

    @classmethod
    def of(cls, recording: Recording) -> Self:
        return cls(
            signal_digest=recording.signal_digest,
            format=recording.format,
            sampling_frequency=recording.sampling_frequency,
            n_samples=recording.n_samples,
            reader=recording.reader,
            reader_version=recording.reader_version,
            identity=recording.identity,
            statement_normal=recording.statement_normal,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """A recording that was read and held against the gates, ready for the net or refused.

    Attributes:
        outside: of the intended use, as the file itself shows; None where it is silent.
        prepared: the net's input; None where the recording is refused.
        refused: why there is none.
    """

    stated: Stated
    findings: tuple[Finding, ...]
    outside: bool | None
    prepared: ModelInput | None = field(default=None, repr=False)
    refused: ReasonCode | None = None


@dataclass(frozen=True, slots=True)
class Risk:
    """One task's output. `probability` is calibrated where the bundle has a calibrator."""

    task: Vessel
    logit: float
    probability_raw: float
    probability: float


@dataclass(frozen=True, slots=True)
class TaskAssessment:
    """A risk with its stratum; None only for an experimental task without cuts."""

    risk: Risk
    stratum: Stratum | None
    near_cut: bool
    is_experimental: bool


@dataclass(frozen=True, slots=True)
class Assessment:
    """What one ECG is given: each task, and any vessel (maximum over non-experimental tasks)."""

    tasks: tuple[TaskAssessment, ...]
    any_vessel_risk: float
    any_vessel_stratum: Stratum


@dataclass(frozen=True, slots=True)
class Facts:
    """What the newest reading says of a recording, ready for its row; no identifier in it.

    `file_digest` is the only field that a corrupt file has too.
    """

    file_digest: str
    signal_digest: str | None = None
    acquisition_key: str | None = None
    patient_key: str | None = field(default=None, repr=False)
    acquired_at: datetime | None = None
    acquired_zone: str | None = None
    age_years: float | None = None
    sex: str | None = None
    device: str | None = None
    site: str | None = None
    accession: str | None = field(default=None, repr=False)
    order_number: str | None = field(default=None, repr=False)
    ecg_id: str | None = field(default=None, repr=False)
    edit_at: datetime | None = None
    edit_status: str | None = None
    statement_normal: bool | None = None
    format: str | None = None
    sampling_frequency: float | None = None
    n_samples: int | None = None
    reader: str | None = None
    reader_version: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """Who stands behind a patient key, where the site keeps that.

    It goes from the reader to the store of identifiers and nowhere else: no field is ever shown.
    """

    patient_key: str = field(repr=False)
    authority: str = field(repr=False)
    identifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a result, beside the recording: goes onto every result row."""

    pipeline_id: str
    preprocessing_digest: str
    settings_digest: str
    runtime: str
    precision: str
    code_version: str
    library_versions: str
    worker: str
    run_id: int


@dataclass(frozen=True, slots=True)
class Scored:
    facts: Facts
    findings: tuple[Finding, ...]
    assessment: Assessment
    outside_intended_use: bool | None
    padded_samples: int
    named: Named | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    facts: Facts
    findings: tuple[Finding, ...]
    reason: ReasonCode
    outside_intended_use: bool | None
    named: Named | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """`facts` is None where the bytes could not be read at all."""

    facts: Facts | None
    reason: ReasonCode
    stage: str


@dataclass(frozen=True, slots=True)
class NotYet:
    """Incomplete: waits out the grace without spending an attempt, then is quarantined."""

    facts: Facts | None
    reason: ReasonCode
    stage: str


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The surroundings failed; no attempt is spent."""

    reason: ReasonCode
    stage: str


Outcome = Scored | Rejected | Quarantined | NotYet | RetryLater


@dataclass(frozen=True, slots=True)
class Finish:
    """How one work unit ended, as written."""

    disposition: Disposition
    reason: ReasonCode | None
