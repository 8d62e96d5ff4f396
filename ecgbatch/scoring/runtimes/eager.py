"""The reference runtime: plain PyTorch in single precision, one ECG at a time."""

import torch

from ecgbatch.bundle.load import Bundle
from ecgbatch.errors import SetupFault
from ecgbatch.net.checkpoint import build_net
from ecgbatch.net.ensemble import mean_logits
from ecgbatch.scoring.runtimes.registry import Batch, Logits
from ecgbatch.terms import Numerics, ReasonCode

NAME = "torch"


class Eager:
    """The nets as they are, in eval mode."""

    name = NAME

    def __init__(self, bundle: Bundle) -> None:
        self.version = str(torch.__version__)
        architecture = bundle.manifest.architecture
        self._nets = tuple(build_net(architecture, tensors) for tensors in bundle.members)

    def logits(self, batch: Batch) -> Logits:
        """(B, 12, 5000) float32 -> (B, n_tasks) float64: mean of the members' logits."""
        return mean_logits(self._nets, batch)


def build(bundle: Bundle, precision: Numerics) -> Eager:
    """Raises: SetupFault `bundle_precision` for any class but fp32."""
    if precision is not Numerics.FP32:
        raise SetupFault(ReasonCode.BUNDLE_PRECISION, f"{NAME} computes in {Numerics.FP32} alone")
    return Eager(bundle)
