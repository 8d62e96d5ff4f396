"""The ECGs of each step: in an order that only seed, fit and epoch decide, made one step ahead."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.fit.plan import Plan, keys_at
from training.optimise.augmentation import augment
from training.optimise.distributed import ALONE, Group
from training.records import Cohort, Inputs, Rows
from training.settings.experiment import Experiment

_ORDER = 0x0DE
"""Keeps the draw of the order apart from others with the same seed."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One step's tensors, of one process.

    Attributes:
        inputs: (B, 12, 5000); labels: (B, T). With copies the second half is the first one
            augmented.
    """

    step: int
    inputs: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)


class Batches:
    """The batches of one fit; any of them can be made without those before it.

    Batches of an epoch differ in size by one ECG at most, so that no step rests on a few ECGs.
    """

    def __init__(
        self,
        plan: Plan,
        experiment: Experiment,
        cohort: Cohort,
        inputs: Inputs,
        group: Group = ALONE,
    ) -> None:
        """Raises: SetupFault, `settings_invalid`: nothing to learn from, or fewer ECGs in a batch
        than processes."""
        self._plan, self._cohort, self._inputs, self._group = plan, cohort, inputs, group
        self._seed = experiment.compute.seed
        self._settings = experiment.augmentation
        self.epochs = experiment.optimiser.epochs
        n_train = len(plan.train)
        self.per_epoch = -(-n_train // experiment.optimiser.batch_size)
        if n_train == 0 or n_train // self.per_epoch < group.size:
            raise SetupFault(
                ReasonCode.SETTINGS_INVALID, f"{n_train} ECGs to learn from are too few"
            )
        self.n_steps = self.epochs * self.per_epoch

    def epoch_of(self, step: int) -> int:
        return step // self.per_epoch

    def ends_epoch(self, step: int) -> bool:
        return (step + 1) % self.per_epoch == 0

    def rows(self, step: int) -> Rows:
        """Rows of the cohort, of all processes together."""
        epoch, place = divmod(step, self.per_epoch)
        draws = np.random.default_rng([_ORDER, self._seed, self._plan.number, epoch])
        order: Rows = draws.permutation(self._plan.train)
        return np.array_split(order, self.per_epoch)[place]

    def make(self, step: int) -> Batch:
        """This process's share of a step."""
        rows = self.rows(step)
        rows = rows[self._group.rows(len(rows))]
        signals, labels = self._inputs.take(rows), self._cohort.labels[rows]
        if not self._settings.is_off:
            changed = augment(
                signals,
                keys_at(self._cohort, rows),
                self._settings,
                seed=self._seed,
                epoch=self.epoch_of(step),
                epochs=self.epochs,
            )
            if self._settings.copies:
                signals, labels = np.concatenate([signals, changed]), np.tile(labels, (2, 1))
            else:
                signals = changed
        return Batch(step, torch.from_numpy(signals), torch.from_numpy(labels.copy()))

    def ahead(self, first: int) -> Iterator[Batch]:
        """The batches from step `first` on; the next is made while one is worked on."""
        yield from _one_ahead(self.make, range(first, self.n_steps))


def _one_ahead(make: Callable[[int], Batch], steps: range) -> Iterator[Batch]:
    with ThreadPoolExecutor(max_workers=1) as maker:
        coming = None
        for step in steps:
            ready = maker.submit(make, step) if coming is None else coming
            coming = maker.submit(make, step + 1) if step + 1 < steps.stop else None
            yield ready.result()
