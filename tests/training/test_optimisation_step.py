"""One step of the fit against plain PyTorch, literal algorithms and numbers worked out by hand."""

import io
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchjd.aggregation import PCGrad

from ecgbatch.errors import SetupFault
from ecgbatch.net.net1d import Net1D
from tests.support.optimisation_runs import CPU, batch, optimisation, tiny_net
from training.optimise.averaging import WeightAverage
from training.optimise.losses import masked_bce_sum
from training.optimise.optimisation import Step
from training.optimise.pcgrad import gram_matrix, n_conflicts, project
from training.optimise.reproducible import drawing_from, reproducible
from training.optimise.schedule import learning_rate
from training.settings.fit import OptimiserSettings


@pytest.fixture(autouse=True)
def _one_thread():
    with reproducible(0, threads=1):
        yield


def by_hand(net: Net1D, inputs: Tensor, labels: Tensor, *, projected: bool) -> dict[str, Tensor]:
    """The net's gradient, from `backward` task by task and algorithm 1 on whole vectors.

    Of two tasks each has one other: there is no order to draw.
    """
    net.train()
    logits = net(inputs)
    known = torch.isfinite(labels)
    n_tasks = labels.shape[1]
    losses = [
        functional.binary_cross_entropy_with_logits(logits[known[:, t], t], labels[known[:, t], t])
        for t in range(n_tasks)
        if known[:, t].any()
    ]
    names = [name for name, _ in net.named_parameters()]
    rows = []
    for loss in losses:
        net.zero_grad()
        loss.backward(retain_graph=True)
        rows.append(
            {
                n: torch.zeros_like(p) if p.grad is None else p.grad.clone()
                for n, p in net.named_parameters()
            }
        )
    shared = [name for name in names if not name.startswith("dense.")]
    flat = torch.stack([torch.cat([row[n].reshape(-1) for n in shared]) for row in rows]).double()
    result = flat.clone()
    for i in range(len(rows)):
        for j in range(len(rows)):
            inner = result[i] @ flat[j]
            if projected and i != j and inner < 0:
                result[i] -= inner / (flat[j] @ flat[j]) * flat[j]
    mean = result.mean(dim=0).float()
    pieces = torch.split(mean, [rows[0][n].numel() for n in shared])
    found = {n: piece.view_as(rows[0][n]) for n, piece in zip(shared, pieces, strict=True)}
    for name in ("dense.weight", "dense.bias"):
        found[name] = torch.stack([row[name] for row in rows]).mean(dim=0)
    return found


def gradient_of_step(net: Net1D, inputs: Tensor, labels: Tensor, **changed: object) -> dict:
    ours = optimisation(net, gradient_limit=1e9, **changed)
    ours.step(inputs, labels, seed=0)
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


def conflicting_pair() -> tuple[Tensor, Tensor]:
    """Two tasks known, with opposite labels; the other two never."""
    inputs, _ = batch()
    labels = torch.full((len(inputs), 4), torch.nan)
    labels[:, 0] = torch.arange(len(inputs)) % 2
    labels[:, 2] = 1 - labels[:, 0]
    labels[3, 2] = torch.nan
    return inputs, labels


@pytest.mark.parametrize("projection", ["pcgrad", "none"])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_the_gradient_is_that_of_plain_backward_passes(projection: str, accumulation: int) -> None:
    inputs, labels = conflicting_pair()
    expected = by_hand(tiny_net(use_bn=False), inputs, labels, projected=projection == "pcgrad")
    found = gradient_of_step(
        tiny_net(use_bn=False), inputs, labels, projection=projection, accumulation=accumulation
    )
    assert found
    for name, gradient in found.items():
        assert torch.allclose(gradient, expected[name], rtol=1e-4, atol=1e-7), name


def test_each_micro_batch_holds_originals_and_copies() -> None:
    inputs, labels = batch(12)
    inputs += torch.arange(12.0).view(12, 1, 1) * 100.0
    net, seen = tiny_net(), []
    net.first_conv.register_forward_pre_hook(
        lambda _, given: seen.append((given[0].mean(dim=(1, 2)) / 100.0).round().int().tolist())
    )
    made = optimisation(net, accumulation=2)
    seen.clear()
    made.step(inputs, labels, seed=1)
    assert seen == [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]]


def test_head_rows_are_never_projected_and_the_two_cases_differ() -> None:
    inputs, labels = conflicting_pair()
    net = tiny_net(use_bn=False)
    with torch.no_grad():  # the head's rows look alike: opposite labels then pull apart
        net.dense.weight[2] = net.dense.weight[0]
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    both = {}
    for projection in ("pcgrad", "none"):
        other = tiny_net(use_bn=False)
        other.load_state_dict(state)
        both[projection] = gradient_of_step(other, inputs, labels, projection=projection)
    assert torch.allclose(
        both["pcgrad"]["dense.weight"], both["none"]["dense.weight"], rtol=1e-5, atol=1e-8
    )
    assert not torch.allclose(
        both["pcgrad"]["first_conv.conv.weight"], both["none"]["first_conv.conv.weight"], rtol=0.01
    )


