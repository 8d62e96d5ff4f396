"""A folder into a Bundle: bytes once, digest, strict tensors, finite weights."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from ecgbatch.bundle.digest import GOLDEN, MANIFEST, WEIGHTS, read_verified
from ecgbatch.bundle.golden import Batch, Logits, parse_golden
from ecgbatch.bundle.manifest import Manifest, parse_manifest
from ecgbatch.errors import SetupFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.checkpoint import check_tensors, check_use_bn
from ecgbatch.terms import ReasonCode

StateDict = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """What is needed to score, checked and in memory.

    Attributes:
        location: where it was read; a hint, identity is the digest.
        members: one state dict each; the logit is the mean of their logits.
        golden_signals_mv: (n, 12, 5000) float32 mV at 500 Hz.
        golden_logits: (n, n_tasks) float64.
    """

    manifest: Manifest
    digest: str
    location: Path
    members: tuple[StateDict, ...] = field(repr=False)
    golden_signals_mv: Batch = field(repr=False)
    golden_logits: Logits = field(repr=False)


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
    members = tuple(
        parse_member(content, manifest.architecture)
        for name, content in files.contents.items()
        if name.startswith(f"{WEIGHTS}/")
    )
    signals, logits = parse_golden(files.contents[GOLDEN], manifest.architecture.n_classes)
    return Bundle(manifest, files.digest, folder, members, signals, logits)


def parse_member(content: bytes, architecture: Architecture) -> StateDict:
    """One safetensors file from memory: every tensor of the architecture, finite, no other.

    Raises:
        SetupFault: `bundle_invalid`, `checkpoint_invalid` or `use_bn_contradicted`.
    """
    try:
        tensors = safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError, TypeError, struct.error):
        raise SetupFault(ReasonCode.BUNDLE_INVALID, "weights are not safetensors") from None
    check_tensors(architecture, tensors)
    check_use_bn(tensors, architecture.use_bn)
    return tensors
