"""ONNX Runtime on the CPU: for machines that OpenVINO does not serve."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ecgbatch.bundle.load import Bundle
from ecgbatch.scoring.converted import converted
from ecgbatch.scoring.quiet_onnxruntime import onnxruntime
from ecgbatch.scoring.runtimes.fixed import Streams, fill, in_parts
from ecgbatch.scoring.runtimes.registry import Batch, Logits, Wish
from ecgbatch.terms import LEADS, WINDOW_SAMPLES, Numerics

if TYPE_CHECKING:
    from ecgbatch.net.net1d import Net1D

NAME = "onnx"
_BATCH = 8
_OPSET = 17
_INPUT, _OUTPUT, _ROWS = "ecg", "logits", "batch"


class _Stream:
    """Sessions of the members, and a batch of the fixed shape to give them."""

    def __init__(self, sessions: Sequence[onnxruntime.InferenceSession], batch: int) -> None:
        self._sessions = sessions
        self._held: Batch = np.zeros((batch, len(LEADS), WINDOW_SAMPLES), np.float32)

    def compute(self, rows: Batch) -> list[Logits]:
        fill(self._held, rows)
        return [one.run([_OUTPUT], {_INPUT: self._held})[0][: len(rows)] for one in self._sessions]


class OnnxRuntime:
    """The nets in as many sessions as their threads need."""

    name = NAME

    def __init__(self, streams: Sequence[_Stream], batch: int, n_tasks: int) -> None:
        self.batch, self.streams = batch, len(streams)
        self.version = version("onnxruntime")
        self._n_tasks = n_tasks
        self._streams = Streams(streams)

    def logits(self, batch: Batch) -> Logits:
        """(B, 12, 5000) float32 -> (B, n_tasks) float64: mean of the members' logits."""
        with self._streams.one() as stream:
            return in_parts(batch, self.batch, self._n_tasks, stream.compute)


def build(bundle: Bundle, _: Numerics, wish: Wish) -> OnnxRuntime:
    """Convert the nets, or take them from the cache, and open them.

    Raises:
        SetupFault: `conversion_failed`.
    """
    batch, threads = wish.batch or _BATCH, wish.threads or 1
    n_streams = wish.streams or max(1, wish.cores // threads)
    # One session computes for several threads at once, each in its own; threads of a session
    # beside them would be shared, so then each stream has a session.
    n_sessions = 1 if threads == 1 else n_streams
    sessions = [
        [_session(files[".onnx"], batch, threads) for _ in range(n_sessions)]
        for files in converted(bundle, NAME)
    ]
    streams = [
        _Stream([of_member[number % n_sessions] for of_member in sessions], batch)
        for number in range(n_streams)
    ]
    return OnnxRuntime(streams, batch, bundle.manifest.architecture.n_classes)


def convert(net: "Net1D", stem: Path) -> None:
    """Write STEM.onnx: any batch, weights in single precision. Needs torch and onnx."""
    import torch  # noqa: PLC0415 - in the converting process alone

    torch.onnx.export(
        net,
        (torch.zeros(2, len(LEADS), WINDOW_SAMPLES),),
        stem.with_suffix(".onnx"),
        dynamo=False,  # the other way needs one more package and takes four times as long
        opset_version=_OPSET,
        input_names=[_INPUT],
        output_names=[_OUTPUT],
        dynamic_axes={_INPUT: {0: _ROWS}, _OUTPUT: {0: _ROWS}},
    )


def _session(content: bytes, batch: int, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_free_dimension_override_by_name(_ROWS, batch)
    # Threads that wait shall sleep: the readers need the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
