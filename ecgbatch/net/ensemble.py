"""Several nets as one: the mean of their logits, one ECG at a time."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ecgbatch.net.net1d import Net1D


def mean_logits(nets: Sequence[Net1D], batch: NDArray[np.float32]) -> NDArray[np.float64]:
    """(B, in_channels, n) -> (B, n_classes) float64, in the precision of the nets' weights.

    Rows run one by one, so that no row's logits can depend on what else is in the batch.
    """
    if not len(batch):
        return np.empty((0, nets[0].architecture.n_classes))
    return np.stack([_row(nets, row) for row in batch])


def _row(nets: Sequence[Net1D], row: NDArray[np.float32]) -> NDArray[np.float64]:
    # A copy, because torch takes no read-only array.
    single = torch.from_numpy(np.array(row[np.newaxis]))
    with torch.inference_mode():
        members = [net(single.to(net.dense.weight.dtype)).numpy()[0] for net in nets]
    return np.asarray(np.mean(np.asarray(members, dtype=np.float64), axis=0))