def test_without_conflict_pcgrad_is_the_plain_mean() -> None:
    inputs, labels = conflicting_pair()
    labels[:, 2] = torch.nan  # one task alone
    one = gradient_of_step(tiny_net(), inputs, labels, projection="pcgrad")
    two = gradient_of_step(tiny_net(), inputs, labels, projection="none")
    for name, gradient in one.items():
        assert torch.allclose(gradient, two[name], rtol=1e-5, atol=1e-8), name


def test_projection_agrees_with_torchjd() -> None:
    """Orthogonal pairs in conflict: the order of projections cannot matter."""
    generator = torch.Generator().manual_seed(2)
    gradients = torch.zeros(4, 300)
    gradients[:2, :150] = torch.randn(2, 150, generator=generator)
    gradients[1, :150] -= 0.7 * gradients[0, :150]
    gradients[2:, 150:] = torch.randn(2, 150, generator=generator)
    gradients[3, 150:] -= 0.9 * gradients[2, 150:]

    assert n_conflicts(gram_matrix(gradients)) == 2
    ours = project(gradients, generator).sum(dim=0)
    assert torch.allclose(ours, PCGrad()(gradients), atol=1e-5)


def test_inner_products_of_long_gradients_are_those_of_float64() -> None:
    gradients = torch.randn(3, 200_001, generator=torch.Generator().manual_seed(4))
    wide = gradients.double()
    assert torch.allclose(gram_matrix(gradients), wide @ wide.T, rtol=1e-12)


def test_a_positive_weight_multiplies_the_positives_alone() -> None:
    logits, labels = torch.zeros(3, 2), torch.tensor([[1.0, 1.0], [0.0, 0.0], [math.nan, 1.0]])
    sums = masked_bce_sum(logits, labels, torch.tensor([3.0, 1.0]))
    assert sums.tolist() == pytest.approx([4 * math.log(2), 3 * math.log(2)])


def test_two_runs_are_equal_to_the_bit_and_dropout_follows_the_seed_of_the_step() -> None:
    inputs, labels = batch()
    results = []
    for seeds in ((1, 2), (1, 2), (1, 3)):
        net = tiny_net(use_dropout=True, dropout_p=0.5)
        ours = optimisation(net)
        steps = []
        for seed in seeds:
            torch.rand(1)  # the outer state does not matter
            steps.append(ours.step(inputs, labels, seed))
        results.append((steps, ours.kept_weights()))
    assert results[0][0] == results[1][0]
    assert all(torch.equal(a, results[1][1][n]) for n, a in results[0][1].items())
    assert results[0][0][0] == results[2][0][0]
    assert results[0][0][1].losses != results[2][0][1].losses


def test_going_on_from_a_saved_state_is_going_on() -> None:
    inputs, labels = batch()
    changed = {"ema_decay": 0.9}

    def resumed(after: int) -> tuple[list[Step], dict[str, Tensor]]:
        ours, steps = optimisation(tiny_net(use_dropout=True, dropout_p=0.3), **changed), []
        for seed in range(4):
            if seed == after:
                stored = io.BytesIO()
                torch.save(ours.state_dict(), stored)
                stored.seek(0)
                ours = optimisation(tiny_net(seed=9, use_dropout=True, dropout_p=0.3), **changed)
                ours.load_state_dict(torch.load(stored, weights_only=True))
            steps.append(ours.step(inputs, labels, seed))
        return steps, ours.kept_weights()

    straight, interrupted = resumed(after=99), resumed(after=2)
    assert straight[0] == interrupted[0]
    assert all(torch.equal(a, interrupted[1][n]) for n, a in straight[1].items())


def test_a_linear_probe_moves_the_head_alone() -> None:
    inputs, labels = batch()
    net = tiny_net(use_dropout=True, dropout_p=0.5)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    ours = optimisation(net, trained="head", weight_decay=0.5)
    first = ours.step(inputs, labels, 0)
    again = ours.step(inputs, labels, 1)

    after = ours.kept_weights()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"dense.weight", "dense.bias"}
    assert first.conflicts == again.conflicts == 0
    assert sum(again.losses) < sum(first.losses)


def test_weight_decay_leaves_batch_norms_alone_that_are_never_applied() -> None:
    inputs, labels = batch()
    net = tiny_net(use_bn=False)
    optimisation(net, weight_decay=0.5).step(inputs, labels, 0)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d)]
    assert norms
    assert all(torch.equal(norm.weight, torch.ones_like(norm.weight)) for norm in norms)


def test_a_task_without_label_in_the_step_is_left_out_of_the_mean() -> None:
    inputs, labels = batch()
    labels[:, 1] = torch.nan
    net = tiny_net(use_bn=False)
    found = gradient_of_step(net, inputs, labels, projection="none")
    expected = by_hand(tiny_net(use_bn=False), inputs, labels, projected=False)
    for name, gradient in found.items():
        assert torch.allclose(gradient, expected[name], rtol=1e-4, atol=1e-7), name
    assert not found["dense.weight"][1].any()


