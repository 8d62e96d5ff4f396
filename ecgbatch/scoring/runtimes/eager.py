"""The reference runtime: plain PyTorch in single precision, one ECG at a time."""

import torch

from ecgbatch.bundle.load import Bundle
from ecgbatch.net.checkpoint import build_net
from ecgbatch.net.ensemble import mean_logits
from ecgbatch.scoring.runtimes.registry import Batch, Logits, Wish
from ecgbatch.terms import Numerics

NAME = "torch"
_BATCH = 8
"""So many are given at once; each is computed by itself."""


class Eager:
    """The nets as they are, in eval mode; a thread of the caller's is a stream."""

    name = NAME

    def __init__(self, bundle: Bundle, batch: int, streams: int, threads: int) -> None:
        self.batch, self.streams, self._threads = batch, streams, threads
        self.version = str(torch.__version__)
        architecture = bundle.manifest.architecture
        self._nets = tuple(build_net(architecture, tensors) for tensors in bundle.members)

    def logits(self, batch: Batch) -> Logits:
        """(B, 12, 5000) float32 -> (B, n_tasks) float64: mean of the members' logits."""
        torch.set_num_threads(self._threads)  # OpenMP keeps a number for each calling thread
        return mean_logits(self._nets, batch)


def build(bundle: Bundle, _: Numerics, wish: Wish) -> Eager:
    """A stream per processor: of one ECG at a time, more threads in a stream gain nothing."""
    threads = wish.threads or 1
    streams = wish.streams or max(1, wish.cores // threads)
    return Eager(bundle, wish.batch or _BATCH, streams, threads)
