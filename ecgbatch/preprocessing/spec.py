"""What is done to a signal before the net: frozen, ordered, with a digest.

The order is fixed where it matters: the window is taken first, at the recording's own sampling
frequency, so that only the needed part of a longer record is filtered; then resampling to
500 Hz; then, in the listed order, everything else on exactly 5000 samples.
"""

import json
from hashlib import sha256
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from ecgbatch.errors import SetupFault
from ecgbatch.terms import SAMPLING_FREQUENCY, WINDOW_S, ReasonCode


class _Step(BaseModel):
    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, defer_build=True
    )


class Window(_Step):
    """The first 10 s; up to `max_missing` short, the last value of each lead is repeated.

    `context_s` of real samples after the window are kept for the resampling filter alone.
    """

    step: Literal["window"] = "window"
    duration_s: Annotated[float, Field(ge=WINDOW_S, le=WINDOW_S)] = WINDOW_S
    max_missing: Annotated[float, Field(ge=0, lt=1)] = 0.02
    context_s: Annotated[float, Field(ge=0, le=1)] = 0.4


class Resample(_Step):
    """To 500 Hz by the exact rational ratio, with a Kaiser-windowed anti-aliasing filter.

    `half_length` is half the filter, in samples of the slower side.
    """

    step: Literal["resample"] = "resample"
    sampling_frequency: Annotated[float, Field(ge=SAMPLING_FREQUENCY, le=SAMPLING_FREQUENCY)] = (
        SAMPLING_FREQUENCY
    )
    half_length: Annotated[int, Field(ge=4, le=64)] = 16
    kaiser_beta: PositiveFloat = 8.0


class Notch(_Step):
    """Second-order notch, forwards and backwards (zero phase)."""

    step: Literal["notch"] = "notch"
    frequency_hz: Annotated[float, Field(gt=0, lt=SAMPLING_FREQUENCY / 2)]
    quality: PositiveFloat


class Bandpass(_Step):
    """Butterworth bandpass, forwards and backwards (zero phase)."""

    step: Literal["bandpass"] = "bandpass"
    order: Annotated[int, Field(ge=1, le=8)]
    low_hz: PositiveFloat
    high_hz: Annotated[float, Field(gt=0, lt=SAMPLING_FREQUENCY / 2)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low_hz >= self.high_hz:
            raise ValueError("low_hz must be below high_hz")
        return self


class MedianBaseline(_Step):
    """Subtracts the running median of each lead."""

    step: Literal["median_baseline"] = "median_baseline"
    window_s: Annotated[float, Field(gt=0, lt=WINDOW_S)]


class ZScore(_Step):
    """(x - mean) / (population standard deviation + eps), per lead or over all leads."""

    step: Literal["zscore"] = "zscore"
    over: Literal["lead", "record"]
    eps: PositiveFloat = 1e-8


Step = Annotated[
    Window | Resample | Notch | Bandpass | MedianBaseline | ZScore, Field(discriminator="step")
]


class PreprocessingSpec(BaseModel):
    """Named steps in order; `window`, `resample`, then any others.

    Attributes:
        name: for people; not part of the digest.
        steps: all that moves a number.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1, max_length=80)]
    steps: Annotated[tuple[Step, ...], Field(strict=False, min_length=2, max_length=20)]

    @model_validator(mode="after")
    def _window_then_resample(self) -> Self:
        first, second, *others = self.steps
        if not isinstance(first, Window) or not isinstance(second, Resample):
            raise ValueError("the first two steps must be window and resample")  # noqa: TRY004
        if any(isinstance(step, Window | Resample) for step in others):
            raise ValueError("window and resample occur once")
        return self

    @property
    def has_filters(self) -> bool:
        """Whether any step is worth compiling for (`filters.warm`)."""
        return any(isinstance(step, Notch | Bandpass | MedianBaseline) for step in self.steps)

    @property
    def canonical_json(self) -> str:
        """The steps as one line of JSON: sorted keys, no spaces, ASCII."""
        steps = [step.model_dump(mode="json") for step in self.steps]
        return json.dumps(steps, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def digest(self) -> str:
        """SHA-256 of `canonical_json`, in hex."""
        return sha256(self.canonical_json.encode("ascii")).hexdigest()


def preset(name: str) -> PreprocessingSpec:
    """One of the published preparations.

    Args:
        name: `anyecg-ccta` (z-score per lead, no filter; as the published CCTA code does) or
            `ecgfounder` (notch, bandpass, median baseline, z-score over all leads).

    Raises:
        SetupFault: no preset has this name.
    """
    others: dict[str, tuple[Step, ...]] = {
        "anyecg-ccta": (ZScore(over="lead"),),
        "ecgfounder": (
            Notch(frequency_hz=50.0, quality=30.0),
            Bandpass(order=4, low_hz=0.67, high_hz=40.0),
            MedianBaseline(window_s=0.4),
            ZScore(over="record"),
        ),
    }
    if name not in others:
        raise SetupFault(ReasonCode.BUNDLE_INVALID, f"preset is one of {', '.join(others)}")
    return PreprocessingSpec(name=name, steps=(Window(), Resample(), *others[name]))
