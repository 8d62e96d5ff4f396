"""What every part of an experiment's settings is built on."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ecgbatch.terms import Vessel

Share = Annotated[float, Field(ge=0.0, le=1.0)]
OpenShare = Annotated[float, Field(gt=0.0, lt=1.0)]
Size = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Settings(BaseModel):
    """Immutable; an unknown key, NaN or infinity is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def refuse_other_vessels(given: Mapping[Vessel, object], key: str) -> None:
    """Raises: ValueError, the four vessels are not all named."""
    if set(given) != set(Vessel):
        raise ValueError(f"{key} must name the four vessels")
