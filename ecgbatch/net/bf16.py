"""What bf16 makes of a net, computed on any processor."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


def rounded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a net with every fraction cut to the 8 bits that bf16 has, in float32."""
    return {name: _rounded(tensor) for name, tensor in tensors.items()}


class Bf16Mode(TorchFunctionMode):
    """While it is entered, the result of each float32 operation is rounded to bf16.

    That is what processors with bf16 do: they multiply what is rounded, add up in float32 and
    store rounded. Here it needs no such processor, takes the time of float32, and gives the same
    numbers everywhere; torch's own bf16 on a processor without it takes ten times as long.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        return _rounded(result) if isinstance(result, Tensor) else result


def _rounded(tensor: Tensor) -> Tensor:
    return tensor.bfloat16().float() if tensor.dtype is torch.float32 else tensor
