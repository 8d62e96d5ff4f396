"""The net against weights and outputs that the public code made."""

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ecgbatch.net.architecture import Architecture
from ecgbatch.net.checkpoint import build_net, load_strict
from ecgbatch.net.ensemble import mean_logits
from ecgbatch.net.net1d import Net1D
from tests.support.bundles import VECTORS, small_architecture, small_weights, vectors


@pytest.mark.parametrize("use_bn", [True, False])
@pytest.mark.parametrize("n_samples", [5000, 4999, 1250])
def test_logits_and_features_equal_the_public_nets(use_bn: bool, n_samples: int) -> None:
    reference = vectors(use_bn=use_bn)
    net = Net1D(small_architecture(use_bn=use_bn)).eval()
    load_strict(net, small_weights(use_bn=use_bn))
    x = torch.from_numpy(reference[f"input_{n_samples}"])
    with torch.inference_mode():
        logits, features = net(x).numpy(), net.features(x).numpy()
    np.testing.assert_allclose(logits, reference[f"logits_{n_samples}"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(features, reference[f"features_{n_samples}"], rtol=0, atol=1e-5)


def test_full_geometry_has_the_public_checkpoints_tensors() -> None:
    reference = json.loads((VECTORS / "ecgfounder_state_dict.json").read_text())
    with torch.device("meta"):
        net = Net1D(Architecture.ecgfounder(150, use_bn=False, use_dropout=False))
    own = {
        name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in net.state_dict().items()
    }
    assert own == reference["tensors"]
    assert sum(parameter.numel() for parameter in net.parameters()) == reference["n_parameters"]


def test_ensemble_is_the_mean_of_its_members_and_rows_do_not_see_each_other() -> None:
    first = small_weights()
    second = dict(first) | {"dense.bias": first["dense.bias"] + 1}
    nets = [build_net(small_architecture(), weights) for weights in (first, second)]
    reference = vectors()
    batch = reference["input_5000"]
    together = mean_logits(nets, batch)
    np.testing.assert_allclose(together, reference["logits_5000"] + 0.5, rtol=0, atol=1e-5)
    assert np.array_equal(together[1:], mean_logits(nets, batch[1:]))
    assert np.array_equal(together[::-1], mean_logits(nets, batch[::-1]))


def test_dropout_acts_in_training_alone() -> None:
    flags = small_architecture().model_dump() | {"use_dropout": True}
    net = Net1D(Architecture(**flags))
    load_strict(net, small_weights())
    x = torch.from_numpy(vectors()["input_1250"])
    with torch.no_grad():
        assert torch.equal(net.eval()(x), net(x))
        for module in net.modules():
            if isinstance(module, torch.nn.Dropout):
                module.train()
        assert not torch.equal(net(x), net(x))


@pytest.mark.parametrize(
    "change",
    [
        {"filter_list": (16, 32, 32)},
        {"filter_list": (16, 32, 16, 80)},
        {"filter_list": (8, 32, 32, 80), "base_filters": 8},
        {"groups_width": 0},
        {"dropout_p": 1.0},
        {"use_bn": 1},
        {"surprise": 1},
    ],
)
def test_geometry_that_cannot_be_built_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Architecture(**(small_architecture().model_dump() | change))
