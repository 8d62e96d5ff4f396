"""The runtimes: what turns a batch of inputs into logits. One line per runtime."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
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
"""Name of a runtime -> module with `build(bundle, precision, wish) -> Runtime`."""
AUTO = "auto"
_PREFERRED = ("torch",)


@dataclass(frozen=True, slots=True)
class Wish:
    """How much of the machine a runtime shall use; 0 is what suits it.

    Attributes:
        batch: rows computed at once.
        streams: batches computed at once.
        threads: of each stream.
        cores: that this process may use.
    """

    batch: int = 0
    streams: int = 0
    threads: int = 0
    cores: int = 1


class Runtime(Protocol):
    """One way to run a bundle's nets.

    Attributes:
        name: of RUNTIMES.
        version: of the library that computes.
        batch: rows that it computes at once; it takes any number, and fills up the last batch.
        streams: how many threads may ask it at once.
    """

    name: str
    version: str
    batch: int
    streams: int

    def logits(self, batch: Batch) -> Logits:
        """No row's logits may depend on the other rows, on their number or on their order."""
        ...


def chosen(name: str) -> str:
    """The runtime that a name of the settings stands for: `auto` is the fastest installed."""
    if name != AUTO:
        return name
    return next(one for one in _PREFERRED if one == "torch" or find_spec(one) is not None)


def build_runtime(
    name: str, bundle: Bundle, precision: Numerics, wish: Wish | None = None
) -> Runtime:
    """Raises: SetupFault, no such runtime, or it does not offer the precision."""
    name = chosen(name)
    if name not in RUNTIMES:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"runtime is one of {', '.join(RUNTIMES)}")
    runtime: Runtime = import_module(RUNTIMES[name]).build(bundle, precision, wish or Wish())
    return runtime
