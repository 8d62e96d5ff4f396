"""What every part of an experiment's settings is built on."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode, Vessel

Model = TypeVar("Model", bound=BaseModel)

Share = Annotated[float, Field(ge=0.0, le=1.0)]
OpenShare = Annotated[float, Field(gt=0.0, lt=1.0)]
Size = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


_SAID = {"missing": " is not stated", "extra_forbidden": " is not known"}
"""What a mistake is called, where the key alone does not tell."""


class Settings(BaseModel):
    """Immutable; an unknown key, NaN or infinity is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def refuse_other_vessels(given: Mapping[Vessel, object], key: str) -> None:
    """Raises: ValueError, the four vessels are not all named."""
    if set(given) != set(Vessel):
        raise ValueError(f"{key} must name the four vessels")


def read_toml(path: Path) -> dict[str, Any]:
    """Raises: SetupFault, `settings_invalid`: not there, or not TOML."""
    try:
        with path.open("rb") as opened:
            return tomllib.load(opened)
    except OSError:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "the file cannot be read") from None
    except UnicodeDecodeError:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "the file is not UTF-8") from None
    except tomllib.TOMLDecodeError as fault:
        line = re.search(r"line \d+", str(fault))
        place = "at its end" if line is None else f"at {line[0]}"
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"the file is not TOML {place}") from None


def validated(model: type[Model], content: Mapping[str, Any]) -> Model:
    """Raises: SetupFault, `settings_invalid`, naming the first key at fault."""
    try:
        return model.model_validate(content)
    except ValidationError as found:
        first = found.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the whole file"
        said = _SAID.get(first["type"], "")
        if first["type"] == "value_error":
            said = f": {first['msg'].removeprefix('Value error, ')}"
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"key {key}{said}") from None
