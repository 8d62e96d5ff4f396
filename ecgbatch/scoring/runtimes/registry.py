"""The runtimes: what turns a batch of inputs into logits. One line per runtime."""

from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecgbatch.bundle.load import Bundle
from ecgbatch.errors import SetupFault
from ecgbatch.terms import Numerics, ReasonCode

Batch = NDArray[np.float32]
"""(B, 12, 5000)."""
Logits = NDArray[np.float64]
"""(B, n_tasks), mean over the bundle's members."""

RUNTIMES = {"torch": "ecgbatch.scoring.runtimes.eager"}
"""Name of a runtime -> module with `build(bundle, precision) -> Runtime`."""


class Runtime(Protocol):
    """One way to run a bundle's nets.

    Attributes:
        name: of RUNTIMES.
        version: of the library that computes.
    """

    name: str
    version: str

    def logits(self, batch: Batch) -> Logits:
        """No row's logits may depend on the other rows."""
        ...


def build_runtime(name: str, bundle: Bundle, precision: Numerics) -> Runtime:
    """Raises: SetupFault, no such runtime, or it does not offer the precision."""
    if name not in RUNTIMES:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"runtime is one of {', '.join(RUNTIMES)}")
    runtime: Runtime = import_module(RUNTIMES[name]).build(bundle, precision)
    return runtime
