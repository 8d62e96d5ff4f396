"""What a reader process says, held to our own types before a word of it is believed."""

from collections.abc import Callable
from math import prod
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ecgbatch.errors import EcgbatchError, Incomplete, InputFault, Refusal
from ecgbatch.isolation.here import fit_together
from ecgbatch.isolation.slots import Buffer
from ecgbatch.isolation.wire import INPUT_TYPE, SAMPLE_TYPE, Frame
from ecgbatch.records import (
    Examined,
    Finding,
    Identity,
    Letterhead,
    ModelInput,
    Recording,
    RefusedECG,
    Stated,
)
from ecgbatch.terms import LEADS, WINDOW_SAMPLES, ReasonCode

Answer = Recording | Examined | EcgbatchError
"""An `InputFault` or a `Refusal` is the recording's."""
FromSlot = Callable[[int], bytes]
"""Takes so many bytes out of the slot of the request at hand; ValueError where there are none."""

_INPUT_SHAPE = (len(LEADS), WINDOW_SAMPLES)
_INPUT_BYTES = prod(_INPUT_SHAPE) * np.dtype(INPUT_TYPE).itemsize

_Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
_Check = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
_Detail = Annotated[str, Field(pattern=r"^[ -~]{0,200}$")]
_Lead = Annotated[str, Field(pattern=f"^({'|'.join(LEADS)})$")]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Version = Annotated[str, Field(pattern=r"^[\w.+-]{1,32}$")]
_Hertz = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Serial = Annotated[int, Field(ge=1)]
_Number = float | Literal["nan", "inf", "-inf"] | None


class _Strict(BaseModel):
    # Built with the first answer: a run that finds nothing has none.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True
    )


class Ready(_Strict):
    """The process is up, with these readers."""

    kind: Literal["ready"]
    readers: Annotated[tuple[_Word, ...], Field(min_length=1)]


class Unfit(_Strict):
    """A plug-in of the settings cannot be loaded."""

    kind: Literal["unfit"]
    plug_in: _Detail


class _Fault(_Strict):
    kind: Literal["fault"]
    serial: _Serial
    error: Literal["Incomplete", "InputFault", "Refusal"]
    reason: ReasonCode
    detail: _Detail
    letterhead: Letterhead | None = None


class _Decoded(_Strict):
    """A Recording without its samples. `identity` and `findings` inherit the strictness."""

    kind: Literal["recording"]
    serial: _Serial
    in_slot: bool
    shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    lead_names: tuple[str, ...]
    sampling_frequency: _Hertz
    signal_digest: _Digest
    format: _Word
    reader: _Word
    reader_version: _Version
    derived_leads: tuple[str, ...]
    identity: Identity
    statements: tuple[str, ...]
    statement_normal: bool | None
    findings: tuple[Finding, ...]

    @property
    def reader_named(self) -> str:
        return self.reader


class _Stated(_Strict):
    signal_digest: _Digest
    format: _Word
    sampling_frequency: _Hertz
    n_samples: Annotated[int, Field(ge=1)]
    reader: _Word
    reader_version: _Version
    identity: Identity
    statement_normal: bool | None


class _Found(_Strict):
    """A finding; JSON has no name for a number that is none."""

    check: _Check
    reason: ReasonCode
    lead: _Lead | None
    value: _Number
    limit: _Number
    refuses: bool


class _Examined(_Strict):
    """An Examined without its input, which is there unless it is refused."""

    kind: Literal["examined"]
    serial: _Serial
    in_slot: bool
    stated: _Stated
    findings: tuple[_Found, ...]
    outside: bool | None
    refused: ReasonCode | None
    padded_samples: Annotated[int, Field(ge=0, lt=WINDOW_SAMPLES)] | None

    @property
    def reader_named(self) -> str:
        return self.stated.reader


_OF_RECORDING = tuple(
    name for name in _Decoded.model_fields if name not in {"kind", "serial", "in_slot", "shape"}
)
_GREETING: TypeAdapter[Ready | Unfit] = TypeAdapter(
    Annotated[Ready | Unfit, Field(discriminator="kind")]
)
_ANSWER: TypeAdapter[_Fault | _Decoded | _Examined] = TypeAdapter(
    Annotated[_Fault | _Decoded | _Examined, Field(discriminator="kind")]
)


def parse_greeting(frame: Frame) -> Ready | Unfit:
    """The first frame of a reader process.

    Raises:
        ValueError: anything else than a greeting.
    """
    return _GREETING.validate_json(frame.header)


def parse_answer(
    frame: Frame,
    serial: int,
    readers: tuple[str, ...],
    from_slot: FromSlot,
    *,
    is_examination: bool,
) -> Answer:
    """The answer to request `serial`, by one of `readers`; an error as a value.

    Raises:
        ValueError: anything else than an answer to this request.
    """
    answer = _ANSWER.validate_json(frame.header)
    if answer.serial != serial:
        raise ValueError("another request's answer")
    if isinstance(answer, _Fault):
        if answer.letterhead and answer.letterhead.reader not in readers:
            raise ValueError("no such reader")
        return _error_of(answer)
    if isinstance(answer, _Examined) is not is_examination:
        raise ValueError("not what was asked for")
    if answer.reader_named not in readers:
        raise ValueError("no such reader")
    content = from_slot(_n_bytes(answer)) if answer.in_slot else frame.body
    if len(content) != _n_bytes(answer) or (answer.in_slot and frame.body):
        raise ValueError("not as many samples")
    return (
        _recording(answer, content) if isinstance(answer, _Decoded) else _examined(answer, content)
    )


def _n_bytes(answer: _Decoded | _Examined) -> int:
    if isinstance(answer, _Decoded):
        return prod(answer.shape) * np.dtype(SAMPLE_TYPE).itemsize
    return 0 if answer.padded_samples is None else _INPUT_BYTES


def _recording(answer: _Decoded, content: Buffer) -> Recording:
    if not fit_together(answer.shape, answer.lead_names, answer.derived_leads):
        raise ValueError("not a recording")
    samples = np.frombuffer(content, dtype=SAMPLE_TYPE).reshape(answer.shape)
    return Recording(signal=samples, **{name: getattr(answer, name) for name in _OF_RECORDING})


def _examined(answer: _Examined, content: Buffer) -> Examined:
    if (answer.padded_samples is None) is (answer.refused is None):
        raise ValueError("not an examination")
    stated = Stated(**{name: getattr(answer.stated, name) for name in _Stated.model_fields})
    findings = tuple(map(_finding, answer.findings))
    if answer.padded_samples is None:
        return Examined(stated, findings, answer.outside, refused=answer.refused)
    samples = np.frombuffer(content, dtype=INPUT_TYPE).reshape(_INPUT_SHAPE)
    if not np.isfinite(samples).all():
        raise ValueError("not an input")
    return Examined(stated, findings, answer.outside, ModelInput(samples, answer.padded_samples))


def _finding(said: _Found) -> Finding:
    value, limit = _float(said.value), _float(said.limit)
    return Finding(said.check, said.reason, said.lead, value, limit, said.refuses)


def _float(said: _Number) -> float | None:
    return None if said is None else float(said)


def _error_of(answer: _Fault) -> InputFault | Refusal:
    if answer.error == "Incomplete":
        return Incomplete(answer.detail)
    if answer.error == "InputFault":
        return InputFault(answer.reason, answer.detail)
    refusal = Refusal(answer.reason, answer.detail)
    return RefusedECG(refusal, answer.letterhead) if answer.letterhead else refusal
