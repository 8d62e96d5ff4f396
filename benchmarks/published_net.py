"""The net as published: one torch module, whole batches, all cores in each operation."""

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.inputs import Inputs
from ecgbatch.bundle.load import Bundle
from ecgbatch.net.checkpoint import build_net


class Published:
    """In eval mode, and no other mode; one thread asks."""

    streams = 1

    def __init__(self, bundle: Bundle, cores: int) -> None:
        torch.set_num_threads(cores)
        self._net = build_net(bundle.manifest.architecture, bundle.members[0])

    def logits(self, batch: Inputs) -> NDArray[np.float64]:
        """(B, 12, 5000) -> (B, n_tasks)."""
        with torch.no_grad():
            return np.asarray(self._net(torch.from_numpy(batch)).numpy(), np.float64)
