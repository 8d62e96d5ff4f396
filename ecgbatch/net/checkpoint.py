"""Tensors into a net: strict, finite, named in every complaint."""

import pickle
import struct
import warnings
from collections.abc import Iterable, Mapping
from io import BytesIO

import torch
from torch import Tensor

from ecgbatch.errors import SetupFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.layout import check_layout, refuse_named
from ecgbatch.net.net1d import Net1D
from ecgbatch.terms import ReasonCode

HEAD = ("dense.weight", "dense.bias")
_WRAPPERS = ("state_dict", "model")
_MALFORMED = (
    pickle.UnpicklingError,
    RuntimeError,
    ArithmeticError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    OSError,
    MemoryError,
    struct.error,
)
"""What the safe unpickler was seen, or must be feared, to raise on malformed bytes."""


def read_checkpoint(content: bytes) -> dict[str, Tensor]:
    """The tensors of a PyTorch checkpoint: flat, or under "state_dict" or "model".

    Only tensors are unpickled (`weights_only=True`, stated so that no environment variable can
    switch it off); there is no fallback.

    Raises:
        SetupFault: not a checkpoint, or nothing but tensors expected and something else found.
    """
    try:
        with warnings.catch_warnings():
            # Its doubts about a file are ours to raise, as a refusal.
            warnings.simplefilter("ignore")
            loaded: object = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except _MALFORMED:
        raise SetupFault(
            ReasonCode.CHECKPOINT_INVALID, "not a PyTorch checkpoint of tensors alone"
        ) from None
    return _tensors(_unwrap(loaded))


def load_strict(net: Net1D, tensors: Mapping[str, Tensor], *, replace_head: bool = False) -> None:
    """Copy every tensor into the net, or none.

    Args:
        replace_head: keep the net's own head and ignore that of `tensors`, whatever its width.

    Raises:
        SetupFault: a missing, extra, misshapen or non-finite tensor, by name.
    """
    given = dict(tensors)
    if replace_head:
        own = net.state_dict()
        given = {name: tensor for name, tensor in given.items() if name not in HEAD}
        given |= {name: own[name] for name in HEAD}
    check_tensors(net.architecture, given)
    net.load_state_dict(given, strict=True)


def build_net(architecture: Architecture, tensors: Mapping[str, Tensor]) -> Net1D:
    """A net in eval mode that uses these very tensors, without drawing random ones first.

    Raises:
        SetupFault: as `load_strict`.
    """
    check_tensors(architecture, tensors)
    with torch.device("meta"):
        net = Net1D(architecture)
    net.load_state_dict(dict(tensors), strict=True, assign=True)
    return net.eval().requires_grad_(False)


def check_tensors(architecture: Architecture, tensors: Mapping[str, Tensor]) -> None:
    """Whether these are the tensors of the architecture: all, no other, of its shape, finite.

    Raises:
        SetupFault: a missing, extra, misshapen or non-finite tensor, by name.
    """
    described = {
        name: (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
    }
    check_layout(architecture, described)
    refuse_named("not finite", _not_finite(tensors))


def _unwrap(loaded: object) -> object:
    if isinstance(loaded, Mapping):
        for wrapper in _WRAPPERS:
            if isinstance(loaded.get(wrapper), Mapping):
                return loaded[wrapper]
    return loaded


def _tensors(loaded: object) -> dict[str, Tensor]:
    if not isinstance(loaded, Mapping) or not loaded:
        raise SetupFault(ReasonCode.CHECKPOINT_INVALID, "holds no state dict")
    tensors: dict[str, Tensor] = {}
    for name, tensor in loaded.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise SetupFault(ReasonCode.CHECKPOINT_INVALID, "holds more than named tensors")
        tensors[name] = tensor.detach()
    return tensors


def _not_finite(tensors: Mapping[str, Tensor]) -> Iterable[str]:
    return (name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all()))
