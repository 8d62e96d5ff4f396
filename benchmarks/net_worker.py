"""One side of the net benchmark, in a process of its own; started by `benchmarks.net`.

`python -m benchmarks.net_worker RUNTIME PRECISION BATCH CORES FOLDER`; the runtime `gemm` is
the measure that the others are held against.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import Inputs, ecgs
from benchmarks.sides import GEMM, PUBLISHED, Computes
from benchmarks.worker import serve
from ecgbatch import telemetry
from ecgbatch.bundle.load import Bundle, load_bundle
from ecgbatch.scoring.runtimes.registry import Wish, build_runtime
from ecgbatch.terms import Numerics

N_ECGS = 64


def main() -> None:
    name, precision, batch, cores, folder = sys.argv[1:]
    telemetry.configure("warning")  # to standard error: the parent reads the output
    if name == GEMM:
        _serve_gemm(Numerics(precision), int(cores))
    else:
        bundle = load_bundle(Path(folder))
        runtime = _runtime(name, bundle, Numerics(precision), int(batch), int(cores))
        _serve_net(runtime, int(batch))


def _runtime(name: str, bundle: Bundle, precision: Numerics, batch: int, cores: int) -> Computes:
    if name != PUBLISHED:
        return build_runtime(name, bundle, precision, Wish(batch=batch, cores=cores))
    # Torch weighs more than the whole of another runtime, whose memory is measured too.
    from benchmarks.published_net import Published  # noqa: PLC0415

    return Published(bundle, cores)


def _serve_gemm(precision: Numerics, cores: int) -> None:
    import torch  # noqa: PLC0415 - as above

    from benchmarks.gemm import Gemm  # noqa: PLC0415

    torch.set_num_threads(cores)
    gemm = Gemm(torch.bfloat16 if precision == Numerics.BF16 else torch.float32)
    serve(lambda n: [gemm.gflops() for _ in range(n)], {})


def _serve_net(runtime: Computes, batch: int) -> None:
    given = ecgs(N_ECGS)
    with ThreadPoolExecutor(runtime.streams) as streams:

        def run(n: int) -> NDArray[np.float64]:
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
