"""Two processes that share a step make the step of one process with the joined batch."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from tests.support.optimisation_runs import both_nets, tiny_net
from training.optimise.distributed import ALONE, Group


@pytest.fixture(scope="module")
def results() -> tuple[dict[bool, object], dict[bool, object]]:
    """Of one process, and of rank 0 of two: torchrun's variables, gloo, a real second process."""
    alone = both_nets()
    with socket.socket() as free, pytest.MonkeyPatch.context() as environment:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        for name, value in {
            "WORLD_SIZE": "2",
            "RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "OMP_NUM_THREADS": "1",
        }.items():
            environment.setenv(name, value)
        second = subprocess.Popen(
            [sys.executable, "-m", "tests.support.optimisation_runs"],
            env={**os.environ, "RANK": "1"},
        )
        try:
            together = both_nets()
            assert second.wait(60) == 0
        finally:
            second.kill()
            second.wait()
    return alone, together


def test_weights_after_three_steps_are_equal(results) -> None:
    (_, alone), (_, together) = (of[False] for of in results)
    start = tiny_net(use_bn=False).state_dict()
    assert alone.keys() == together.keys()
    for name, tensor in alone.items():
        assert torch.allclose(tensor, together[name], rtol=0, atol=1e-6), name
    assert not torch.allclose(alone["dense.weight"], start["dense.weight"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("use_bn", [False, True])
def test_losses_conflicts_and_norms_are_equal(results, use_bn: bool) -> None:
    alone, together = (of[use_bn][0] for of in results)
    assert [step.conflicts for step in alone] == [step.conflicts for step in together]
    for one, two in zip(alone, together, strict=True):
        assert one.losses == pytest.approx(two.losses, abs=2e-6)
        assert one.gradient_norm == pytest.approx(two.gradient_norm, rel=1e-4)
        assert one.task_weights == pytest.approx(two.task_weights, abs=1e-6)


def test_batch_norm_is_that_of_the_joined_batch(results) -> None:
    """A convolution's bias before a batch norm has gradient 0, of which AdamW makes noise that
    moves running means. What it cannot move is compared: variances, and outputs in training."""
    (_, alone), (_, together) = (of[True] for of in results)
    inputs = torch.randn(4, 12, 400, generator=torch.Generator().manual_seed(5))
    outputs = []
    for weights in (alone, together):
        net = tiny_net(use_bn=True).train()
        net.load_state_dict(weights)
        with torch.inference_mode():
            outputs.append(net(inputs))
    assert torch.allclose(*outputs, rtol=0, atol=1e-5)
    for name, tensor in alone.items():
        if name.endswith("running_var"):
            assert torch.allclose(tensor, together[name], rtol=1e-5, atol=1e-6), name
    assert together["first_bn.num_batches_tracked"] == 3


def test_rows_are_shared_out_without_gap_or_overlap() -> None:
    shares = [range(11)[Group(rank, 3).rows(11)] for rank in range(3)]
    assert [row for share in shares for row in share] == list(range(11))
    assert {len(share) for share in shares} == {3, 4}
    assert ALONE.rows(5) == slice(0, 5)
