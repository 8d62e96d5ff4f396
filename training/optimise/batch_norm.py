"""Batch norm over the whole step's rows when several processes share them."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.optimise.distributed import Group


class _SumOverProcesses(torch.autograd.Function):
    """Sum of every process's values; the gradient goes back to all of them, summed too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


class JointBatchNorm(nn.BatchNorm1d):
    """`BatchNorm1d` whose mean and variance in training are those of all processes' rows.

    Two passes, mean first: a difference of squares would lose digits in fp32. Evaluation, and
    the names of its tensors, are those of `BatchNorm1d`. `torch.nn.SyncBatchNorm` does the same
    but only on GPUs.
    """

    @classmethod
    def of(cls, norm: nn.BatchNorm1d) -> "JointBatchNorm":
        """The same weights and statistics, not copies."""
        joint = cls(norm.num_features, eps=norm.eps, momentum=norm.momentum)
        joint.weight, joint.bias = norm.weight, norm.bias
        joint.running_mean, joint.running_var = norm.running_mean, norm.running_var
        joint.num_batches_tracked = norm.num_batches_tracked
        return joint.train(norm.training)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        """(B, C, n) -> (B, C, n)."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        n = torch.tensor(float(x.shape[0] * x.shape[2]), device=x.device)
        dist.all_reduce(n)
        mean = _sum(x) / n
        centred = x - mean.unsqueeze(-1)
        variance = _sum(centred.square()) / n
        with torch.no_grad():
            self._remember(mean, variance, n)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        result = centred * scale.unsqueeze(-1) + self.bias.unsqueeze(-1)
        return result.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, n: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            raise ValueError("running statistics are needed")
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * n / (n - 1).clamp(min=1), self.momentum)


def _sum(values: Tensor) -> Tensor:
    """(B, C, n) -> (C,) over rows and samples of all processes."""
    total: Tensor = _SumOverProcesses.apply(values.sum(dim=(0, 2)))  # type: ignore[no-untyped-call]
    return total


def join_batch_norm(net: nn.Module, group: Group, device: torch.device) -> None:
    """Let every batch norm of the net see all processes' rows; with one process nothing changes.

    torch's own kernels on a GPU, `JointBatchNorm` elsewhere.
    """
    if group.size == 1:
        return
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
        return
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm1d):
                setattr(parent, name, JointBatchNorm.of(child))
