"""Loading is strict: every complaint names the tensor, nothing is loaded by halves."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecgbatch.errors import SetupFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.checkpoint import build_net, load_strict, read_checkpoint
from ecgbatch.net.layout import check_use_bn, layout
from ecgbatch.net.net1d import Net1D
from ecgbatch.terms import ReasonCode
from tests.support.bundles import small_architecture, small_weights

Weights = dict[str, Tensor]


def _saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _without_bias(weights: Weights) -> Weights:
    return {name: tensor for name, tensor in weights.items() if name != "first_bn.bias"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_without_bias, "missing: first_bn.bias"),
        (lambda w: w | {"dense2.bias": torch.zeros(4)}, "not expected: dense2.bias"),
        (lambda w: w | {"dense.bias": torch.zeros(5)}, "other shape: dense.bias"),
        (lambda w: w | {"dense.bias": torch.zeros(4, dtype=torch.int64)}, "other type: dense.bias"),
        (lambda w: w | {"dense.bias": torch.full((4,), torch.nan)}, "not finite: dense.bias"),
        (lambda w: w | {"dense.bias": torch.full((4,), torch.inf)}, "not finite: dense.bias"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named_and_nothing_is_loaded(
    change: Callable[[Weights], Weights], named: str
) -> None:
    net = Net1D(small_architecture())
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(SetupFault, match=named) as fault:
        load_strict(net, change(small_weights()))
    assert fault.value.reason is ReasonCode.CHECKPOINT_INVALID
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_only_the_head_is_replaced_and_only_when_asked() -> None:
    foreign = small_weights() | {"dense.weight": torch.ones(150, 80), "dense.bias": torch.ones(150)}
    net = Net1D(small_architecture())
    head = net.dense.weight.detach().clone()
    with pytest.raises(SetupFault, match="other shape"):
        load_strict(net, foreign)
    load_strict(net, foreign, replace_head=True)
    assert torch.equal(net.dense.weight, head)
    assert torch.equal(net.first_conv.conv.bias, foreign["first_conv.conv.bias"])


def test_a_headless_backbone_loads_when_the_head_is_replaced() -> None:
    headless = {n: t for n, t in small_weights().items() if not n.startswith("dense.")}
    load_strict(Net1D(small_architecture()), headless, replace_head=True)


def test_a_built_net_keeps_its_weights_when_the_given_ones_are_not_touched() -> None:
    weights = small_weights()
    before = {name: tensor.clone() for name, tensor in weights.items()}
    net = build_net(small_architecture(), weights).double()
    assert not net.training
    assert net.dense.weight.dtype is torch.float64
    assert all(torch.equal(before[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize("use_bn", [True, False])
def test_use_bn_is_believed_only_where_the_statistics_agree(use_bn: bool) -> None:
    weights = small_weights(use_bn=use_bn)
    check_use_bn(weights, use_bn)
    with pytest.raises(SetupFault) as fault:
        check_use_bn(weights, not use_bn)
    assert fault.value.reason is ReasonCode.USE_BN_CONTRADICTED


def test_partly_trained_statistics_fit_neither_flag() -> None:
    weights = small_weights(use_bn=False)
    weights["first_bn.running_mean"] = torch.full((16,), 0.5)
    for use_bn in (True, False):
        with pytest.raises(SetupFault, match="1 of 27 batch norms"):
            check_use_bn(weights, use_bn)


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_flat_and_wrapped_checkpoints_are_read(wrap: str | None) -> None:
    weights = small_weights()
    value: object = weights if wrap is None else {wrap: weights, "epoch": 3}
    read = read_checkpoint(_saved(value))
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], weights[name]) for name in weights)


class _Executes:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.write_text, (self.path, "executed")


@pytest.mark.parametrize("force", [False, True])
def test_a_pickle_that_executes_is_refused_also_when_the_environment_allows_it(
    force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if force:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    trace = tmp_path / "trace"
    for content in (_saved({"model": _Executes(trace)}), pickle.dumps(_Executes(trace))):
        with pytest.raises(SetupFault):
            read_checkpoint(content)
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint",
        pickle.dumps({"a": 1}),
        _saved({}),
        _saved([torch.zeros(1)]),
        _saved({"epoch": 3, "weights": torch.zeros(1)}),
        _saved({1: torch.zeros(1)}),
        _saved({"a": torch.zeros(300)})[:-80],
    ],
)
def test_what_is_no_checkpoint_is_refused_without_foreign_text(content: bytes) -> None:
    with pytest.raises(SetupFault) as fault:
        read_checkpoint(content)
    assert fault.value.reason is ReasonCode.CHECKPOINT_INVALID
    assert fault.value.__cause__ is None


_SMALL = _saved({"model": {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(())}})


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, len(_SMALL) - 1), value=st.integers(0, 255))
def test_one_changed_byte_gives_tensors_or_a_refusal(place: int, value: int) -> None:
    content = bytearray(_SMALL)
    content[place] = value
    try:
        tensors = read_checkpoint(bytes(content))
    except SetupFault as fault:
        assert fault.reason is ReasonCode.CHECKPOINT_INVALID  # noqa: PT017 - both are allowed
    else:
        assert all(isinstance(tensor, Tensor) for tensor in tensors.values())


@pytest.mark.parametrize(
    "architecture",
    [
        small_architecture(),
        Architecture.ecgfounder(3, use_bn=True, use_dropout=False),
        small_architecture().model_copy(update={"ratio": 2.0, "kernel_size": 7}),
    ],
)
def test_layout_names_the_tensors_of_the_net(architecture: Architecture) -> None:
    with torch.device("meta"):
        own = Net1D(architecture).state_dict()
    assert layout(architecture) == {
        name: (tuple(one.shape), str(one.dtype).removeprefix("torch.")) for name, one in own.items()
    }
