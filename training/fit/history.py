"""What every step and epoch reported: kept with the checkpoint, shown by TensorBoard."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from training.fit.selection import InnerScore
from training.folder import write_whole
from training.optimise.optimisation import Step


class History:
    """Rows of numbers, one per step and one per epoch."""

    def __init__(self, tasks: Sequence[str]) -> None:
        self._tasks = tuple(tasks)
        self.step_columns = [
            "step",
            "epoch",
            *(f"loss_{task}" for task in tasks),
            *(f"s_{task}" for task in tasks),
            "gradient_norm",
            "conflicts",
            "learning_rate",
        ]
        self.epoch_columns = ["epoch", "step", *(f"auc_{task}" for task in tasks), "auc_macro"]
        self.steps: list[list[float]] = []
        self.epochs: list[list[float]] = []

    def add_step(self, step: Step, epoch: int) -> dict[str, float]:
        """Keep a step; what TensorBoard shows of it."""
        row = [
            step.index,
            epoch,
            *step.losses,
            *(-math.log(weight) for weight in step.task_weights),
            step.gradient_norm,
            step.conflicts,
            step.learning_rate,
        ]
        self.steps.append([float(value) for value in row])
        return dict(zip(self.step_columns[2:], self.steps[-1][2:], strict=True))

    def add_epoch(self, epoch: int, step: int, score: InnerScore) -> dict[str, float]:
        """Keep an epoch; an AUC that does not exist is NaN. What TensorBoard shows of it."""
        values = [math.nan if auc is None else auc for auc in (*score.aucs, score.macro)]
        self.epochs.append([float(epoch), float(step), *values])
        shown = zip(self.epoch_columns[2:], values, strict=True)
        return {f"inner_{name}": value for name, value in shown if math.isfinite(value)}

    def save(self, steps: Path, epochs: Path) -> None:
        """Two Parquet files, each whole or not at all."""
        whole = {"step": "int64", "epoch": "int64"}
        of_steps = pd.DataFrame(self.steps, columns=self.step_columns)
        of_steps = of_steps.astype({**whole, "conflicts": "int64"})
        of_epochs = pd.DataFrame(self.epochs, columns=self.epoch_columns).astype(whole)
        write_whole(steps, lambda aside: of_steps.to_parquet(aside, index=False))
        write_whole(epochs, lambda aside: of_epochs.to_parquet(aside, index=False))

    def state_dict(self) -> dict[str, Any]:
        return {
            "steps": torch.tensor(self.steps, dtype=torch.float64),
            "epochs": torch.tensor(self.epochs, dtype=torch.float64),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"].tolist()
        self.epochs = state["epochs"].tolist()


class Events:
    """Points for TensorBoard. Those from `first_step` on, of an earlier start, are purged."""

    def __init__(self, folder: Path, first_step: int) -> None:
        with warnings.catch_warnings():
            # Old names that tensorboard's own modules still use.
            warnings.simplefilter("ignore", DeprecationWarning)
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(str(folder), purge_step=first_step)

    def add(self, points: dict[str, float], step: int) -> None:
        for name, value in points.items():
            self._writer.add_scalar(name.replace("_", "/", 1), value, step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
