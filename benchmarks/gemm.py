"""What the machine's arithmetic gives: the fastest of several matrix products, as JSON.

Run with `python -m benchmarks.gemm [THREADS]`; `benchmarks.machine.gemm_peaks` does it in a child.
"""

import sys
import time

import torch

from benchmarks.machine import has_bf16
from benchmarks.say import last_line

SIZE = 2048
ROUNDS = 8


class Gemm:
    """One product of two square matrices; `gflops()` computes it once."""

    def __init__(self, dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(1)
        self._left = torch.randn(SIZE, SIZE, generator=generator).to(dtype)
        self._right = torch.randn(SIZE, SIZE, generator=generator).to(dtype)
        self._out = torch.empty(SIZE, SIZE, dtype=dtype)

    def gflops(self) -> float:
        """GFLOP/s of one product; nothing is allocated meanwhile."""
        started = time.perf_counter()
        torch.mm(self._left, self._right, out=self._out)
        return 2 * SIZE**3 / (time.perf_counter() - started) / 1e9


def main() -> None:
    if len(sys.argv) > 1:
        torch.set_num_threads(int(sys.argv[1]))
    last_line({"fp32": _peak(torch.float32), "bf16": _peak(torch.bfloat16) if has_bf16() else None})


def _peak(dtype: torch.dtype) -> float:
    gemm = Gemm(dtype)
    return round(max(gemm.gflops() for _ in range(ROUNDS)), 1)


if __name__ == "__main__":
    main()
