"""What the net benchmark compares beside the runtimes of the product."""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import Inputs

PUBLISHED: Final = "published"
"""Eager torch, as published."""
GEMM: Final = "gemm"
"""Products of matrices: what the machine's arithmetic gives."""


class Computes(Protocol):
    """What a side does: as `ecgbatch.scoring.runtimes.registry.Runtime`."""

    streams: int

    def logits(self, batch: Inputs) -> NDArray[np.float64]: ...
