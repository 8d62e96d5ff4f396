"""One optimisation step: task gradients reconciled by PCGrad, AdamW, schedule, average."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ecgbatch.errors import SetupFault
from ecgbatch.net.net1d import Net1D
from ecgbatch.terms import ReasonCode
from training.optimise.averaging import WeightAverage
from training.optimise.batch_norm import join_batch_norm
from training.optimise.distributed import ALONE, Group
from training.optimise.losses import UncertaintyWeights, known_labels, masked_bce_sum
from training.optimise.pcgrad import gram_matrix, n_conflicts, projection_coefficients
from training.optimise.reproducible import derived_seed, drawing_from
from training.optimise.schedule import learning_rate
from training.optimise.task_gradients import TaskGradients, backbone_parameters, views
from training.settings.fit import ComputeSettings, LossSettings, OptimiserSettings

_ORDER, _DROPOUT = 0, 1
"""What a step draws; part of the address of a draw."""
_NORM_FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class Step:
    """What one step reports.

    Attributes:
        index: from 0.
        losses: per task, before weighting; 0 for a task without any label in the step.
        task_weights: exp(-s) that the step was made with.
        gradient_norm: of the net's gradient, after projection and before clipping.
        conflicts: pairs of tasks with a negative inner product; 0 without PCGrad.
        learning_rate: of this step.
    """

    index: int
    losses: tuple[float, ...]
    task_weights: tuple[float, ...]
    gradient_norm: float
    conflicts: int
    learning_rate: float


class Optimisation:
    """Net, task weights, AdamW, schedule and average: everything that a step changes."""

    def __init__(
        self,
        net: Net1D,
        tasks: Sequence[str],
        n_steps: int,
        *,
        loss: LossSettings,
        optimiser: OptimiserSettings,
        compute: ComputeSettings,
        trained: Literal["all", "head"],
        device: torch.device,
        group: Group = ALONE,
    ) -> None:
        """Move the net to the device and give every process the weights of rank 0.

        With several processes the net's batch norms are exchanged for joint ones.

        Args:
            tasks: names of the net's outputs, in order.
            n_steps: of the whole fit; the schedule ends there.
            trained: `head` leaves the backbone's weights and its batch-norm statistics alone.
            group: the processes that share each step.
        """
        join_batch_norm(net, group, device)
        self.net = net.to(device)
        self._n_steps = n_steps
        self._settings = optimiser
        self._autocast = compute.precision == "bf16"
        self._device = device
        self._group = group
        self._trains_backbone = trained == "all"
        self._n_done = 0
        for tensor in net.state_dict().values():
            group.broadcast(tensor)
        self._positive_weight = torch.tensor(
            [loss.positive_weight.get(task, 1.0) for task in tasks], device=device
        )
        self._task_weights = UncertaintyWeights(len(tasks), loss.log_variance_limit).to(device)
        self._learns_task_weights = loss.weighting == "uncertainty"
        self._lay_out_gradients(len(tasks))
        self._optimiser = self._adamw()
        self._average = self._weight_average()

    def _lay_out_gradients(self, n_tasks: int) -> None:
        """Every gradient that AdamW sees is a view of one vector, backbone first, head last."""
        self._backbone = backbone_parameters(self.net) if self._trains_backbone else []
        self._head = list(self.net.dense.parameters())
        n_backbone = sum(parameter.numel() for parameter in self._backbone)
        n_head = sum(parameter.numel() for parameter in self._head)
        direction = torch.zeros(n_backbone + n_head, device=self._device)
        self._trained = [*self._backbone, *self._head]
        self._views = views(direction, self._trained)
        self._backbone_direction = direction[:n_backbone]
        self._head_direction = direction[n_backbone:]
        n_rows = n_tasks if self._settings.projection == "pcgrad" else 1
        self._gradients = TaskGradients(n_rows, self._backbone) if self._backbone else None

    def _adamw(self) -> torch.optim.AdamW:
        groups = [{"params": self._trained, "weight_decay": self._settings.weight_decay}]
        if self._learns_task_weights:
            groups.append({"params": [self._task_weights.s], "weight_decay": 0.0})
        return torch.optim.AdamW(groups, lr=self._settings.learning_rate, fused=True)

    def _weight_average(self) -> WeightAverage | None:
        if not self._settings.ema_decay:
            return None
        state = self.net.state_dict()
        followed = {
            name: tensor
            for name, tensor in state.items()
            if self._trains_backbone or name.startswith("dense.")
        }
        return WeightAverage(followed, self._settings.ema_decay)

    def step(self, inputs: Tensor, labels: Tensor, seed: int) -> Step:
        """One step of the fit.

        With several processes each brings its own rows of the step, at least one.

        Args:
            inputs: (B, 12, 5000) float32.
            labels: (B, T) with 1, 0, or NaN where missing.
            seed: addresses every draw of this step; equal on all processes.

        Raises:
            SetupFault: `settings_invalid`, the gradient is not finite; nothing was changed.
        """
        labels = labels.to(self._device)
        n_known = known_labels(labels)
        self._group.all_reduce(n_known)
        is_present = n_known > 0
        rate = learning_rate(self._n_done, self._n_steps, self._settings)
        weights = self._task_weights.weights()
        with drawing_from(seed, _DROPOUT, self._group.rank, device=self._device):
            losses = self._collect(inputs, labels, n_known, weights)
        norm, conflicts = 0.0, 0
        if bool(is_present.any()):
            norm, conflicts = self._combine(is_present.cpu(), seed)
            self._update(losses, is_present, rate)
        index = self._n_done
        self._n_done += 1
        return Step(index, _numbers(losses), _numbers(weights), norm, conflicts, rate)

    def _collect(self, inputs: Tensor, labels: Tensor, n_known: Tensor, weights: Tensor) -> Tensor:
        """Sum up the gradients over micro-batches and processes; (T,) losses of the step."""
        self.net.train(self._trains_backbone)
        if self._gradients is not None:
            self._gradients.clear()
        self._head_direction.zero_()
        losses = torch.zeros(len(n_known), device=self._device)
        n_parts = self._n_micro_batches(len(inputs))
        for part in range(n_parts):
            # Every n-th row: originals and copies lie one behind the other, and batch norm has to
            # see both in each micro-batch.
            some = inputs[part::n_parts].to(self._device)
            losses += self._backward(some, labels[part::n_parts], n_known, weights)
        self._group.all_reduce(losses)
        self._group.all_reduce(self._head_direction)
        if self._gradients is not None:
            self._group.all_reduce(self._gradients.rows)
        return losses

    def _n_micro_batches(self, n_inputs: int) -> int:
        """Equal on all processes, since batch norm speaks to the others in each of them."""
        n_parts = torch.tensor(min(self._settings.accumulation, n_inputs), device=self._device)
        self._group.all_reduce(n_parts, "min")
        if n_parts < 1:
            raise ValueError("every process brings at least one ECG")
        return int(n_parts)

    def _backward(self, inputs: Tensor, labels: Tensor, n_known: Tensor, weights: Tensor) -> Tensor:
        """Add the gradients of one micro-batch; (T,) its share of the losses, detached."""
        with (
            torch.set_grad_enabled(self._trains_backbone),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast),
        ):
            features = self.net.features(inputs)
        leaf = features.detach().float().requires_grad_()
        sums = masked_bce_sum(self.net.dense(leaf), labels, self._positive_weight)
        losses = sums / n_known.clamp(min=1)
        weighted = losses * weights
        head = torch.autograd.grad(weighted.sum(), self._head, retain_graph=True)
        self._head_direction += torch.cat([gradient.reshape(-1) for gradient in head])
        if self._gradients is not None:
            self._gradients.add(features, self._feature_gradients(weighted, leaf, n_known))
        return losses.detach()

    def _feature_gradients(
        self, weighted: Tensor, leaf: Tensor, n_known: Tensor
    ) -> list[Tensor | None]:
        """What each backward pass starts from; None for a task without label in the step."""
        if self._settings.projection == "none":
            return list(torch.autograd.grad(weighted.sum(), leaf))
        return [
            torch.autograd.grad(loss, leaf, retain_graph=True)[0] if is_present else None
            for loss, is_present in zip(weighted, (n_known > 0).tolist(), strict=True)
        ]

    def _combine(self, is_present: Tensor, seed: int) -> tuple[float, int]:
        """Set the net's gradient: mean of the tasks, projected and clipped in one pass.

        The norm comes from the inner products, so that no pass is spent on it.

        Returns:
            The norm before clipping, and the number of conflicts.
        """
        n_present = int(is_present.sum())
        squared = float(self._head_direction.double().square().sum()) / n_present**2
        coefficients, conflicts = torch.zeros(0, dtype=torch.float64), 0
        if self._gradients is not None:
            gram = gram_matrix(self._gradients.rows)
            if self._settings.projection == "pcgrad":
                conflicts = n_conflicts(gram)
                order = torch.Generator().manual_seed(derived_seed(seed, _ORDER))
                coefficients = projection_coefficients(gram, order)[is_present].sum(dim=0)
            else:
                coefficients = torch.ones(1, dtype=torch.float64)
            coefficients /= n_present
            squared += max(0.0, float(coefficients @ gram @ coefficients))
        norm = squared**0.5
        if not norm < float("inf"):
            raise SetupFault(
                ReasonCode.SETTINGS_INVALID, "the gradient is not finite: learning rate too high?"
            )
        scale = min(1.0, self._settings.gradient_limit / (norm + _NORM_FLOOR))
        self._head_direction *= scale / n_present
        if self._gradients is not None:
            rows = self._gradients.rows
            torch.mv(rows.T, (coefficients * scale).to(rows), out=self._backbone_direction)
        return norm, conflicts

    def _update(self, losses: Tensor, is_present: Tensor, rate: float) -> None:
        for parameter, view in zip(self._trained, self._views, strict=True):
            parameter.grad = view
        self._task_weights.s.grad = None
        if self._learns_task_weights:
            torch.autograd.backward(self._task_weights.objective(losses, is_present))
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        self._task_weights.hold()
        if self._average is not None:
            self._average.update(self._n_done + 1)

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, beside its inputs: tensors and plain numbers.

        The tensors are the live ones: save them before the next step.
        """
        return {
            "n_done": self._n_done,
            "net": dict(self.net.state_dict()),
            "s": self._task_weights.s.detach(),
            "optimiser": self._optimiser.state_dict(),
            "average": {} if self._average is None else dict(self._average.tensors),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of an `Optimisation` with the same settings."""
        self._n_done = int(state["n_done"])
        self.net.load_state_dict(state["net"])
        with torch.no_grad():
            self._task_weights.s.copy_(state["s"])
        self._optimiser.load_state_dict(deepcopy(state["optimiser"]))
        if self._average is not None:
            for name, tensor in self._average.tensors.items():
                tensor.copy_(state["average"][name])

    def kept_weights(self) -> dict[str, Tensor]:
        """The net's state with the average in place of what it follows; copies on the CPU."""
        state = dict(self.net.state_dict())
        if self._average is not None:
            state.update(self._average.tensors)
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def _numbers(values: Tensor) -> tuple[float, ...]:
    return tuple(values.tolist())
