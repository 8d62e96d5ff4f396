"""The nets' tensors, from the bytes of a bundle. Imports torch, as `load` does not."""

import struct

import safetensors.torch
from safetensors import SafetensorError

from ecgbatch.bundle.load import StateDict
from ecgbatch.errors import SetupFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.checkpoint import check_tensors
from ecgbatch.net.layout import check_use_bn
from ecgbatch.terms import ReasonCode


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
