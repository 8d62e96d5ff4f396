"""What a step of several tasks costs: plain BCE, the published PCGrad loop, and ours.

One process, the three turn by turn, full geometry, batch 16, four tasks; each side has a net of
its own that starts from equal weights. Run with `make bench-pcgrad`; the last line is JSON.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

from ecgbatch.net.architecture import Architecture
from ecgbatch.net.net1d import Net1D
from training.optimise.optimisation import Optimisation
from training.settings.fit import ComputeSettings, LossSettings, OptimiserSettings

TASKS = ("RCA", "LM", "LAD", "LCX")
SETTINGS = OptimiserSettings(epochs=1, batch_size=16, learning_rate=3e-5, weight_decay=5e-4)
MOST_BY_OTHERS = 0.05
TRIES = 3


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    architecture = Architecture.ecgfounder(len(TASKS), use_bn=True, use_dropout=True)
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(options.batch, 12, 5000, generator=generator)
    labels = (torch.rand(options.batch, len(TASKS), generator=generator) < 0.4).float()
    sides = {name: make(_net(architecture)) for name, make in SIDES.items()}
    for step in sides.values():
        step(inputs, labels)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(options.rounds):
        for name, step in sides.items():
            times[name].append(_seconds(step, inputs, labels, options))
        _say(f"round {turn + 1}: " + ", ".join(f"{n} {t[-1]:.2f} s" for n, t in times.items()))
    sys.stdout.write(json.dumps(_summary(times)) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: of this process, for a machine that others use; with --threads 1",
    )
    parser.add_argument(
        "--tries",
        type=int,
        default=TRIES,
        help="of a step while other processes take more than 5 % of the machine",
    )
    return parser.parse_args()


def _summary(times: dict[str, list[float]]) -> dict[str, float]:
    """Medians of the seconds, and medians of the ratios within a round."""
    found = {f"{name}_s": round(median(seconds), 3) for name, seconds in times.items()}
    for name in ("published", "ours"):
        ratios = [slow / plain for slow, plain in zip(times[name], times["plain"], strict=True)]
        found[f"{name}_over_plain"] = round(median(ratios), 2)
    return found


# --- the three sides ---------------------------------------------------------------------------

Side = Callable[[Tensor, Tensor], None]


def plain(net: Net1D) -> Side:
    """Mean BCE of the four tasks, one backward pass."""
    adamw = _adamw(net)

    def step(inputs: Tensor, labels: Tensor) -> None:
        adamw.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(net(inputs), labels)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(net.parameters(), SETTINGS.gradient_limit)
        adamw.step()

    return step


def published(net: Net1D) -> Side:
    """The published loop, re-created from what it does; the code is ours.

    Lists of per-parameter gradients, cloned after a backward pass per task, head rows included;
    pairs j > i in fixed order, against gradients that may be projected already; then a backward
    pass and a step for the task weights alone. Unlike the other two sides it does not clip.
    """
    s = nn.Parameter(torch.zeros(len(TASKS)))
    parameters = list(net.parameters())
    adamw = torch.optim.AdamW(
        [*parameters, s], lr=SETTINGS.learning_rate, weight_decay=SETTINGS.weight_decay
    )

    def step(inputs: Tensor, labels: Tensor) -> None:
        losses = functional.binary_cross_entropy_with_logits(
            net(inputs), labels, reduction="none"
        ).mean(dim=0)
        of_tasks = []
        for loss in torch.exp(-s) * losses:
            adamw.zero_grad()
            torch.autograd.backward(loss, retain_graph=True)
            of_tasks.append(
                [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]
            )
        _project_as_published(of_tasks)
        adamw.zero_grad()
        for place, parameter in enumerate(parameters):
            parameter.grad = torch.zeros_like(parameter)
            for task in of_tasks:
                parameter.grad += task[place] / len(TASKS)
        adamw.step()
        adamw.zero_grad()
        torch.autograd.backward((torch.exp(-s) * losses.detach() + s).sum())
        adamw.step()

    return step


def _project_as_published(of_tasks: list[list[Tensor]]) -> None:
    for i, ours_now in enumerate(of_tasks):
        for against in of_tasks[i + 1 :]:
            inner, squared = torch.zeros(()), torch.zeros(())
            for a, b in zip(ours_now, against, strict=True):
                inner += (a * b).sum()
                squared += (b * b).sum()
            if inner < 0:
                for a, b in zip(ours_now, against, strict=True):
                    a.sub_(inner / squared * b)


def ours(net: Net1D) -> Side:
    optimisation = Optimisation(
        net,
        TASKS,
        n_steps=1000,
        loss=LossSettings(),
        optimiser=SETTINGS,
        compute=ComputeSettings(),
        trained="all",
        device=torch.device("cpu"),
    )
    seeds = iter(range(1_000_000))
    return lambda inputs, labels: _drop(optimisation.step(inputs, labels, next(seeds)))


SIDES: dict[str, Callable[[Net1D], Side]] = {"plain": plain, "published": published, "ours": ours}


def _net(architecture: Architecture) -> Net1D:
    torch.manual_seed(0)
    return Net1D(architecture).train()


def _adamw(net: Net1D) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        net.parameters(), lr=SETTINGS.learning_rate, weight_decay=SETTINGS.weight_decay
    )


# --- the clock ---------------------------------------------------------------------------------


def _seconds(step: Side, inputs: Tensor, labels: Tensor, options: argparse.Namespace) -> float:
    """Of one step; the try in which other processes took least, none over 5 % if there is one."""
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    found = []
    for _ in range(1 if options.clock == "cpu" else options.tries):
        before, started, on_clock = _others(), time.perf_counter(), clock()
        step(inputs, labels)
        seconds, passed = clock() - on_clock, time.perf_counter() - started
        by_others = (_others() - before) / (passed * (os.cpu_count() or 1))
        found.append((by_others, seconds))
        if by_others < MOST_BY_OTHERS:
            break
    return min(found)[1]


def _others() -> float:
    """CPU seconds that all other processes have used; 0 where the system does not say."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    ticks = [int(part) for part in stat.read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _wait, irq, soft, steal = ticks
    return (user + nice + system + irq + soft + steal) / 100 - time.process_time()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _drop(_: object) -> None:
    return None


if __name__ == "__main__":
    main()
