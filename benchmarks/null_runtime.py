"""A runtime that computes nothing: what is left is everything but the net.

Only for `bundles.bundle_folder("null", ...)`, whose golden logits are these constants, so that
golden check and canary pass as with any other runtime.
"""

import numpy as np
from numpy.typing import NDArray

from ecgbatch.bundle.load import Bundle
from ecgbatch.scoring.runtimes.registry import RUNTIMES, Known, chosen
from ecgbatch.terms import Numerics

LOGITS = np.array([-1.5, -3.0, -0.5, 0.5])
_BATCH = 8


class Null:
    """The same four logits for every ECG."""

    name = "null"
    version = "1"
    batch = _BATCH
    streams = 1

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float64]:
        """(B, 12, 5000) -> (B, 4)."""
        return np.tile(LOGITS, (len(batch), 1))


def build(bundle: Bundle, precision: Numerics, wish: object = None) -> Null:
    return Null()


def take_the_place_of(name: str) -> None:
    """From now on the runtime that the settings mean by this name computes nothing here."""
    RUNTIMES[chosen(name)] = Known(__name__, "numpy", (Numerics.FP32,))
