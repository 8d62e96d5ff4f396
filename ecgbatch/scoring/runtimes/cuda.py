"""PyTorch on an NVIDIA GPU: large batches of one shape, copied while another is computed.

Each of two threads has a CUDA stream and page-locked memory of its own: while the GPU computes one
thread's batch, the other's is copied in. TF32 is off and algorithms are the deterministic ones.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ecgbatch.bundle.load import Bundle
from ecgbatch.errors import SetupFault
from ecgbatch.net.checkpoint import build_net
from ecgbatch.net.net1d import Net1D
from ecgbatch.scoring.runtimes.fixed import Streams, fill, in_parts
from ecgbatch.scoring.runtimes.registry import Batch, Logits, Wish
from ecgbatch.terms import LEADS, WINDOW_SAMPLES, Numerics, ReasonCode

NAME = "cuda"
_BATCH = 64
_STREAMS = 2
_TYPES = {Numerics.FP32: torch.float32, Numerics.BF16: torch.bfloat16}


class MixedNet(nn.Module):
    """A Net1D whose convolutions and dense layers compute in a smaller type.

    Batch norms keep their single-precision statistics, and the head is computed in single
    precision, for in bf16 a logit near 4 would come in steps of 0.03.
    """

    def __init__(self, net: Net1D, dtype: torch.dtype) -> None:
        super().__init__()
        self._net, self._dtype = net, dtype
        for part in net.modules():
            if isinstance(part, nn.Conv1d | nn.Linear) and part is not net.dense:
                part.to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 12, n) float32 -> logits (B, n_classes) float32."""
        logits: Tensor = self._net.dense(self._net.features(x.to(self._dtype)).float())
        return logits


class _Stream:
    """What one thread needs beside the nets."""

    def __init__(
        self, nets: Sequence[nn.Module], device: torch.device, batch: int, n_tasks: int
    ) -> None:
        shape = (batch, len(LEADS), WINDOW_SAMPLES)
        self._nets, self._device = nets, device
        self._held = torch.zeros(shape, pin_memory=True)
        self._inputs = torch.zeros(shape, device=device)
        self._logits = torch.zeros((len(nets), batch, n_tasks), pin_memory=True)
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call] # torch
        # Blocking: a thread that waits sleeps, for the readers need the cores.
        self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call] # torch
        # What was zeroed above must be so before this stream writes.
        torch.cuda.synchronize(device)

    def compute(self, rows: Batch) -> Logits:
        """(up to batch, 12, 5000) -> (members, the same, n_tasks)."""
        fill(self._held.numpy(), rows)
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            with torch.inference_mode():
                self._inputs.copy_(self._held, non_blocking=True)
                for member, net in enumerate(self._nets):
                    self._logits[member].copy_(net(self._inputs), non_blocking=True)
            self._done.record(self._stream)
            self._done.synchronize()
        return self._logits[:, : len(rows)].numpy().astype(np.float64)


class Cuda:
    """The nets on the GPU, and as many threads that may ask them as there are streams."""

    name = NAME

    def __init__(self, streams: Sequence[_Stream], batch: int, n_tasks: int) -> None:
        self.batch, self.streams = batch, len(streams)
        self.version = str(torch.__version__)
        self._n_tasks = n_tasks
        self._streams = Streams(streams)

    def logits(self, batch: Batch) -> Logits:
        """(B, 12, 5000) float32 -> (B, n_tasks) float64: mean of the members' logits."""
        with self._streams.one() as stream:
            return in_parts(
                batch, self.batch, self._n_tasks, lambda rows: list(stream.compute(rows))
            )


def has_device() -> bool:
    """Whether this torch sees a GPU."""
    return torch.cuda.is_available()


def build(bundle: Bundle, precision: Numerics, wish: Wish) -> Cuda:
    """The nets onto the first GPU that the process sees; `threads` of the wish mean nothing here.

    Raises:
        SetupFault: `runtime_missing`, no GPU or a torch without CUDA; `precision_mismatch`, a GPU
            without bf16.
    """
    if not has_device():
        raise SetupFault(ReasonCode.RUNTIME_MISSING, "torch sees no CUDA device")
    if precision is Numerics.BF16 and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise SetupFault(ReasonCode.PRECISION_MISMATCH, "the GPU has no bf16")
    _be_exact()
    device = torch.device("cuda", 0)
    architecture = bundle.manifest.architecture
    nets = [
        net_for(build_net(architecture, tensors), precision).to(device)
        for tensors in bundle.members
    ]
    batch = wish.batch or _BATCH
    n_streams = wish.streams or _STREAMS
    streams = [_Stream(nets, device, batch, architecture.n_classes) for _ in range(n_streams)]
    return Cuda(streams, batch, architecture.n_classes)


def net_for(net: Net1D, precision: Numerics) -> nn.Module:
    """The net that computes in this precision, wherever it is."""
    return net if precision is Numerics.FP32 else MixedNet(net, _TYPES[precision])


def _be_exact() -> None:
    """For the whole process: no TF32, and the same algorithm each time."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
