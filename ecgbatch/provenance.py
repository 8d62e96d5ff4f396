"""What makes two results comparable, and what made one: pipeline identity and versions."""

import json
import os
import pwd
from importlib.metadata import PackageNotFoundError, version

from ecgbatch.terms import SCORING_VERSION, Numerics

_LIBRARIES = ("lxml", "numpy", "scipy", "torch")


def pipeline_id(preprocessing_digest: str, gate_digest: str, numerics: Numerics) -> str:
    """Identity of all that can move a result beside bytes and bundle; never a code version."""
    return f"{SCORING_VERSION}-{preprocessing_digest[:16]}-{gate_digest[:16]}-{numerics}"


def scoring_version(pipeline: str) -> str:
    """The scoring version in a pipeline identity."""
    return pipeline.partition("-")[0]


def numerics_of(pipeline: str) -> Numerics | None:
    """The numerics class in a pipeline identity; None where it names none that is known."""
    named = pipeline.rpartition("-")[2]
    return Numerics(named) if named in set(Numerics) else None


def has_gates(pipeline: str, gate_digest: str) -> bool:
    """Whether a pipeline identity is of these gate settings."""
    return pipeline.split("-")[2:3] == [gate_digest[:16]]


def code_version() -> str:
    try:
        return version("ecgbatch")
    except PackageNotFoundError:
        return "unknown"


def library_versions() -> str:
    """JSON object of the libraries that touch a number on its way, with their versions."""
    return json.dumps({name: version(name) for name in _LIBRARIES}, sort_keys=True)


def actor() -> str:
    """The operating system's user, by name where it has one; no variable can change it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
