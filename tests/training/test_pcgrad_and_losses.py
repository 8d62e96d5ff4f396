"""PCGrad and the losses against numbers worked out by hand."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.optimise.losses import UncertaintyWeights, masked_bce
from training.optimise.pcgrad import project


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_two_conflicting_gradients_lose_their_conflict() -> None:
    projected = project(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), generator())

    assert torch.allclose(projected, torch.tensor([[0.5, 0.5], [0.0, 1.0]]))
    assert torch.allclose(projected.sum(dim=0), torch.tensor([0.5, 1.5]))


def test_gradients_without_conflict_stay_as_they_are() -> None:
    gradients = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
    assert torch.equal(project(gradients, generator()), gradients)


def test_opposite_gradients_cancel() -> None:
    projected = project(torch.tensor([[1.0, 2.0], [-2.0, -4.0]]), generator())
    assert torch.allclose(projected, torch.zeros(2, 2))


def test_a_task_without_gradient_changes_nothing() -> None:
    gradients = torch.tensor([[0.0, 0.0], [1.0, -1.0], [1.0, 1.0]])
    assert torch.equal(project(gradients, generator()), gradients)


def by_the_paper(gradients: Tensor, orders: list[list[int]]) -> Tensor:
    """Algorithm 1, literally, on the long vectors."""
    rows = []
    for task, order in enumerate(orders):
        row = gradients[task].clone()
        for other in order:
            inner = row @ gradients[other]
            if other != task and inner < 0:
                row = row - inner / (gradients[other] @ gradients[other]) * gradients[other]
        rows.append(row)
    return torch.stack(rows)


def test_every_task_is_projected_against_the_original_gradients_in_a_random_order() -> None:
    gradients = torch.tensor(
        [[1.0, 0.2, -0.4], [-1.0, 0.9, 0.1], [0.1, -1.0, 0.8]], dtype=torch.float64
    )
    allowed = [
        by_the_paper(gradients, [list(order) for order in orders])
        for orders in itertools.product(itertools.permutations(range(3)), repeat=3)
    ]
    seen = set()
    for seed in range(30):
        projected = project(gradients, generator(seed))
        matches = [i for i, one in enumerate(allowed) if torch.allclose(one, projected)]
        assert matches
        seen.add(matches[0])
    assert len(seen) > 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-9, 9, width=32)] * 5), min_size=2, max_size=2))
def test_of_two_tasks_none_is_left_against_the_other(rows: list[tuple[float, ...]]) -> None:
    gradients = torch.tensor(rows, dtype=torch.float64)
    projected = project(gradients, generator())
    for task, other in ((0, 1), (1, 0)):
        size = 1.0 + gradients[task].norm() * gradients[other].norm()
        assert float(projected[task] @ gradients[other]) >= -1e-9 * float(size)


def test_equal_generators_give_equal_projections() -> None:
    gradients = torch.randn(4, 50, generator=generator(3))
    assert torch.equal(project(gradients, generator(5)), project(gradients, generator(5)))


def test_missing_labels_are_masked_and_not_negative() -> None:
    logits = torch.tensor([[0.0, 2.0], [1.0, -5.0]], requires_grad=True)
    labels = torch.tensor([[1.0, 0.0], [float("nan"), float("nan")]])

    losses, is_present = masked_bce(logits, labels)
    torch.autograd.backward(losses.sum())

    assert losses.tolist() == pytest.approx([math.log(2), math.log(1 + math.exp(2))])
    assert is_present.tolist() == [True, True]
    assert logits.grad is not None
    assert logits.grad[1].tolist() == [0.0, 0.0]


def test_a_task_without_any_label_gives_no_loss_and_moves_no_weight() -> None:
    logits = torch.zeros(3, 2, requires_grad=True)
    labels = torch.tensor([[1.0, float("nan")]] * 3)
    weights = UncertaintyWeights(2, limit=1.0)

    losses, is_present = masked_bce(logits, labels)
    torch.autograd.backward(weights.objective(losses, is_present))

    assert losses.tolist() == pytest.approx([math.log(2), 0.0])
    assert weights.s.grad is not None
    # d/ds (exp(-s) L + s) at s = 0 is 1 - L
    assert weights.s.grad.tolist() == pytest.approx([1 - math.log(2), 0.0])


def test_task_weights_stay_within_their_limit() -> None:
    weights = UncertaintyWeights(2, limit=1.0)
    with torch.no_grad():
        weights.s.copy_(torch.tensor([-8.0, 0.5]))
    weights.hold()

    assert weights.s.tolist() == pytest.approx([-1.0, 0.5])
    assert weights.weights().tolist() == pytest.approx([math.e, math.exp(-0.5)])
