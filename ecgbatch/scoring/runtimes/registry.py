"""The runtimes: what turns a batch of inputs into logits. One line per runtime."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ecgbatch.bundle.load import Bundle
from ecgbatch.errors import SetupFault
from ecgbatch.terms import Numerics, ReasonCode

Batch = NDArray[np.float32]
"""(B, 12, 5000)."""
Logits = NDArray[np.float64]
"""(B, n_tasks), mean over the bundle's members."""

_FP32 = (Numerics.FP32,)
_BOTH = (Numerics.FP32, Numerics.BF16)


@dataclass(frozen=True, slots=True)
class Known:
    """A runtime that may be installed here or not.

    Attributes:
        module: with `build(bundle, precision, wish) -> Runtime`; where the net is converted first,
            with `convert(net, stem)`; where a device is needed, with `has_device()`.
        package: that computes.
        precisions: that it offers, where the machine has them.
    """

    module: str
    package: str
    precisions: tuple[Numerics, ...]
    needs_device: bool = False


RUNTIMES = {
    "torch": Known("ecgbatch.scoring.runtimes.eager", "torch", _FP32),
    "openvino": Known("ecgbatch.scoring.runtimes.openvino", "openvino", _BOTH),
    "onnx": Known("ecgbatch.scoring.runtimes.onnx", "onnxruntime", _FP32),
    "cuda": Known("ecgbatch.scoring.runtimes.cuda", "torch", _BOTH, needs_device=True),
}
AUTO = "auto"
_PREFERRED = ("openvino", "torch")


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
    return next(one for one in _PREFERRED if _is_installed(one))


def available() -> tuple[str, ...]:
    """The runtimes that can be built here: installed, and with the device that they need."""
    return tuple(
        name
        for name, known in RUNTIMES.items()
        if _is_installed(name) and (not known.needs_device or _module(name).has_device())
    )


def precisions_of(name: str) -> tuple[Numerics, ...]:
    """What a runtime offers; whether this machine has it shows when it is built."""
    return RUNTIMES[chosen(name)].precisions


def build_runtime(
    name: str, bundle: Bundle, precision: Numerics, wish: Wish | None = None
) -> Runtime:
    """The bundle's nets, ready to compute.

    Raises:
        SetupFault: no such runtime, or not installed; it does not offer the precision, or this
            machine does not; the nets cannot be converted for it.
    """
    name = chosen(name)
    if name not in RUNTIMES:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"runtime is one of {', '.join(RUNTIMES)}")
    offered = RUNTIMES[name].precisions
    if precision not in offered:
        words = f"{name} computes in {' or '.join(offered)}"
        raise SetupFault(ReasonCode.BUNDLE_PRECISION, words)
    if not _is_installed(name):
        raise SetupFault(ReasonCode.RUNTIME_MISSING, f"{name} is not installed")
    runtime: Runtime = _module(name).build(bundle, precision, wish or Wish())
    return runtime


def _is_installed(name: str) -> bool:
    """Without importing it."""
    return find_spec(RUNTIMES[name].package) is not None


def _module(name: str) -> Any:
    return import_module(RUNTIMES[name].module)
