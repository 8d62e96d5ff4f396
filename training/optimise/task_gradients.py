"""The gradients of every task, side by side in one flat buffer that is allocated once."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ecgbatch.net.net1d import Net1D

_PROBE_SAMPLES = 64


class TaskGradients:
    """One row per loss, one column per backbone weight.

    Autograd adds into views of the row, so micro-batches add up by themselves and nothing is
    gathered, copied or allocated per task.

    Attributes:
        rows: (R, P).
    """

    def __init__(self, n_rows: int, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        n_columns = sum(parameter.numel() for parameter in self._parameters)
        self.rows = torch.zeros(n_rows, n_columns, device=self._parameters[0].device)
        self._views = [views(row, self._parameters) for row in self.rows]

    def clear(self) -> None:
        self.rows.zero_()

    def add(self, features: Tensor, per_row: Sequence[Tensor | None]) -> None:
        """Add to each row the backbone's gradient, one backward pass per row.

        Args:
            features: (B, C) with the graph of the backbone; the graph is freed at the end.
            per_row: for each row the gradient of its loss with respect to the features, (B, C);
                None leaves the row as it is.
        """
        given = [(row, gradient) for row, gradient in enumerate(per_row) if gradient is not None]
        for place, (row, gradient) in enumerate(given):
            for parameter, view in zip(self._parameters, self._views[row], strict=True):
                parameter.grad = view
            torch.autograd.backward(
                features,
                gradient,
                retain_graph=place + 1 < len(given),
                inputs=self._parameters,
            )


def views(flat: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """Cut a flat vector into views with the parameters' shapes."""
    pieces = torch.split(flat, [parameter.numel() for parameter in parameters])
    return [piece.view_as(parameter) for piece, parameter in zip(pieces, parameters, strict=True)]


def backbone_parameters(net: Net1D) -> list[nn.Parameter]:
    """Weights that the features depend on.

    Not the head's, and not those of a batch norm that this architecture never applies: such
    tensors exist for the checkpoint's sake, and weight decay must not touch them. Autograd says
    which they are. The net is left as it was.
    """
    head = {id(parameter) for parameter in net.dense.parameters()}
    candidates = [parameter for parameter in net.parameters() if id(parameter) not in head]
    was_training = net.training
    net.eval()
    with torch.enable_grad():
        like = candidates[0]
        probe = torch.zeros(1, net.architecture.in_channels, _PROBE_SAMPLES, device=like.device)
        found = torch.autograd.grad(net.features(probe).sum(), candidates, allow_unused=True)
    net.train(was_training)
    return [
        parameter
        for parameter, gradient in zip(candidates, found, strict=True)
        if gradient is not None
    ]
