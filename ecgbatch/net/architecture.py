"""The geometry of Net1D as a frozen value: what the tensors alone do not say."""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator


class Architecture(BaseModel):
    """Geometry and flags of one Net1D.

    Attributes:
        in_channels: leads.
        base_filters: channels after the first convolution.
        filter_list: channels of each stage.
        m_blocks_list: residual blocks of each stage.
        kernel_size: of the first and of each block's middle convolution, in samples.
        stride: of the first block of each stage; the first convolution always halves.
        groups_width: channels per group of the middle convolution.
        ratio: middle channels per outer channel of a block.
        n_classes: rows of the head.
        use_bn: batch norm is applied; its tensors exist either way, so names cannot tell.
        use_dropout: dropout is active in training; without effect on scores.
        dropout_p: its probability.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    in_channels: PositiveInt
    base_filters: PositiveInt
    filter_list: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)]
    m_blocks_list: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)]
    kernel_size: PositiveInt
    stride: PositiveInt
    groups_width: PositiveInt
    ratio: Annotated[float, Field(gt=0)]
    n_classes: PositiveInt
    use_bn: bool
    use_dropout: bool
    dropout_p: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(self.filter_list) != len(self.m_blocks_list):
            raise ValueError("filter_list and m_blocks_list differ in length")
        for channels in self.filter_list:
            groups, middle = self.groups(channels), self.middle_channels(channels)
            if groups == 0 or middle % groups:
                raise ValueError("groups_width and ratio do not divide filter_list")
        widths = (self.base_filters, *self.filter_list)
        if any(later < earlier for earlier, later in pairwise(widths)):
            raise ValueError("channels may not shrink: the shortcut only adds channels")
        return self

    @classmethod
    def ecgfounder(
        cls,
        n_classes: int = 4,
        *,
        use_bn: bool,
        use_dropout: bool,
        dropout_p: float = 0.5,
    ) -> Self:
        """The 12-lead ECGFounder: 30.7 million parameters.

        Source: PKUDigitalHealth/ECGFounder; there both flags are False.
        """
        return cls(
            in_channels=12,
            base_filters=64,
            filter_list=(64, 160, 160, 400, 400, 1024, 1024),
            m_blocks_list=(2, 2, 2, 3, 3, 4, 4),
            kernel_size=16,
            stride=2,
            groups_width=16,
            ratio=1.0,
            n_classes=n_classes,
            use_bn=use_bn,
            use_dropout=use_dropout,
            dropout_p=dropout_p,
        )

    def middle_channels(self, channels: int) -> int:
        return int(channels * self.ratio)

    def groups(self, channels: int) -> int:
        return channels // self.groups_width
