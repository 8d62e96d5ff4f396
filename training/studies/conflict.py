"""Does multi-task learning with PCGrad reach the mean AUC of plain multi-task learning where the
tasks conflict?

Pairs of vessels whose disease moves the ECG in opposite directions share a narrow net. For every
seed there is a cohort of its own and two fits that are equal in all but the projection: starting
weights, batches, number of steps, learning rates. What is compared is paired.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import stats
from sklearn.metrics import roc_auc_score

from ecgbatch.net.architecture import Architecture
from ecgbatch.net.net1d import Net1D
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.preprocessing.spec import preset
from ecgbatch.terms import SAMPLING_FREQUENCY, Vessel
from training.optimise.optimisation import Optimisation
from training.optimise.reproducible import derived_seed, reproducible
from training.settings.base import Count, Name, Settings
from training.settings.cohort import CohortSettings
from training.settings.fit import ComputeSettings, LossSettings, OptimiserSettings
from training.synthetic.cohort import draw_ecg, draw_patient

Projection = Literal["none", "pcgrad"]
Show = Callable[[str, int, int], None]
Floats = NDArray[np.float32]

ARMS: tuple[Projection, ...] = ("none", "pcgrad")
_CONFIDENCE = 0.95
_START, _ORDER, _STEP = 0, 1, 2
_AT_ONCE = 256


class StudySettings(Settings):
    """Every number of the study.

    Attributes:
        seeds: of cohort, starting weights and batches; a pair of fits each.
        n_train: of a cohort's patients, the first ones; the others are the test.
        samples_averaged: neighbouring samples of the prepared input that are one of the net's.
        cohort: its own seed is replaced.
    """

    name: Name
    seeds: Annotated[tuple[int, ...], Field(min_length=2)]
    n_train: Count
    samples_averaged: Count
    cohort: CohortSettings
    architecture: Architecture
    loss: LossSettings = LossSettings()
    optimiser: OptimiserSettings
    compute: ComputeSettings = ComputeSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.n_train >= self.cohort.n_patients:
            raise ValueError("n_train must leave patients for the test")
        if self.architecture.n_classes != len(Vessel):
            raise ValueError("architecture.n_classes is the number of vessels")
        return self


@dataclass(frozen=True, slots=True)
class Fitted:
    """One fit of the study.

    Attributes:
        aucs: on the test patients, in the order of Vessel.
        conflicts: pairs of tasks in conflict per step, mean; 0 where not looked at.
    """

    seed: int
    projection: Projection
    aucs: tuple[float, ...]
    conflicts: float

    @property
    def mean_auc(self) -> float:
        return float(np.mean(self.aucs))


@dataclass(frozen=True, slots=True)
class Comparison:
    """PCGrad minus plain, paired by seed: mean and 95 % CI of the difference of mean AUCs.

    Attributes:
        low, high: Student's t with (number of seeds - 1) degrees of freedom.
        p_value: of the paired t test, two-sided.
    """

    fits: tuple[Fitted, ...]
    differences: tuple[float, ...]
    mean: float
    low: float
    high: float
    p_value: float


def compare(settings: StudySettings, show: Show) -> Comparison:
    """Run the study; equal settings give equal numbers on one machine."""
    fits: list[Fitted] = []
    with reproducible(0, settings.compute.threads):
        for seed in settings.seeds:
            inputs, labels = _cohort(settings, seed, show)
            for projection in ARMS:
                fits.append(_fit(settings, seed, projection, inputs, labels))
                show("fits", len(fits), len(settings.seeds) * len(ARMS))
    return paired(fits)


def paired(fits: list[Fitted]) -> Comparison:
    """Pair the fits by seed. Source: Student 1908; the paired t interval."""
    by_arm = {
        arm: {fit.seed: fit.mean_auc for fit in fits if fit.projection == arm} for arm in ARMS
    }
    plain, pcgrad = by_arm["none"], by_arm["pcgrad"]
    differences = np.array([pcgrad[seed] - plain[seed] for seed in plain])
    tested = stats.ttest_1samp(differences, 0.0)
    interval = tested.confidence_interval(_CONFIDENCE)
    return Comparison(
        fits=tuple(fits),
        differences=tuple(differences.tolist()),
        mean=float(differences.mean()),
        low=float(interval.low),
        high=float(interval.high),
        p_value=float(tested.pvalue),
    )


def _cohort(settings: StudySettings, seed: int, show: Show) -> tuple[Floats, Floats]:
    """(N, 12, 5000 / samples_averaged) prepared inputs and (N, 4) labels, a patient each."""
    cohort = settings.cohort.model_copy(update={"seed": seed})
    spec = preset("anyecg-ccta")
    inputs, labels = [], []
    for index in range(cohort.n_patients):
        patient = draw_patient(cohort, index)
        prepared = to_input(draw_ecg(cohort, patient, 0).signal, SAMPLING_FREQUENCY, spec).signal
        pieces = prepared.reshape(len(prepared), -1, settings.samples_averaged)
        inputs.append(pieces.mean(axis=-1, dtype=np.float32))
        labels.append(np.array(patient.labels, dtype=np.float32))
        show(f"cohort {seed}", index + 1, cohort.n_patients)
    return np.stack(inputs), np.stack(labels)


def _fit(
    settings: StudySettings, seed: int, projection: Projection, inputs: Floats, labels: Floats
) -> Fitted:
    torch.manual_seed(derived_seed(seed, _START))
    net = Net1D(settings.architecture)
    order = torch.Generator().manual_seed(derived_seed(seed, _ORDER))
    batches = list(_batches(settings, order))
    optimisation = Optimisation(
        net,
        tuple(Vessel),
        len(batches),
        loss=settings.loss,
        optimiser=settings.optimiser.model_copy(update={"projection": projection}),
        compute=settings.compute,
        trained="all",
        device=torch.device("cpu"),
    )
    steps = [
        optimisation.step(
            torch.from_numpy(inputs[rows]),
            torch.from_numpy(labels[rows]),
            derived_seed(seed, _STEP, index),
        )
        for index, rows in enumerate(batches)
    ]
    net.load_state_dict(optimisation.kept_weights())
    tested = slice(settings.n_train, None)
    aucs = _aucs(_logits(net, inputs[tested]), labels[tested])
    return Fitted(seed, projection, aucs, float(np.mean([step.conflicts for step in steps])))


def _batches(settings: StudySettings, order: torch.Generator) -> Iterator[NDArray[np.int64]]:
    """Row numbers of whole batches, every epoch in a new random order."""
    size = settings.optimiser.batch_size
    for _ in range(settings.optimiser.epochs):
        rows = torch.randperm(settings.n_train, generator=order).numpy()
        for first in range(0, settings.n_train - size + 1, size):
            yield rows[first : first + size]


def _logits(net: Net1D, inputs: Floats) -> Floats:
    net.eval()
    with torch.inference_mode():
        parts = [net(part) for part in torch.split(torch.from_numpy(inputs), _AT_ONCE)]
    found: Floats = torch.cat(parts).numpy()
    return found


def _aucs(logits: Floats, labels: Floats) -> tuple[float, ...]:
    known = np.isfinite(labels)
    return tuple(
        float(roc_auc_score(labels[known[:, task], task], logits[known[:, task], task]))
        for task in range(labels.shape[1])
    )
