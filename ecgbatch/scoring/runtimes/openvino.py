"""OpenVINO on the CPU: the nets converted once, small batches of one shape, a thread per stream."""

import gc
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ecgbatch.bundle.load import Bundle
from ecgbatch.errors import SetupFault
from ecgbatch.scoring.converted import Files, converted
from ecgbatch.scoring.quiet_openvino import openvino
from ecgbatch.scoring.runtimes.fixed import Streams, fill, in_parts
from ecgbatch.scoring.runtimes.registry import Batch, Logits, Wish
from ecgbatch.terms import LEADS, WINDOW_SAMPLES, Numerics, ReasonCode

if TYPE_CHECKING:
    from ecgbatch.net.net1d import Net1D

NAME = "openvino"
_BATCH = 8
"""Activations of so many stay in the processor's cache (docs/why/0046)."""
_TYPES = {Numerics.FP32: openvino.Type.f32, Numerics.BF16: openvino.Type.bf16}
_HINT = "INFERENCE_PRECISION_HINT"

Requests = Sequence["openvino.InferRequest"]
"""Of one stream, one for each member."""


class OpenVino:
    """The compiled nets, one request per stream and member."""

    name = NAME

    def __init__(self, nets: Sequence["openvino.CompiledModel"], batch: int, streams: int) -> None:
        self.batch, self.streams = batch, streams
        self.version = version(NAME)
        self._n_tasks = nets[0].output(0).shape[1]
        self._requests: Streams[Requests] = Streams(
            [[net.create_infer_request() for net in nets] for _ in range(streams)]
        )

    def logits(self, batch: Batch) -> Logits:
        """(B, 12, 5000) float32 -> (B, n_tasks) float64: mean of the members' logits."""
        with self._requests.one() as requests:
            return in_parts(batch, self.batch, self._n_tasks, partial(_infer_each, requests))


def build(bundle: Bundle, precision: Numerics, wish: Wish) -> OpenVino:
    """Convert the nets, or take them from the cache, and compile them for this processor.

    Raises:
        SetupFault: `conversion_failed`; `precision_mismatch`, this processor does not compute in
            the precision.
    """
    batch, threads = wish.batch or _BATCH, wish.threads or 1
    streams = wish.streams or max(1, wish.cores // threads)
    options = {
        _HINT: _TYPES[precision],
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams * threads,
        # Pinned threads of two processes would share one core and leave another idle.
        "ENABLE_CPU_PINNING": False,
    }
    core = openvino.Core()
    nets = [_compile(core, files, batch, options) for files in converted(bundle, NAME)]
    for net in nets:
        _check_precision(net.get_property(_HINT), precision)
    gc.collect()
    return OpenVino(nets, batch, streams)


def convert(net: "Net1D", stem: Path) -> None:
    """Write STEM.xml and STEM.bin: any batch, weights in single precision. Needs torch."""
    import torch  # noqa: PLC0415 - in the converting process alone

    example = torch.zeros(2, len(LEADS), WINDOW_SAMPLES)
    traced = torch.jit.trace(net, example, check_trace=False)  # type: ignore[no-untyped-call] # torch
    shape = openvino.PartialShape([-1, len(LEADS), WINDOW_SAMPLES])
    model = openvino.convert_model(traced, example_input=example, input=[shape])
    openvino.save_model(model, stem.with_suffix(".xml"), compress_to_fp16=False)


def _compile(
    core: "openvino.Core", files: Files, batch: int, options: dict[str, object]
) -> "openvino.CompiledModel":
    model = core.read_model(files[".xml"], files[".bin"])
    files.clear()  # a copy was made of them
    model.reshape([batch, len(LEADS), WINDOW_SAMPLES])
    return core.compile_model(model, "CPU", options)


def _check_precision(got: "openvino.Type", wanted: Numerics) -> None:
    """Where a processor has bf16 OpenVINO would use it unasked, and elsewhere not at all."""
    if got != _TYPES[wanted]:
        words = f"{wanted} was asked for, {NAME} would compute in {got.to_string()}"
        raise SetupFault(ReasonCode.PRECISION_MISMATCH, words)


def _infer_each(requests: Requests, rows: Batch) -> list[Logits]:
    return [_infer(request, rows) for request in requests]


def _infer(request: "openvino.InferRequest", rows: Batch) -> Logits:
    fill(request.get_input_tensor().data, rows)
    request.infer()
    return np.array(request.get_output_tensor().data[: len(rows)], dtype=np.float64)
