"""What a reader process says, held to our own types before a word of it is believed."""

from math import prod
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ecgbatch.errors import Incomplete, InputFault, Refusal
from ecgbatch.isolation.wire import SAMPLE_TYPE, Frame
from ecgbatch.records import Finding, Identity, Letterhead, Recording, RefusedECG
from ecgbatch.terms import LEADS, ReasonCode

_Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
_Detail = Annotated[str, Field(pattern=r"^[ -~]{0,200}$")]
_Serial = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Ready(_Strict):
    """The process is up, with these readers."""

    kind: Literal["ready"]
    readers: tuple[_Word, ...]


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
    shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    lead_names: tuple[str, ...]
    sampling_frequency: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    signal_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    format: _Word
    reader: _Word
    reader_version: Annotated[str, Field(pattern=r"^[\w.+-]{1,32}$")]
    derived_leads: tuple[str, ...]
    identity: Identity
    statements: tuple[str, ...]
    statement_normal: bool | None
    findings: tuple[Finding, ...]


_STATED = tuple(name for name in _Decoded.model_fields if name not in {"kind", "serial", "shape"})
_GREETING: TypeAdapter[Ready | Unfit] = TypeAdapter(
    Annotated[Ready | Unfit, Field(discriminator="kind")]
)
_ANSWER: TypeAdapter[_Fault | _Decoded] = TypeAdapter(
    Annotated[_Fault | _Decoded, Field(discriminator="kind")]
)


def parse_greeting(frame: Frame) -> Ready | Unfit:
    """The first frame of a reader process.

    Raises:
        ValueError: anything else than a greeting.
    """
    return _GREETING.validate_json(frame.header)


def parse_answer(frame: Frame, serial: int, readers: tuple[str, ...]) -> Recording:
    """The recording that answers request `serial`, by one of `readers`.

    Raises:
        Incomplete, InputFault, Refusal: as the reader said.
        ValueError: anything else than an answer to this request.
    """
    answer = _ANSWER.validate_json(frame.header)
    if answer.serial != serial:
        raise ValueError("another request's answer")
    if isinstance(answer, _Fault):
        if answer.letterhead and answer.letterhead.reader not in readers:
            raise ValueError("no such reader")
        raise _error_of(answer)
    if answer.reader not in readers or not _is_sound(answer, len(frame.body)):
        raise ValueError("not a recording")
    stated = {name: getattr(answer, name) for name in _STATED}
    samples = np.frombuffer(frame.body, dtype=SAMPLE_TYPE).reshape(answer.shape)
    return Recording(signal=samples, **stated)


def _is_sound(answer: _Decoded, n_bytes: int) -> bool:
    """Whether shape, leads and samples fit together as a reader's must."""
    names = answer.lead_names
    in_order = tuple(lead for lead in LEADS if lead in names)
    return (
        names == in_order
        and answer.shape[0] == len(names)
        and n_bytes == prod(answer.shape) * np.dtype(SAMPLE_TYPE).itemsize
        and set(answer.derived_leads) <= set(names)
    )


def _error_of(answer: _Fault) -> InputFault | Refusal:
    if answer.error == "Incomplete":
        return Incomplete(answer.detail)
    if answer.error == "InputFault":
        return InputFault(answer.reason, answer.detail)
    refusal = Refusal(answer.reason, answer.detail)
    return RefusedECG(refusal, answer.letterhead) if answer.letterhead else refusal
