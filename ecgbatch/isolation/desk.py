"""What the reader process makes of a request: a header and raw samples, or a reason."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import EcgbatchError, Incomplete, InputFault, Refusal
from ecgbatch.isolation import wire
from ecgbatch.isolation.here import decode_here, fit_together
from ecgbatch.isolation.slots import Buffer
from ecgbatch.readers.registry import Reader
from ecgbatch.records import (
    Examined,
    Finding,
    Identity,
    Letterhead,
    Recording,
    RefusedECG,
    Stated,
)
from ecgbatch.terms import LEADS, SAMPLING_FREQUENCY, WINDOW_SAMPLES, ReasonCode

if TYPE_CHECKING:
    from ecgbatch.examination import Terms

Answer = tuple[dict[str, object], Sequence[Buffer]]

DETAIL_CHARACTERS = 200


class Desk:
    """The readers at hand, and the terms that were handed in last."""

    def __init__(self, plug_ins: Sequence[Reader]) -> None:
        self._plug_ins = plug_ins
        self._terms: Terms | None = None

    def prepare(self, terms: str | None) -> None:
        """Load what the terms need, so that it is not the first ECG that waits for it."""
        if terms:
            self._take(terms)
            self._examined(_rehearsal())

    def answer(self, request: wire.Request) -> Answer:
        """What becomes of one recording; never raises."""
        try:
            if request.terms:
                self._take(request.terms)
            recording = decode_here(request.source, self._plug_ins)
            if request.terms is None:
                return _of_recording(recording)
            return _of_examined(self._examined(recording))
        except (InputFault, Refusal) as fault:
            return fault_of(fault)
        except MemoryError:
            return fault_of(InputFault(ReasonCode.READER_MEMORY))
        except EcgbatchError:
            return fault_of(InputFault(ReasonCode.READER_CRASHED, "not an error of a reader"))
        except Exception:  # noqa: BLE001 - a plug-in may return anything
            return fault_of(InputFault(ReasonCode.READER_CRASHED, "not a recording"))

    def _take(self, terms: str) -> None:
        # Only a process that examines needs what examinations need.
        from ecgbatch.isolation.terms_text import terms_of  # noqa: PLC0415

        self._terms = terms_of(terms)

    def _examined(self, recording: Recording) -> Examined:
        """Under the terms of this request, or the last ones handed in."""
        from ecgbatch.examination import examine  # noqa: PLC0415 - as above

        samples = _samples(recording)
        if self._terms is None or not _is_sound(recording, samples):
            raise ValueError("leads and samples do not fit together")
        return examine(replace(recording, signal=samples), self._terms)


def fault_of(fault: InputFault | Refusal) -> Answer:
    """The header of an error; its text cut to printable ASCII."""
    error = next(kind for kind in (Incomplete, InputFault, Refusal) if isinstance(fault, kind))
    detail = "".join(c if " " <= c <= "~" else "?" for c in fault.detail[:DETAIL_CHARACTERS])
    head = fault.letterhead if isinstance(fault, RefusedECG) else None
    return {
        "kind": "fault",
        "error": error.__name__,
        "reason": fault.reason,
        "detail": detail,
        "letterhead": None if head is None else _with_identity(head, head.identity),
    }, []


def _of_recording(recording: Recording) -> Answer:
    samples = _samples(recording)
    stated = _with_identity(recording, recording.identity)
    del stated["signal"]
    findings = [_flat(finding) for finding in recording.findings]
    header = {**stated, "kind": "recording", "shape": samples.shape, "findings": findings}
    return header, [samples.data.cast("B")]


def _of_examined(examined: Examined) -> Answer:
    prepared = examined.prepared
    header: dict[str, object] = {
        "kind": "examined",
        "stated": _with_identity(examined.stated, examined.stated.identity),
        "findings": [_of_finding(finding) for finding in examined.findings],
        "outside": examined.outside,
        "refused": examined.refused,
        "padded_samples": None if prepared is None else prepared.padded_samples,
    }
    if prepared is None:
        return header, []
    return header, [np.ascontiguousarray(prepared.signal, wire.INPUT_TYPE).data.cast("B")]


def _samples(recording: Recording) -> NDArray[np.float64]:
    return np.ascontiguousarray(recording.signal, dtype=wire.SAMPLE_TYPE)


def _is_sound(recording: Recording, samples: NDArray[np.float64]) -> bool:
    """What a run checks of a recording that it is given, before the gates believe it."""
    return (
        fit_together(samples.shape, recording.lead_names, recording.derived_leads)
        and math.isfinite(recording.sampling_frequency)
        and recording.sampling_frequency > 0
        and all(isinstance(statement, str) for statement in recording.statements)
    )


def _flat(value: Finding | Identity | Letterhead | Recording | Stated) -> dict[str, object]:
    """Its fields, as they are."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _with_identity(value: Letterhead | Recording | Stated, identity: Identity) -> dict[str, object]:
    said = {
        name: one.isoformat() if isinstance(one, datetime) else one
        for name, one in _flat(identity).items()
    }
    return {**_flat(value), "identity": said}


def _of_finding(finding: Finding) -> Mapping[str, object]:
    """JSON has no name for a number that is none."""
    numbers = {"value": _number(finding.value), "limit": _number(finding.limit)}
    return {**_flat(finding), **numbers, "refuses": bool(finding.refuses)}


def _number(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(float(value))


def _rehearsal() -> Recording:
    """Ten seconds that pass every check: a beat each second, alike in no two leads."""
    time_s = np.arange(WINDOW_SAMPLES) / SAMPLING_FREQUENCY
    beat = np.exp(-(((time_s % 1.0) - 0.5) ** 2) / (2 * 0.012**2))
    wave = np.exp(-(((time_s % 1.0) - 0.8) ** 2) / (2 * 0.05**2))
    size = np.arange(1, len(LEADS) + 1)[:, None] / len(LEADS)
    return Recording(
        signal=size * beat + 0.3 * (1 - size) * wave + 0.01 * np.sin(7 * time_s),
        lead_names=LEADS,
        sampling_frequency=SAMPLING_FREQUENCY,
        signal_digest="0" * 64,
        format="none",
        reader="none",
        reader_version="0",
        derived_leads=LEADS[2:6],
    )
