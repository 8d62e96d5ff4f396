"""Net1D in the layout of the public ECGFounder checkpoint."""

from torch import Tensor, nn
from torch.nn import functional

from ecgbatch.net.architecture import Architecture
from ecgbatch.net.blocks import ResidualBlock, SamePadConv

_FIRST_STRIDE = 2


class Stage(nn.Module):
    """Residual blocks of one width; the first one shortens the signal."""

    def __init__(self, architecture: Architecture, in_channels: int, index: int) -> None:
        super().__init__()
        out_channels = architecture.filter_list[index]
        self.block_list = nn.ModuleList(
            ResidualBlock(
                architecture,
                in_channels if block == 0 else out_channels,
                out_channels,
                is_downsampling=block == 0,
                is_first=index == 0 and block == 0,
            )
            for block in range(architecture.m_blocks_list[index])
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block_list:
            x = block(x)
        return x


class Net1D(nn.Module):
    """Residual net over 12 leads; knows widths, not tasks.

    Source: Net1D (hsd1503/resnet1d) as used by PKUDigitalHealth/ECGFounder; state-dict
    names and shapes are those of its checkpoint. Own implementation.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        widths = (architecture.base_filters, *architecture.filter_list)
        self.first_conv = SamePadConv(
            architecture.in_channels, widths[0], architecture.kernel_size, _FIRST_STRIDE
        )
        self.first_bn = nn.BatchNorm1d(widths[0])
        self.stage_list = nn.ModuleList(
            Stage(architecture, widths[index], index)
            for index in range(len(architecture.filter_list))
        )
        self.dense = nn.Linear(widths[-1], architecture.n_classes)

    def features(self, x: Tensor) -> Tensor:
        """(B, in_channels, n) -> (B, C): the last stage, averaged over time."""
        out = self.first_conv(x)
        if self.architecture.use_bn:
            out = self.first_bn(out)
        out = functional.silu(out)
        for stage in self.stage_list:
            out = stage(out)
        averaged: Tensor = out.mean(-1)
        return averaged

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, n) -> logits (B, n_classes)."""
        logits: Tensor = self.dense(self.features(x))
        return logits
