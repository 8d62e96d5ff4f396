"""A public-layout checkpoint into a backbone for training, or into a bundle that scores."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from torch import Tensor

from ecgbatch.bundle.cuts_file import CutsFile
from ecgbatch.bundle.digest import read_summed
from ecgbatch.bundle.golden import packaged_golden_ecgs
from ecgbatch.bundle.load import StateDict
from ecgbatch.bundle.manifest import Manifest
from ecgbatch.bundle.measure import measure_golden
from ecgbatch.bundle.members import parse_member
from ecgbatch.bundle.operating_points import Frozen
from ecgbatch.bundle.save import save_bundle, weights_bytes, write_summed
from ecgbatch.bundle.strict_json import parse_strict
from ecgbatch.errors import SetupFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.checkpoint import HEAD, check_tensors, read_checkpoint
from ecgbatch.net.layout import check_use_bn
from ecgbatch.preprocessing.spec import PreprocessingSpec
from ecgbatch.terms import ReasonCode, Vessel

_CARD = "backbone.json"
_WEIGHTS = "weights/backbone.safetensors"


@dataclass(frozen=True, slots=True)
class Flags:
    """What the tensors do not say and the caller has to state."""

    use_bn: bool
    use_dropout: bool
    dropout_p: float = 0.5


@dataclass(frozen=True, slots=True)
class Label:
    """What the bundle is called; the name of one that is not clinical has `demonstration`."""

    name: str
    version: str
    is_clinical: bool = False


class BackboneCard(Frozen):
    """backbone.json: the geometry of the weights beside it, head included."""

    schema_version: Literal[1] = 1
    architecture: Architecture


@dataclass(frozen=True, slots=True, eq=False)
class Backbone:
    """Weights to start training from; `tensors` has the head as it came."""

    architecture: Architecture
    digest: str
    tensors: StateDict = field(repr=False)


def import_backbone(content: bytes, folder: Path, flags: Flags) -> str:
    """Write a checkpoint of any head width as a backbone for training.

    Args:
        content: a checkpoint, flat or under `state_dict` or `model`.

    Returns:
        The digest of the folder.

    Raises:
        SetupFault: not such a checkpoint, other geometry, or `use_bn` contradicted.
    """
    architecture, tensors = _read(content, flags)
    card = BackboneCard(architecture=architecture)
    contents = {
        _CARD: (card.model_dump_json(indent=1) + "\n").encode("ascii"),
        _WEIGHTS: weights_bytes(tensors),
    }
    return write_summed(folder, contents)


def load_backbone(folder: Path) -> Backbone:
    """Read a backbone back, every byte checked.

    Raises:
        SetupFault: as `load_bundle`.
    """
    files = read_summed(folder)
    if files.contents.keys() != {_CARD, _WEIGHTS}:
        raise SetupFault(ReasonCode.BUNDLE_INVALID, f"a backbone has {_CARD} and {_WEIGHTS}")
    card = parse_strict(files.contents[_CARD], BackboneCard, _CARD)
    tensors = parse_member(files.contents[_WEIGHTS], card.architecture)
    return Backbone(card.architecture, files.digest, tensors)


def import_bundle(
    content: bytes,
    folder: Path,
    flags: Flags,
    *,
    label: Label,
    spec: PreprocessingSpec,
    cuts: CutsFile,
) -> str:
    """Write a checkpoint with one head row per vessel as a bundle that scores.

    The golden ECGs are the packaged synthetic ones; their logits and tolerances are measured here.

    Args:
        content: a checkpoint, flat or under `state_dict` or `model`.
        spec: as the weights were trained with; from `preset`.

    Returns:
        The bundle's digest.

    Raises:
        SetupFault: not such a checkpoint, another head width, `use_bn` contradicted, cuts
            missing, or a label or cuts file that does not fit.
    """
    architecture, tensors = _read(content, flags)
    if architecture.n_classes != len(Vessel):
        raise SetupFault(
            ReasonCode.CHECKPOINT_INVALID,
            f"the head has {architecture.n_classes} rows, scoring needs {len(Vessel)}",
        )
    unmeasured = _manifest(architecture, label, spec, cuts)
    unmeasured.refuse_missing_cuts()
    signals = packaged_golden_ecgs()
    golden = measure_golden(architecture, [tensors], spec, signals)
    manifest = unmeasured.model_copy(update={"golden_tolerance": golden.tolerance})
    return save_bundle(folder, manifest, [tensors], signals, golden.logits)


def _manifest(
    architecture: Architecture, label: Label, spec: PreprocessingSpec, cuts: CutsFile
) -> Manifest:
    """All but the golden tolerance, so that what was stated wrongly is refused at once."""
    document = {
        "schema": 1,
        "name": label.name,
        "version": label.version,
        "is_clinical": label.is_clinical,
        "architecture": architecture.model_dump(mode="json"),
        "preprocessing": spec.model_dump(mode="json"),
        "golden_tolerance": {},
        **cuts.model_dump(mode="json"),
    }
    return parse_strict(json.dumps(document).encode("utf-8"), Manifest, "import")


def _read(content: bytes, flags: Flags) -> tuple[Architecture, dict[str, Tensor]]:
    tensors = read_checkpoint(content)
    try:
        architecture = Architecture.ecgfounder(
            _head_rows(tensors),
            use_bn=flags.use_bn,
            use_dropout=flags.use_dropout,
            dropout_p=flags.dropout_p,
        )
    except ValidationError:
        raise SetupFault(ReasonCode.CHECKPOINT_INVALID, "dropout_p is from 0 to below 1") from None
    check_tensors(architecture, tensors)
    check_use_bn(tensors, flags.use_bn)
    return architecture, tensors


def _head_rows(tensors: dict[str, Tensor]) -> int:
    head = tensors.get(HEAD[0])
    if head is None or head.ndim != 2 or not len(head):
        raise SetupFault(ReasonCode.CHECKPOINT_INVALID, f"missing: {HEAD[0]}")
    return len(head)
