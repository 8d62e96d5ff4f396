"""One side of the net benchmark, in a process of its own; started by `benchmarks.net`.

`python -m benchmarks.net_worker RUNTIME PRECISION BATCH CORES FOLDER`; the runtime `gemm` is
the measure that the others are held against.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.full_net import Inputs, ecgs
from benchmarks.gemm import Gemm
from benchmarks.net_runtimes import Computes, build
from benchmarks.worker import serve
from ecgbatch.bundle.load import load_bundle
from ecgbatch.terms import Numerics

N_ECGS = 64


def main() -> None:
    name, precision, batch, cores, folder = sys.argv[1:]
    if name == "gemm":
        torch.set_num_threads(int(cores))
        _serve_gemm(Gemm(torch.bfloat16 if precision == Numerics.BF16 else torch.float32))
    else:
        bundle = load_bundle(Path(folder))
        runtime = build(name, bundle, Numerics(precision), int(batch), int(cores))
        _serve_net(runtime, int(batch))


def _serve_gemm(gemm: Gemm) -> None:
    serve(lambda n: [gemm.gflops() for _ in range(n)], {})


def _serve_net(runtime: Computes, batch: int) -> None:
    given = ecgs(N_ECGS)
    with ThreadPoolExecutor(runtime.streams) as streams:

        def run(n: int) -> NDArray[np.float32]:
            """(n, 4) logits of n ECGs, the last batch filled up."""
            parts = list(streams.map(runtime.logits, _batches(given, n, batch)))
            return np.concatenate(parts)[:n]

        serve(run, {"logits": lambda n: run(n).tolist()})


def _batches(given: Inputs, n: int, batch: int) -> Iterator[Inputs]:
    """`given` again and again, in batches of one size."""
    for first in range(0, n, batch):
        yield given[np.arange(first, first + batch) % len(given)]


if __name__ == "__main__":
    main()