def test_a_step_without_any_label_changes_nothing_but_its_index() -> None:
    inputs, labels = batch()
    ours = optimisation(tiny_net(use_bn=False), weight_decay=0.5)
    before = ours.kept_weights()
    step = ours.step(inputs, torch.full_like(labels, torch.nan), 0)
    assert step.losses == (0.0,) * 4
    assert all(torch.equal(a, before[n]) for n, a in ours.kept_weights().items())
    assert ours.step(inputs, labels, 1).index == 1


def test_task_weights_are_learned_held_and_not_decayed() -> None:
    """One task with loss below 1 gains weight, with s to its limit; s = 0 is no attraction."""
    inputs, labels = batch()
    ours = optimisation(
        tiny_net(), learning_rate=0.05, loss={"log_variance_limit": 0.1}, weight_decay=0.9
    )
    weights = [ours.step(inputs, labels, seed).task_weights for seed in range(8)]
    assert weights[0] == (1.0,) * 4
    assert weights[-1] == pytest.approx((math.exp(0.1),) * 4, rel=1e-6)


def test_equal_weighting_keeps_every_weight_at_one() -> None:
    inputs, labels = batch()
    ours = optimisation(tiny_net(), loss={"weighting": "equal"})
    assert [ours.step(inputs, labels, seed).task_weights for seed in range(3)] == [(1.0,) * 4] * 3


def test_a_long_gradient_is_shortened_to_the_limit_and_reported_as_it_was() -> None:
    inputs, labels = batch()
    net = tiny_net()
    step = optimisation(net, gradient_limit=1e-3).step(inputs, labels, 0)
    norms = [p.grad.norm() for p in net.parameters() if p.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(1e-3, rel=1e-2)

    free = tiny_net()
    assert optimisation(free, gradient_limit=1e9).step(inputs, labels, 0) == step
    norms = [p.grad.norm() for p in free.parameters() if p.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(step.gradient_norm, rel=1e-4)


def test_a_gradient_that_is_not_finite_stops_before_anything_changes() -> None:
    inputs, labels = batch()
    ours = optimisation(tiny_net(use_bn=False))
    before = ours.kept_weights()
    with pytest.raises(SetupFault):
        ours.step(inputs * torch.inf, labels, 0)
    assert all(torch.equal(a, before[n]) for n, a in ours.kept_weights().items())


def test_bf16_makes_nearly_the_same_step() -> None:
    inputs, labels = batch()
    full = optimisation(tiny_net()).step(inputs, labels, 0)
    half = optimisation(tiny_net(), precision="bf16").step(inputs, labels, 0)
    assert half.losses != full.losses
    assert half.losses == pytest.approx(full.losses, abs=0.02)
    assert half.gradient_norm == pytest.approx(full.gradient_norm, rel=0.1)


def test_the_learning_rate_warms_up_by_step_and_ends_at_its_final_share() -> None:
    settings = OptimiserSettings(
        epochs=1, batch_size=1, learning_rate=2.0, weight_decay=0.0, warm_up_share=0.2
    )
    rates = [learning_rate(step, 10, settings) for step in range(10)]
    assert rates[:2] == pytest.approx([1.0, 2.0])
    assert rates[5] == pytest.approx(0.02 + 1.98 * 0.5)  # half of the cosine's eight steps
    assert rates[-1] == pytest.approx(0.02)
    assert rates[1:] == sorted(rates[1:], reverse=True)


def test_the_average_of_weights_by_hand() -> None:
    followed = {"w": torch.tensor([1.0]), "n": torch.tensor(3)}
    average = WeightAverage(followed, decay=0.5)
    followed["w"].fill_(2.0)
    followed["n"].fill_(4)
    average.update(n_steps=1)  # decay is 2/11 so early
    assert average.tensors["w"].item() == pytest.approx(1.0 + 9 / 11)
    assert average.tensors["n"].item() == 4
    followed["w"].fill_(0.0)
    average.update(n_steps=10_000)
    assert average.tensors["w"].item() == pytest.approx((1.0 + 9 / 11) / 2)


def test_with_an_average_it_is_what_is_kept() -> None:
    inputs, labels = batch()
    net = tiny_net()
    ours = optimisation(net, ema_decay=0.99)
    start = net.dense.weight.detach().clone()
    for seed in range(3):
        ours.step(inputs, labels, seed)
    kept = ours.kept_weights()["dense.weight"]
    last = net.dense.weight.detach()
    assert not torch.equal(kept, last)
    assert torch.linalg.norm(kept - last) < torch.linalg.norm(start - last)


def test_draws_are_addressed_and_leave_the_outer_state_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with drawing_from(5, 0, device=CPU):
        one = torch.rand(3)
    with drawing_from(5, 1, device=CPU):
        other = torch.rand(3)
    assert not torch.equal(one, other)
    assert torch.equal(torch.rand(2), expected)
