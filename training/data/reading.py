"""One ECG: decoded in a process of its own, gated, prepared; what is known of it afterwards."""

import hmac
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import Incomplete, InputFault, Refusal, SetupFault
from ecgbatch.identity import Pseudonymiser
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.preprocessing.spec import PreprocessingSpec
from ecgbatch.quality.checks import check, refusal
from ecgbatch.records import Finding, Recording, RecordingBytes
from ecgbatch.settings import Settings, load_settings
from ecgbatch.terms import SCORING_VERSION, ReasonCode
from training.terms import person

Decode = Callable[[RecordingBytes], Recording]
Prepared = NDArray[np.float32]
"""(12, 5000)."""

PASSING = (ReasonCode.READER_CRASHED, ReasonCode.READER_TIMEOUT, ReasonCode.READER_MEMORY)
"""A reader process may be lost for want of time or memory: asked again on the next run."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one ECG file says; no identifier in it.

    Attributes:
        key: file digest.
        reason: why it cannot be used, None where it can; then nothing else is known.
        flags: what the gates found that refuses nothing, each once.
        patient_mark: keyed hash of the identifier in the header, None where it names nobody.
    """

    key: str
    reason: ReasonCode | None = None
    flags: tuple[ReasonCode, ...] = ()
    signal_digest: str | None = None
    patient_mark: str | None = field(default=None, repr=False)
    acquired_at: datetime | None = None
    age_years: float | None = None
    sex: str | None = None
    device: str | None = None
    site: str | None = None
    statement_normal: bool | None = None

    def as_json(self) -> dict[str, Any]:
        stated = asdict(self)
        if self.acquired_at is not None:
            stated["acquired_at"] = self.acquired_at.isoformat()
        return stated

    @classmethod
    def from_json(cls, stated: dict[str, Any]) -> Self:
        """Raises: KeyError, TypeError, ValueError: not what `as_json` gives."""
        reason, at = stated["reason"], stated["acquired_at"]
        known = {
            "flags": tuple(map(ReasonCode, stated["flags"])),
            "reason": None if reason is None else ReasonCode(reason),
            "acquired_at": None if at is None else datetime.fromisoformat(at),
        }
        return cls(**{**stated, **known})


@dataclass(frozen=True, slots=True)
class Patients:
    """Compares a header's identifier with the manifest's, without keeping either."""

    secret: bytes = field(repr=False)
    placeholders: tuple[str, ...]

    def is_placeholder(self, text: str) -> bool:
        return self._names.is_placeholder(text)

    def stated(self, text: str | None) -> str | None:
        return self._names.stated(text)

    def mark(self, identifier: str | None) -> str | None:
        """The same for identifiers that `person` does not tell apart."""
        if identifier is None or self.is_placeholder(identifier):
            return None
        return hmac.new(self.secret, person(identifier).encode(), sha256).hexdigest()

    @property
    def _names(self) -> Pseudonymiser:
        return Pseudonymiser(site_key=None, authority="", placeholders=self.placeholders)


def gate_settings() -> Settings:
    """The packaged defaults: gates, limits, placeholders. The environment plays no part."""
    return load_settings(environment={})


def rules_digest(spec: PreprocessingSpec, gates: Settings) -> str:
    """What a reading depends on beside the file's bytes; no version of a library."""
    parts = (str(SCORING_VERSION), spec.digest, gates.gate_digest, *gates.site.placeholders)
    return sha256("\n".join(parts).encode()).hexdigest()


def read_one(
    source: RecordingBytes,
    decode: Decode,
    spec: PreprocessingSpec,
    gates: Settings,
    patients: Patients,
) -> tuple[Reading, Prepared | None]:
    """Decode, gate and prepare one ECG as `ecgbatch` does before it scores.

    Raises:
        SetupFault: `reader_not_installed`: hundreds of ECGs must not drop out for one library;
            `out_of_memory`.
    """
    key = source.file_digest
    try:
        recording = decode(source)
        findings = check(recording, gates.quality, gates.eligibility)
        refused = refusal(findings)
        if refused is not None:
            return Reading(key, refused.reason), None
        prepared = to_input(recording.signal, recording.sampling_frequency, spec)
    except MemoryError:
        raise SetupFault(ReasonCode.OUT_OF_MEMORY) from None
    except (Incomplete, InputFault, Refusal) as fault:
        if fault.reason is ReasonCode.READER_NOT_INSTALLED:
            raise SetupFault(fault.reason) from None
        return Reading(key, fault.reason), None
    return _reading(key, recording, findings, patients), prepared.signal


def _reading(
    key: str, recording: Recording, findings: tuple[Finding, ...], patients: Patients
) -> Reading:
    identity = recording.identity
    at = identity.acquired_at
    return Reading(
        key=key,
        flags=tuple(sorted({finding.reason for finding in findings})),
        signal_digest=recording.signal_digest,
        patient_mark=patients.mark(identity.patient_identifier),
        acquired_at=None if at is None else at.replace(microsecond=0, tzinfo=None),
        age_years=identity.age_years,
        sex=identity.sex if identity.sex in {"female", "male"} else None,
        device=patients.stated(identity.device),
        site=patients.stated(identity.site),
        statement_normal=recording.statement_normal,
    )
