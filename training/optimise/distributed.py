"""The processes that share one step, started by torchrun; one process alone is the usual case."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

_OPERATIONS = {"sum": dist.ReduceOp.SUM, "min": dist.ReduceOp.MIN}


@dataclass(frozen=True, slots=True)
class Group:
    """One process's place among those that compute a step together.

    Attributes:
        rank: 0 is the one that writes files and shows progress.
        size: 1 means no other process: nothing is ever sent.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def all_reduce(self, values: Tensor, operation: Literal["sum", "min"] = "sum") -> None:
        """Replace `values` in place by the sum or the least over all processes."""
        if self.size > 1:
            dist.all_reduce(values, op=_OPERATIONS[operation])

    def broadcast(self, values: Tensor) -> None:
        """Replace `values` in place by those of rank 0."""
        if self.size > 1:
            dist.broadcast(values, src=0)

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()

    def rows(self, n: int) -> slice:
        """This process's share of the n rows of a step: contiguous, sizes differ by one at most."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)


ALONE = Group()


@contextmanager
def joined_group(device: torch.device) -> Iterator[Group]:
    """The group that torchrun's environment variables describe; `ALONE` without them.

    Gloo between CPUs, NCCL between GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Group(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def local_device(kind: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device of this process: under torchrun each process on a machine has its own GPU."""
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
