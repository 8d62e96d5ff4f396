"""An exponential average of the weights along the fit."""

import torch
from torch import Tensor


class WeightAverage:
    """average <- d average + (1 - d) weights, after every step.

    d = min(decay, (1 + n) / (10 + n)) after n steps: at the start the average follows quickly,
    or a short fit would keep mostly its starting weights. The statistics of batch norm are
    averaged like the weights; a counter is copied.

    Source: Polyak and Juditsky 1992; the warm-up is that of TensorFlow's
    ExponentialMovingAverage.

    Attributes:
        tensors: the average, by the name of the tensor it follows.
    """

    def __init__(self, followed: dict[str, Tensor], decay: float) -> None:
        self._followed = followed
        self._decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in followed.items()}

    @torch.no_grad()
    def update(self, n_steps: int) -> None:
        """Args: n_steps: how many steps have been made."""
        decay = min(self._decay, (1.0 + n_steps) / (10.0 + n_steps))
        ours, theirs = [], []
        for name, tensor in self._followed.items():
            if tensor.is_floating_point():
                ours.append(self.tensors[name])
                theirs.append(tensor.detach())
            else:
                self.tensors[name].copy_(tensor)
        torch._foreach_lerp_(ours, theirs, 1.0 - decay)
