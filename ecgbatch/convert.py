"""Any readable ECG as the standard array: 12 x 5000 float32 mV, 500 Hz, first 10 s, unfiltered."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import Refusal
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.preprocessing.spec import PreprocessingSpec, Resample, Window
from ecgbatch.provenance import code_version
from ecgbatch.quality.checks import check, refusal
from ecgbatch.records import Finding, Recording, RecordingBytes
from ecgbatch.settings import Settings
from ecgbatch.sources.folder import FolderSource, locator_of
from ecgbatch.terms import LEADS, SAMPLING_FREQUENCY, ReasonCode

STANDARD = PreprocessingSpec(name="standard", steps=(Window(), Resample()))
"""What makes the standard array: the window and the sampling frequency, nothing else."""


@dataclass(frozen=True, slots=True)
class Place:
    """One recording to read: `stated` is what the user typed, `locator` what lies below it.

    Attributes:
        fingerprint: as scanned; None for a file that the user named.
    """

    stated: Path
    source: FolderSource
    locator: str
    fingerprint: str | None = None

    def name(self, number: int, *, with_locator: bool) -> str:
        """How to speak of it: what the user typed; a file in a folder by its number or locator."""
        if self.fingerprint is None:
            return str(self.stated)
        return f"{self.stated}: {self.locator}" if with_locator else f"{self.stated}, ECG {number}"

    def read(self) -> RecordingBytes:
        """All bytes of it.

        Raises:
            InputFault, TransientFault: as the folder says.
        """
        if self.fingerprint is None:
            return self.source.read_as_is(self.locator)
        return self.source.read(self.locator, self.fingerprint)


@dataclass(frozen=True, slots=True, eq=False)
class Standardised:
    """The standard array, (12, 5000) float32 mV, with what is known about it; no identity."""

    signal: NDArray[np.float32] = field(repr=False)
    file_digest: str
    signal_digest: str
    format: str
    reader: str
    reader_version: str
    recorded_sampling_frequency: float
    recorded_samples: int
    derived_leads: tuple[str, ...]
    padded_samples: int
    findings: tuple[Finding, ...]

    @property
    def description(self) -> dict[str, object]:
        """All but the samples, as plain values."""
        return {
            "leads": LEADS,
            "sampling_frequency": SAMPLING_FREQUENCY,
            "unit": "mV",
            "file_digest": self.file_digest,
            "signal_digest": self.signal_digest,
            "format": self.format,
            "reader": self.reader,
            "reader_version": self.reader_version,
            "recorded_sampling_frequency": self.recorded_sampling_frequency,
            "recorded_samples": self.recorded_samples,
            "derived_leads": self.derived_leads,
            "padded_samples": self.padded_samples,
            "findings": [asdict(finding) for finding in self.findings],
            "code_version": code_version(),
        }


def places(stated: Path, limit_bytes: int, out: Path) -> Iterator[Place]:
    """The file itself, or every recording in the folder and below; what lies in `out` is ours.

    Raises:
        SetupFault: the folder cannot be listed.
    """
    path = stated.resolve()
    if not path.is_dir():
        source = FolderSource(path.parent, limit_bytes)
        yield Place(stated, source, locator_of((os.fsencode(path.name),)))
        return
    folder = FolderSource(path, limit_bytes, own_files=(out.resolve(),))
    for sighting in folder.scan():
        yield Place(stated, folder, sighting.locator, sighting.fingerprint)


def standardise(
    source: RecordingBytes,
    decode: Callable[[RecordingBytes], Recording],
    settings: Settings,
    *,
    strict: bool,
) -> Standardised:
    """Decode, cut and resample one recording; the checks' findings go along.

    Args:
        strict: a finding that would refuse the recording for scoring refuses it here too.

    Raises:
        InputFault: the reader refuses it.
        Refusal: `lead_missing`, `too_short` or `invalid_samples`: there is no such array; with
            `strict` the reason of the first finding that refuses.
    """
    recording = decode(source)
    findings = check(recording, settings.quality, settings.eligibility)
    refused = refusal(findings)
    if strict and refused is not None:
        raise Refusal(refused.reason, refused.lead or "")
    _refuse_missing(recording)
    prepared = to_input(recording.signal, recording.sampling_frequency, STANDARD)
    return Standardised(
        signal=prepared.signal,
        file_digest=source.file_digest,
        signal_digest=recording.signal_digest,
        format=recording.format,
        reader=recording.reader,
        reader_version=recording.reader_version,
        recorded_sampling_frequency=recording.sampling_frequency,
        recorded_samples=recording.n_samples,
        derived_leads=recording.derived_leads,
        padded_samples=prepared.padded_samples,
        findings=tuple(to_be_shown(finding) for finding in findings),
    )


def to_be_shown(finding: Finding) -> Finding:
    """The finding without a value that is no number, or that is the patient's age."""
    is_age = finding.reason is ReasonCode.AGE_UNDER_18
    is_number = finding.value is not None and math.isfinite(finding.value)
    return finding if is_number and not is_age else replace(finding, value=None)


def _refuse_missing(recording: Recording) -> None:
    missing = [name for name in LEADS if name not in recording.lead_names]
    if missing:
        raise Refusal(ReasonCode.LEAD_MISSING, ", ".join(missing))
