"""A few steps of a tiny fit, alone or as one of two processes; run as a module it is rank 1."""

import torch
from torch import Tensor

from ecgbatch.net.architecture import Architecture
from ecgbatch.net.net1d import Net1D
from tests.support.experiments import TINY_NET
from training.optimise.distributed import ALONE, Group, joined_group
from training.optimise.optimisation import Optimisation, Step
from training.optimise.reproducible import reproducible
from training.settings.fit import ComputeSettings, LossSettings, OptimiserSettings

TASKS = ("RCA", "LM", "LAD", "LCX")
N_SAMPLES = 400
CPU = torch.device("cpu")


def tiny_net(seed: int = 0, **changed: object) -> Net1D:
    torch.manual_seed(seed)
    return Net1D(Architecture.model_validate({**TINY_NET, **changed}))


def batch(n: int = 10, seed: int = 7) -> tuple[Tensor, Tensor]:
    """ECG-like noise with labels of which some are missing, unevenly over the rows."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 12, N_SAMPLES, generator=generator)
    labels = (torch.rand(n, len(TASKS), generator=generator) < 0.4).float()
    labels[: n // 2, 1] = torch.nan
    labels[-1, :2] = torch.nan
    return inputs, labels


def optimisation(
    net: Net1D,
    *,
    n_steps: int = 10,
    trained: str = "all",
    loss: dict[str, object] | None = None,
    precision: str = "fp32",
    group: Group = ALONE,
    **changed: object,
) -> Optimisation:
    settings = {
        "epochs": 1,
        "batch_size": 10,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        **changed,
    }
    return Optimisation(
        net,
        TASKS,
        n_steps,
        loss=LossSettings.model_validate(loss or {}),
        optimiser=OptimiserSettings.model_validate(settings),
        compute=ComputeSettings.model_validate({"precision": precision}),
        trained=trained,  # type: ignore[arg-type]
        device=CPU,
        group=group,
    )


def three_steps(group: Group, *, use_bn: bool) -> tuple[list[Step], dict[str, Tensor]]:
    """Each process brings its share of the rows; 10 rows are 5 and 5."""
    with reproducible(0, threads=1):
        net = tiny_net(seed=group.rank, use_bn=use_bn)  # rank 0's weights are to count
        ours = optimisation(net, group=group)
        steps = []
        for seed in range(3):
            inputs, labels = batch(seed=seed)
            mine = group.rows(len(inputs))
            steps.append(ours.step(inputs[mine], labels[mine], seed))
        return steps, ours.kept_weights()


def both_nets() -> dict[bool, tuple[list[Step], dict[str, Tensor]]]:
    """By use_bn, in the group that the environment describes."""
    with joined_group(CPU) as group:
        return {use_bn: three_steps(group, use_bn=use_bn) for use_bn in (False, True)}


if __name__ == "__main__":
    both_nets()
