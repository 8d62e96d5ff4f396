"""The runtimes of the net benchmark: each turns fixed batches into logits.

Used in a child of its own each (`benchmarks.net_worker`).
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.full_net import Inputs
from ecgbatch.bundle.load import Bundle
from ecgbatch.net.checkpoint import build_net
from ecgbatch.net.net1d import Net1D
from ecgbatch.terms import Numerics

Logits = NDArray[np.float32]
"""(n, 4)."""


class Computes(Protocol):
    """Attributes: streams: how many threads may ask at once."""

    streams: int

    def logits(self, batch: Inputs) -> Logits: ...


class Eager:
    """The net as one torch module, as published: no mode but eval, all cores in each operation."""

    streams = 1

    def __init__(self, bundle: Bundle, cores: int) -> None:
        torch.set_num_threads(cores)
        self._net = _net(bundle)

    def logits(self, batch: Inputs) -> Logits:
        with torch.no_grad():
            return np.asarray(self._net(torch.from_numpy(batch)).numpy())


class OpenVino:
    """One thread for each stream; the precision is set and read back."""

    def __init__(self, bundle: Bundle, precision: Numerics, batch: int, cores: int) -> None:
        openvino = _openvino()
        core = openvino.Core()
        model = core.read_model(_converted(bundle))
        model.reshape([batch, *_shape(bundle)])
        wanted = openvino.Type.bf16 if precision is Numerics.BF16 else openvino.Type.f32
        hints = {
            "INFERENCE_PRECISION_HINT": wanted.get_type_name(),
            "NUM_STREAMS": cores,
            "INFERENCE_NUM_THREADS": cores,
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled = core.compile_model(model, "CPU", hints)
        if self._compiled.get_property("INFERENCE_PRECISION_HINT") != wanted:
            raise RuntimeError("the precision is another than asked for")
        self.streams = cores

    def logits(self, batch: Inputs) -> Logits:
        return np.array(self._compiled.create_infer_request().infer([batch])[0])


class Onnx:
    """ONNX Runtime, all cores in each operation."""

    streams = 1

    def __init__(self, bundle: Bundle, batch: int, cores: int) -> None:
        import onnxruntime  # noqa: PLC0415 - only in the child that measures it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores
        path = _exported(bundle, batch)
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def logits(self, batch: Inputs) -> Logits:
        return np.asarray(self._session.run(None, {"ecg": batch})[0])


def build(name: str, bundle: Bundle, precision: Numerics, batch: int, cores: int) -> Computes:
    """Raises: ValueError, no such runtime in this precision."""
    builders: dict[tuple[str, Numerics], Callable[[], Computes]] = {
        ("torch", Numerics.FP32): lambda: Eager(bundle, cores),
        ("openvino", Numerics.FP32): lambda: OpenVino(bundle, precision, batch, cores),
        ("openvino", Numerics.BF16): lambda: OpenVino(bundle, precision, batch, cores),
        ("onnx", Numerics.FP32): lambda: Onnx(bundle, batch, cores),
    }
    if (name, precision) not in builders:
        raise ValueError("no such runtime in this precision")
    return builders[name, precision]()


def convert(bundle: Bundle, batches: tuple[int, ...]) -> None:
    """Write what the other runtimes read, beside the bundle, if it is not there."""
    _converted(bundle)
    for batch in batches:
        _exported(bundle, batch)


def _converted(bundle: Bundle) -> Path:
    """OpenVINO's form of the net, weights in single precision."""
    path = _beside(bundle, "xml")
    if not path.exists():
        openvino = _openvino()
        model = openvino.convert_model(_net(bundle), example_input=_example(bundle, 1))
        openvino.save_model(model, path, compress_to_fp16=False)
    return path


def _exported(bundle: Bundle, batch: int) -> Path:
    """ONNX with a fixed batch."""
    path = _beside(bundle, f"{batch}.onnx")
    if not path.exists():
        torch.onnx.export(
            _net(bundle),
            (_example(bundle, batch),),
            path,
            input_names=["ecg"],
            opset_version=17,
            dynamo=False,
        )
    return path


def _openvino() -> Any:
    # It would tell its maker of a conversion.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] - blocks the import
    import openvino  # noqa: PLC0415 - only in the children that use it

    return openvino


def _net(bundle: Bundle) -> Net1D:
    return build_net(bundle.manifest.architecture, bundle.members[0])


def _example(bundle: Bundle, batch: int) -> torch.Tensor:
    return torch.zeros(batch, *_shape(bundle))


def _shape(bundle: Bundle) -> tuple[int, ...]:
    return tuple(bundle.golden_signals_mv.shape[1:])


def _beside(bundle: Bundle, ending: str) -> Path:
    return bundle.location.parent / f"net-{bundle.digest[:12]}.{ending}"
