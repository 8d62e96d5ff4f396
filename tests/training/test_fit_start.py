"""What a fit starts from: every tensor of a checkpoint but the head, or an error that names it."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ecgbatch.bundle.import_ecgfounder import BackboneCard
from ecgbatch.bundle.save import weights_bytes, write_summed
from ecgbatch.errors import SetupFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.net1d import Net1D
from tests.support.experiments import TINY_NET, experiment
from training.model.start import build_net, read_start
from training.settings.experiment import Experiment


def _experiment(had_bn: bool = False, uses_bn: bool = False) -> Experiment:
    return experiment(
        architecture={"use_bn": uses_bn},
        start={"kind": "checkpoint", "checkpoint_use_bn": had_bn},
    )


def _tensors(n_classes: int = 150, trained_bn: bool = False) -> dict[str, Tensor]:
    torch.manual_seed(11)
    net = Net1D(Architecture.model_validate({**TINY_NET, "n_classes": n_classes}))
    if trained_bn:
        net.train()(torch.randn(2, 12, 200))
    return net.state_dict()


def _without_head(tensors: Any) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("dense.")}


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_every_layout_loads_whole_but_for_the_head_of_any_width(
    wrapper: str | None, tmp_path: Path
) -> None:
    tensors = _tensors(n_classes=7)
    path = tmp_path / "checkpoint.pth"
    torch.save(tensors if wrapper is None else {wrapper: tensors, "epoch": 3}, path)
    start = read_start(_experiment(), path)
    net = build_net(_experiment(), start, 0)
    assert _same(_without_head(net.state_dict()), _without_head(tensors))
    assert net.dense.weight.shape == (4, 8)
    assert start.kind == "checkpoint file"
    assert start.digest == sha256(path.read_bytes()).hexdigest()


def test_a_checkpoint_without_a_head_loads_too(tmp_path: Path) -> None:
    torch.save(_without_head(_tensors()), tmp_path / "c.pth")
    assert read_start(_experiment(), tmp_path / "c.pth").tensors


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "nan"])
def test_a_tensor_that_does_not_fit_is_named(change: str, tmp_path: Path) -> None:
    tensors, name = dict(_tensors()), "stage_list.1.block_list.0.conv2.conv.weight"
    if change == "missing":
        del tensors[name]
    elif change == "extra":
        name = "stage_list.9.conv.weight"
        tensors[name] = torch.zeros(1)
    elif change == "shape":
        tensors[name] = tensors[name][:, :, :3].clone()
    else:
        tensors[name] = tensors[name] * float("nan")
    torch.save(tensors, tmp_path / "c.pth")
    with pytest.raises(SetupFault, match=name.replace(".", r"\.")):
        read_start(_experiment(), tmp_path / "c.pth")


@pytest.mark.parametrize("trained", [False, True])
def test_a_batch_norm_flag_that_the_statistics_contradict_is_refused(
    trained: bool, tmp_path: Path
) -> None:
    torch.save(_tensors(trained_bn=trained), tmp_path / "c.pth")
    read_start(_experiment(had_bn=trained, uses_bn=trained), tmp_path / "c.pth")
    with pytest.raises(SetupFault, match="use_bn_contradicted"):
        read_start(_experiment(had_bn=not trained), tmp_path / "c.pth")


def test_batch_norm_on_public_weights_is_said(tmp_path: Path) -> None:
    torch.save(_tensors(), tmp_path / "c.pth")
    start = read_start(_experiment(had_bn=False, uses_bn=True), tmp_path / "c.pth")
    assert start.batch_norm_untrained
    assert any("untrained" in note for note in start.notes)
    assert not read_start(_experiment(), tmp_path / "c.pth").batch_norm_untrained


def test_batch_norm_that_is_dropped_is_said(tmp_path: Path) -> None:
    torch.save(_tensors(trained_bn=True), tmp_path / "c.pth")
    start = read_start(_experiment(had_bn=True, uses_bn=False), tmp_path / "c.pth")
    assert not start.batch_norm_untrained
    assert any("is not here" in note for note in start.notes)


def test_a_backbone_folder_loads(tmp_path: Path) -> None:
    tensors = _tensors(n_classes=6)
    made = Architecture.model_validate({**TINY_NET, "n_classes": 6, "use_bn": False})
    card = BackboneCard(architecture=made)
    digest = write_summed(
        tmp_path / "backbone",
        {
            "backbone.json": card.model_dump_json().encode(),
            "weights/backbone.safetensors": weights_bytes(tensors),
        },
    )
    start = read_start(_experiment(), tmp_path / "backbone")
    assert (start.kind, start.digest) == ("backbone folder", digest)
    assert _same(_without_head(start.tensors), _without_head(tensors))


def test_a_folder_of_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupFault, match="neither"):
        read_start(_experiment(), tmp_path)


def test_settings_and_command_line_have_to_agree(tmp_path: Path) -> None:
    with pytest.raises(SetupFault, match="no --start"):
        read_start(experiment(), tmp_path)
    with pytest.raises(SetupFault, match="give --start"):
        read_start(_experiment(), None)


def test_from_scratch_the_weights_are_those_of_the_seed_and_the_fit() -> None:
    given = experiment()
    start = read_start(given, None)
    torch.manual_seed(1)
    one = build_net(given, start, 0).state_dict()
    torch.manual_seed(2)
    assert _same(one, build_net(given, start, 0).state_dict())
    assert not _same(one, build_net(given, start, 1).state_dict())
    other = experiment(compute={"seed": 1})
    assert not _same(one, build_net(other, start, 0).state_dict())
