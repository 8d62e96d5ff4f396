"""What a fit is made from, and what surrounds it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from training.model.start import Start
from training.optimise.distributed import ALONE, Group
from training.records import Cohort, Inputs, Progress
from training.settings.experiment import Experiment


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What every fit of a run is made from."""

    experiment: Experiment
    cohort: Cohort = field(repr=False)
    inputs: Inputs = field(repr=False)
    start: Start


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """Where a fit runs and whom it tells.

    Attributes:
        say: takes sentences for the log.
    """

    device: torch.device
    group: Group = ALONE
    progress: Progress = field(default=lambda *_: None, repr=False)
    say: Callable[[str], None] = field(default=lambda _: None, repr=False)
