"""JSON as it must be: no duplicate key, no NaN, no unknown key; each complaint names the key."""

import json
import re
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode

_Model = TypeVar("_Model", bound=BaseModel)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_WORDS = {"extra_forbidden": "unknown key", "missing": "missing key"}


class _NotStrict(Exception):
    """JSON that a lenient parser would take; the text is ours."""


def parse_strict(content: bytes, model: type[_Model], source: str) -> _Model:
    """Parse UTF-8 JSON into a strict model.

    Args:
        source: our name of the file, for the message.

    Raises:
        SetupFault: `bundle_invalid`, naming the key; or what the model itself raises.
    """
    try:
        json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_refuse_duplicates,
            parse_constant=_refuse_constant,
        )
    except _NotStrict as fault:
        raise SetupFault(ReasonCode.BUNDLE_INVALID, f"{source}: {fault}") from None
    except (ValueError, RecursionError):
        raise SetupFault(ReasonCode.BUNDLE_INVALID, f"{source}: not UTF-8 JSON") from None
    try:
        return model.model_validate_json(content)
    except ValidationError as fault:
        raise SetupFault(ReasonCode.BUNDLE_INVALID, f"{source}: {_first(fault)}") from None


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _NotStrict(f"duplicate key {_safe(key)}")
        found[key] = value
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise _NotStrict("NaN or Infinity")


def _first(fault: ValidationError) -> str:
    # An unknown key says more than the missing one that it was meant to be.
    errors = fault.errors(include_url=False, include_input=False)
    error = min(errors, key=lambda one: one["type"] != "extra_forbidden")
    place = ".".join(_safe(str(part)) for part in error["loc"]) or "top level"
    if error["type"] == "value_error":
        return f"{place}: {error['ctx']['error']}"
    return f"{place}: {_WORDS.get(error['type'], 'value not allowed')}"


def _safe(name: str) -> str:
    return name if _NAME.fullmatch(name) else "(unprintable name)"
