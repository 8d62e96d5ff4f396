"""A folder into a Bundle: bytes once, digest, strict tensors, finite weights.

Does not import torch: not every runtime needs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from safetensors import SafetensorError, deserialize

from ecgbatch.bundle.digest import GOLDEN, MANIFEST, WEIGHTS, read_verified
from ecgbatch.bundle.golden import Batch, Logits, parse_golden
from ecgbatch.bundle.manifest import Manifest, parse_manifest
from ecgbatch.errors import SetupFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.layout import check_layout, check_use_bn, refuse_named
from ecgbatch.terms import ReasonCode

if TYPE_CHECKING:
    from torch import Tensor

StateDict = Mapping[str, "Tensor"]

_TYPES = {"F32": "float32", "I64": "int64"}
"""Those of a net's tensors, as safetensors calls them -> as numpy does."""


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """What is needed to score, checked and in memory.

    Attributes:
        location: where it was read; a hint, identity is the digest.
        weights: safetensors bytes, one of each member; the logit is the mean of their logits.
        golden_signals_mv: (n, 12, 5000) float32 mV at 500 Hz.
        golden_logits: (n, n_tasks) float64.
    """

    manifest: Manifest
    digest: str
    location: Path
    weights: tuple[bytes, ...] = field(repr=False)
    golden_signals_mv: Batch = field(repr=False)
    golden_logits: Logits = field(repr=False)

    @property
    def members(self) -> tuple[StateDict, ...]:
        """State dicts with memory of their own, made anew at each call. Imports torch."""
        from ecgbatch.bundle.members import parse_member  # noqa: PLC0415 - torch, if it is needed

        return tuple(parse_member(one, self.manifest.architecture) for one in self.weights)

    def without_weights(self) -> Self:
        """What is still needed once a runtime has its nets."""
        return replace(self, weights=())


def load_bundle(
    folder: Path, *, expected_digest: str | None = None, for_scoring: bool = True
) -> Bundle:
    """Read, verify and parse a bundle; nothing stays mapped to its files.

    Args:
        expected_digest: refuse any other.
        for_scoring: also refuse a bundle whose non-experimental tasks lack cuts.

    Raises:
        SetupFault: the reason names what is wrong.
    """
    files = read_verified(folder)
    if expected_digest is not None and files.digest != expected_digest:
        raise SetupFault(ReasonCode.BUNDLE_DIGEST, f"it is {files.digest[:12]}")
    manifest = parse_manifest(files.contents[MANIFEST])
    if for_scoring:
        manifest.refuse_missing_cuts()
    weights = tuple(
        content for name, content in files.contents.items() if name.startswith(f"{WEIGHTS}/")
    )
    for content in weights:
        check_member(content, manifest.architecture)
    signals, logits = parse_golden(files.contents[GOLDEN], manifest.architecture.n_classes)
    return Bundle(manifest, files.digest, folder, weights, signals, logits)


def check_member(content: bytes, architecture: Architecture) -> None:
    """Whether one safetensors file holds every tensor of the architecture, finite, no other.

    Raises:
        SetupFault: `bundle_invalid`, `checkpoint_invalid` or `use_bn_contradicted`.
    """
    try:
        found = dict(deserialize(content))  # type: ignore[no-untyped-call] # of Rust
    except (SafetensorError, ValueError, TypeError):
        raise SetupFault(ReasonCode.BUNDLE_INVALID, "weights are not safetensors") from None
    check_layout(
        architecture,
        {
            name: (tuple(one["shape"]), _TYPES.get(one["dtype"], one["dtype"]))
            for name, one in found.items()
        },
    )
    arrays = {name: np.frombuffer(one["data"], _TYPES[one["dtype"]]) for name, one in found.items()}
    refuse_named("not finite", (name for name in arrays if not np.isfinite(arrays[name]).all()))
    check_use_bn(arrays, architecture.use_bn)
