"""Losses of several tasks at once: one task per vessel, labels may be missing."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def masked_bce(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean binary cross entropy of each task over the ECGs that have its label.

    Args:
        logits: (B, T).
        labels: (B, T) with 1, 0, or NaN where the label is missing: masked, not negative.

    Returns:
        (T,) losses, 0 for a task without any label in the batch; and (T,) whether it has one.
    """
    n_known = known_labels(labels)
    return masked_bce_sum(logits, labels) / n_known.clamp(min=1), n_known > 0


def known_labels(labels: Tensor) -> Tensor:
    """(B, T) -> (T,) how many labels of each task are not missing, int64."""
    return torch.isfinite(labels).sum(dim=0)


def masked_bce_sum(logits: Tensor, labels: Tensor, positive_weight: Tensor | None = None) -> Tensor:
    """Sum of the binary cross entropies of each task over the ECGs that have its label.

    A sum, because the divisor is that of the whole step: a micro-batch or a process does not
    know it (docs/why/0027).

    Args:
        logits: (B, T).
        labels: (B, T) with 1, 0, or NaN where the label is missing.
        positive_weight: (T,) factor on the positives; None: 1.

    Returns:
        (T,).
    """
    is_known = torch.isfinite(labels)
    target = torch.where(is_known, labels, torch.zeros_like(labels))
    each = functional.binary_cross_entropy_with_logits(
        logits, target, reduction="none", pos_weight=positive_weight
    )
    return torch.where(is_known, each, torch.zeros_like(each)).sum(dim=0)


class UncertaintyWeights(nn.Module):
    """A learned weight exp(-s) per task, s the logarithm of its uncertainty.

    Source: Kendall, Gal, Cipolla, "Multi-task learning using uncertainty to weigh losses",
    CVPR 2018, in the form of the published recipe. s is held within +-limit: a rare task's tiny
    loss would otherwise drive its weight without bound. While s is not learned all weights are 1.
    """

    def __init__(self, n_tasks: int, limit: float) -> None:
        super().__init__()
        self.limit = limit
        self.s = nn.Parameter(torch.zeros(n_tasks))

    def weights(self) -> Tensor:
        """(T,) constants for the net's gradient."""
        return torch.exp(-self.s.detach().clamp(-self.limit, self.limit))

    def objective(self, losses: Tensor, is_present: Tensor) -> Tensor:
        """What s alone learns from: the sum of exp(-s) L + s over the tasks in the batch.

        Args:
            losses: (T,), taken as constants.
            is_present: (T,), from `masked_bce`.
        """
        terms = torch.exp(-self.s) * losses.detach() + self.s
        return torch.where(is_present, terms, torch.zeros_like(terms)).sum()

    @torch.no_grad()
    def hold(self) -> None:
        """Bring s back within its limits; to be called after each step."""
        self.s.clamp_(-self.limit, self.limit)
