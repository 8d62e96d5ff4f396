"""The parts of Net1D. Attribute names are those of the public checkpoint's tensors."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ecgbatch.net.architecture import Architecture
from ecgbatch.net.layout import SQUEEZE


class SamePadConv(nn.Module):
    """Convolution with n_out = ceil(n_in / stride); an odd pad puts the extra zero last."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, n) -> (B, out_channels, ceil(n / stride))."""
        n_samples = int(x.shape[-1])  # where the net is traced, a constant of the trace
        n_out = -(-n_samples // self.stride)
        missing = max(0, (n_out - 1) * self.stride + self.kernel_size - n_samples)
        padded = functional.pad(x, (missing // 2, missing - missing // 2))
        result: Tensor = self.conv(padded)
        return result


class Activate(nn.Module):
    """Batch norm (if used), swish, dropout (if used): what stands before a convolution.

    The batch norm belongs to the block, so that its tensors carry the checkpoint's names
    whether it is used or not.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.use_bn = architecture.use_bn
        self.dropout = nn.Dropout(architecture.dropout_p if architecture.use_dropout else 0.0)

    def forward(self, x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
        activated: Tensor = self.dropout(functional.silu(norm(x) if self.use_bn else x))
        return activated


class ResidualBlock(nn.Module):
    """Pre-activated 1 - kernel - 1 bottleneck with squeeze-and-excitation.

    Source: Net1D (hsd1503/resnet1d, used by PKUDigitalHealth/ECGFounder).
    """

    def __init__(
        self,
        architecture: Architecture,
        in_channels: int,
        out_channels: int,
        *,
        is_downsampling: bool,
        is_first: bool,
    ) -> None:
        super().__init__()
        self.is_first = is_first
        self.pool = architecture.stride if is_downsampling else 1
        self.activate = Activate(architecture)
        middle = architecture.middle_channels(out_channels)
        self.bn1 = nn.BatchNorm1d(in_channels)
        self.conv1 = SamePadConv(in_channels, middle, 1)
        self.bn2 = nn.BatchNorm1d(middle)
        self.conv2 = SamePadConv(
            middle,
            middle,
            architecture.kernel_size,
            self.pool,
            groups=architecture.groups(out_channels),
        )
        self.bn3 = nn.BatchNorm1d(middle)
        self.conv3 = SamePadConv(middle, out_channels, 1)
        self.se_fc1 = nn.Linear(out_channels, out_channels // SQUEEZE)
        self.se_fc2 = nn.Linear(out_channels // SQUEEZE, out_channels)
        self.added_channels = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, n) -> (B, out_channels, ceil(n / stride))."""
        # The first block of all follows an activation already.
        out = self.conv1(x if self.is_first else self.activate(x, self.bn1))
        out = self.conv2(self.activate(out, self.bn2))
        out = self.conv3(self.activate(out, self.bn3))
        return self._excite(out) + self._shortcut(x)

    def _excite(self, x: Tensor) -> Tensor:
        hidden = functional.silu(self.se_fc1(x.mean(-1)))
        return x * torch.sigmoid(self.se_fc2(hidden)).unsqueeze(-1)

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.pool > 1:
            missing = self.pool - 1
            x = functional.max_pool1d(
                functional.pad(x, (missing // 2, missing - missing // 2)), self.pool
            )
        if self.added_channels:
            before = self.added_channels // 2
            x = functional.pad(x, (0, 0, before, self.added_channels - before))
        return x
