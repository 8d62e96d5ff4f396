"""What the weights start from: drawn, a checkpoint, a backbone, or an intermediate stage."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ecgbatch.bundle.import_ecgfounder import load_backbone
from ecgbatch.errors import SetupFault
from ecgbatch.net.checkpoint import load_strict, read_checkpoint
from ecgbatch.net.layout import check_use_bn
from ecgbatch.net.net1d import Net1D
from ecgbatch.terms import ReasonCode
from training.folder import RunFolder, people
from training.settings.experiment import Experiment
from training.splits.assignment import Assignment
from training.terms import Part

_WEIGHTS = 0xBE9
"""Keeps the draw of the first weights apart from others with the same seed."""


_WEIGHTS_FILE = "weights.pt"


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Weights to start from, checked; the head is drawn anew in every fit.

    Attributes:
        kind: `scratch`, `checkpoint file`, `backbone folder` or `intermediate stage`.
        digest: SHA-256 of the checkpoint's bytes, the backbone's digest; empty from scratch.
        batch_norm_untrained: batch norm is used, and its statistics are those of a net that never
            used it.
        seen: keys of the ECGs that an intermediate stage has learned from or was chosen by.
        seen_people: their patients, as `people` gives them.
        notes: what the log and the card have to say.
    """

    kind: str
    digest: str
    batch_norm_untrained: bool = False
    notes: tuple[str, ...] = ()
    seen: frozenset[str] = field(default=frozenset(), repr=False)
    seen_people: frozenset[str] = field(default=frozenset(), repr=False)
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    def as_json(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "digest": self.digest,
            "batch_norm_untrained": self.batch_norm_untrained,
            "notes": list(self.notes),
        }


def read_start(experiment: Experiment, path: Path | None) -> Start:
    """Read and check what the settings and the command line name.

    Args:
        path: a checkpoint file in ECGFounder's layout (flat, `state_dict` or `model`, any head
            width), a folder of `bundle import-ecgfounder`, or the run folder (or final weights)
            of a finished fit of an intermediate stage.

    Raises:
        SetupFault: `settings_invalid`, a path without `start.kind = "checkpoint"` or the other
            way round; `checkpoint_invalid`, a tensor but the head is missing, not expected,
            misshapen or not finite; `use_bn_contradicted`.
    """
    given = experiment.start
    if given.checkpoint_use_bn is None:
        if path is not None:
            raise SetupFault(ReasonCode.SETTINGS_INVALID, 'start.kind is "scratch": no --start')
        return Start("scratch", "")
    if path is None:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, 'start.kind is "checkpoint": give --start')
    start = _read(path)
    load_strict(Net1D(experiment.architecture), start.tensors, replace_head=True)
    check_use_bn(start.tensors, given.checkpoint_use_bn)
    return _with_notes(start, given.checkpoint_use_bn, experiment.architecture.use_bn)


def build_net(experiment: Experiment, start: Start, number: int) -> Net1D:
    """The net of one fit, on the CPU, in train mode.

    Args:
        number: of the fit; each draws a head of its own (and all weights, from scratch).
    """
    address = np.random.SeedSequence([_WEIGHTS, experiment.compute.seed, number])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(address.generate_state(1)[0]))
        net = Net1D(experiment.architecture)
    if start.tensors:
        load_strict(net, start.tensors, replace_head=True)
    return net


def _read(path: Path) -> Start:
    within = RunFolder(path.absolute().parent.parent)
    if path.absolute() == within.final / _WEIGHTS_FILE and within.parts.is_file():
        return _read_run(within)
    if path.is_file():
        content = _bytes(path)
        return Start(
            "checkpoint file", sha256(content).hexdigest(), tensors=read_checkpoint(content)
        )
    if (path / "backbone.json").is_file():
        backbone = load_backbone(path)
        return Start("backbone folder", backbone.digest, tensors=backbone.tensors)
    return _read_run(RunFolder(path))


def _read_run(run: RunFolder) -> Start:
    try:
        done = json.loads((run.final / "done.json").read_text("utf-8"))
        parts = Assignment.load(run.parts)
    except (OSError, ValueError, pd.errors.ParserError):
        raise SetupFault(
            ReasonCode.CHECKPOINT_INVALID, "neither a checkpoint, a backbone nor a finished fit"
        ) from None
    content = _bytes(run.final / _WEIGHTS_FILE)
    digest = sha256(content).hexdigest()
    if digest != done["weights_sha256"]:
        raise SetupFault(ReasonCode.CHECKPOINT_INVALID, "the weights are not those of the fit")
    seen = frozenset(parts.keys[row] for row in parts.rows(Part.TRAIN, Part.INNER))
    known = people(run)
    return Start(
        "intermediate stage",
        digest,
        notes=tuple(_doubts(done, knows_people=known is not None)),
        seen=seen,
        seen_people=frozenset(known[key] for key in seen & known.keys()) if known else frozenset(),
        tensors=read_checkpoint(content),
    )


def _doubts(done: dict[str, Any], *, knows_people: bool) -> Iterator[str]:
    """What could not be compared between a stage and what it is a start for."""
    if not knows_people:
        yield (
            "The private table of the intermediate stage is gone: that none of its patients is"
            " predicted was checked by the bytes of the ECGs alone."
        )
    if done["start"]["kind"] == "intermediate stage":
        yield (
            "The intermediate stage started from another one, whose patients have not been"
            " compared with those that are predicted."
        )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise SetupFault(ReasonCode.CHECKPOINT_INVALID, "the file cannot be read") from None


def _with_notes(start: Start, had_bn: bool, uses_bn: bool) -> Start:
    notes = ["The head was drawn anew."]
    if uses_bn and not had_bn:
        notes.append(
            "Batch norm was not active where the checkpoint was made: its statistics start"
            " untrained (mean 0, variance 1), so the first steps see other activations."
        )
    if had_bn and not uses_bn:
        notes.append(
            "Batch norm was active where the checkpoint was made and is not here: the weights"
            " see other activations than they were made for."
        )
    return replace(start, batch_norm_untrained=uses_bn and not had_bn, notes=(*start.notes, *notes))
