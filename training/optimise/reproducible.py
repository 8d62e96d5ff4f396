"""Equal bits from equal settings: seeds, deterministic algorithms, a fixed number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Deterministic algorithms, a fixed seed and number of threads; as before afterwards.

    On a CPU two fits inside give equal bits. On a GPU an operation that has no deterministic
    kernel warns instead of stopping the fit, and fp32 convolutions do not fall back to TF32.
    """
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    had_threads = torch.get_num_threads()
    had_tf32 = torch.backends.cudnn.allow_tf32
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
        torch.backends.cudnn.allow_tf32 = False
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was_deterministic)
            torch.backends.cudnn.allow_tf32 = had_tf32
            torch.set_num_threads(had_threads)


@contextmanager
def drawing_from(*address: int, device: torch.device) -> Iterator[None]:
    """Every draw of torch inside is addressed by these numbers; the outer state is untouched.

    Args:
        address: for example a step's seed and the process's rank.
    """
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(derived_seed(*address))
        yield


def derived_seed(*address: int) -> int:
    """A seed of 63 bits from non-negative numbers that name what is drawn."""
    return int(np.random.SeedSequence(address).generate_state(1, np.uint64)[0] >> np.uint64(1))
