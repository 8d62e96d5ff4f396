"""PCGrad: task gradients that conflict are projected off each other.

Source: Yu et al., "Gradient surgery for multi-task learning", NeurIPS 2020, algorithm 1: each
task's gradient against the other tasks' original gradients, in random order. Pure functions on
flat gradients; they know no net and no optimiser.
"""

import torch
from torch import Tensor

_COLUMNS = 1 << 16
"""Gradient entries that are widened to float64 at once: a piece stays in the cache."""


def project(gradients: Tensor, generator: torch.Generator) -> Tensor:
    """Project every task's gradient off those that it conflicts with.

    Args:
        gradients: (T, P), one flat gradient per task.
        generator: draws the order of the projections.

    Returns:
        (T, P); their sum or mean is the direction of the step.
    """
    coefficients = projection_coefficients(gram_matrix(gradients), generator)
    return coefficients.to(gradients) @ gradients


def gram_matrix(gradients: Tensor) -> Tensor:
    """(T, P) -> (T, T) inner products in float64, on the CPU; the gradients are read once."""
    gram = torch.zeros(len(gradients), len(gradients), dtype=torch.float64, device=gradients.device)
    at_once = _COLUMNS if gradients.is_cpu else gradients.shape[1]
    for piece in torch.split(gradients, at_once, dim=1):
        wide = piece.double()
        gram.addmm_(wide, wide.T)
    return gram.cpu()


def projection_coefficients(gram: Tensor, generator: torch.Generator) -> Tensor:
    """The projected gradients as combinations of the original ones.

    A projection only ever adds multiples of original gradients, so the whole algorithm runs on
    the inner products, and the long vectors are touched twice.

    Args:
        gram: (T, T) float64 inner products of the gradients.

    Returns:
        (T, T): row i holds the combination that replaces gradient i.
    """
    n_tasks = len(gram)
    coefficients = torch.eye(n_tasks, dtype=gram.dtype)
    for task in range(n_tasks):
        for other in torch.randperm(n_tasks, generator=generator).tolist():
            inner = coefficients[task] @ gram[:, other]
            if other != task and inner < 0:
                coefficients[task, other] -= inner / gram[other, other]
    return coefficients


def n_conflicts(gram: Tensor) -> int:
    """Pairs of tasks whose gradients point against each other: negative inner product."""
    return int((torch.triu(gram, diagonal=1) < 0).sum())
