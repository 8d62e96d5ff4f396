"""The file in which a site states what its weights mean: tasks, cuts, strata, origin."""

import json
import tomllib
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from ecgbatch.bundle.manifest import Metric
from ecgbatch.bundle.operating_points import AnyVessel, Frozen, StratumEntry, Task, Text
from ecgbatch.bundle.strict_json import parse_strict
from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode

_SOURCE = "cuts file"
_INTENDED_USE = (
    "Enriches the choice of who is looked at. It does not diagnose, and low does not exclude "
    "disease: labels exist only for patients sent to coronary CT angiography."
)
_EXCLUSIONS = (
    "acute chest pain",
    "paced rhythm",
    "age under 18",
    "comparing one patient's ECGs over time",
)


class CutsFile(Frozen):
    """As the same keys of bundle.json; the other keys come from the import's options."""

    tasks: Annotated[tuple[Task, ...], Field(strict=False)]
    any_vessel: AnyVessel
    strata: Annotated[tuple[StratumEntry, ...], Field(strict=False)] = ()
    near_cut: Annotated[float, Field(ge=0, le=0.1)]
    training_data: Text
    citation: Text
    intended_use: Text = _INTENDED_USE
    exclusions: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] = _EXCLUSIONS
    metrics: Annotated[tuple[Metric, ...], Field(strict=False)] = ()
    notes: Annotated[tuple[Text, ...], Field(strict=False)] = ()


def parse_cuts(content: bytes, syntax: Literal["json", "toml"]) -> CutsFile:
    """Raises: SetupFault `bundle_invalid` or `cuts_inverted`, naming the key or task."""
    return parse_strict(content if syntax == "json" else _as_json(content), CutsFile, _SOURCE)


def _as_json(content: bytes) -> bytes:
    try:
        document = tomllib.loads(content.decode("utf-8"))
        return json.dumps(document, allow_nan=False, default=_iso).encode("utf-8")
    except (ValueError, TypeError, RecursionError):
        raise SetupFault(
            ReasonCode.BUNDLE_INVALID, f"{_SOURCE}: not TOML of text, finite numbers and days"
        ) from None


def _iso(value: object) -> str:
    if type(value) is not date:
        raise TypeError
    return value.isoformat()
