"""The demonstration bundle, from its settings alone: cohort, fit, cuts, test, export, proof."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgbatch.bundle.load import Bundle
from ecgbatch.bundle.measure import measure_golden
from ecgbatch.net.net1d import Net1D
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.preprocessing.spec import PreprocessingSpec, preset
from ecgbatch.terms import LEADS, SAMPLING_FREQUENCY, WINDOW_SAMPLES
from training.former.evaluation import Bootstrap
from training.former.export import (
    build_manifest,
    export_bundle,
    probabilities_of,
    prove,
)
from training.former.loop import Step, fit, predict, reproducible
from training.former.report import Part, TaskReport, report_all
from training.former.settings import BundleSettings, DemonstrationSettings
from training.former.splits import Rows, split_patients
from training.settings.cohort import CohortSettings
from training.synthetic.cohort import SyntheticEcg, SyntheticPatient, cohort, draw_ecg, draw_patient

Progress = Callable[[str, int, int], None]
"""(what is being done, how much is done, of how much)."""

_BATCH = 64
_N_PROOF = 32


@dataclass(frozen=True, slots=True, eq=False)
class Demonstration:
    """What the build gives beside the files.

    Attributes:
        n_ecgs: ECGs of the parts train, cut and test.
        last_step: of the fit.
        n_proved, largest_difference: ECGs scored again by ecgbatch, and how far their
            probabilities are from training's.
    """

    bundle: Bundle
    reports: tuple[TaskReport, ...]
    n_ecgs: tuple[int, int, int]
    last_step: Step
    n_proved: int
    largest_difference: float


def build_demonstration(
    settings: DemonstrationSettings, folder: Path, progress: Progress
) -> Demonstration:
    """Build the demonstration bundle in `folder`; equal settings give equal bytes on one machine.

    Raises:
        SetupFault: cuts inverted, or the bundle does not score as training did.
    """
    spec = preset(settings.bundle.preset)
    rows = all_rows(settings.cohort)
    split = split_patients(
        [str(patient) for patient, _ in rows],
        settings.split.cut_share,
        settings.split.test_share,
        settings.split.seed,
    )
    with reproducible(settings.fit.seed, settings.fit.threads):
        net = Net1D(settings.architecture)
        last_step = _fit(settings, net, spec, _at(rows, split.train), progress)
        cut, test = (
            _score_part(settings.cohort, net, spec, _at(rows, part), progress)
            for part in (split.cut, split.test)
        )
        bootstrap = Bootstrap(settings.bootstrap.n_resamples, settings.bootstrap.seed)
        reports = report_all(cut, test, settings.operating_points, bootstrap)
        golden_mv = golden_ecgs(settings.cohort, settings.bundle)
        golden = measure_golden(net.architecture, [net.state_dict()], spec, golden_mv)
        manifest = build_manifest(settings.bundle, net, spec, reports, golden)
        bundle = export_bundle(folder, manifest, net, golden_mv, golden)
        again = _at(rows, split.test[:_N_PROOF])
        inputs, _, _ = prepare(settings.cohort, spec, again)
        difference = prove(bundle, inputs, test.probabilities[: len(again)])
    n_ecgs = (len(split.train), len(split.cut), len(split.test))
    return Demonstration(bundle, reports, n_ecgs, last_step, len(again), difference)


def all_rows(settings: CohortSettings) -> list[tuple[int, int]]:
    """(patient, ECG) of every row of the cohort."""
    return [
        (patient, ecg)
        for patient in range(settings.n_patients)
        for ecg in range(settings.ecgs_per_patient)
    ]


def golden_ecgs(settings: CohortSettings, bundle: BundleSettings) -> NDArray[np.float32]:
    """Golden ECGs (n, 12, 5000) in mV, of patients who are in no part of the cohort."""
    others = settings.model_copy(
        update={
            "seed": bundle.golden_seed,
            "n_patients": bundle.n_golden,
            "ecgs_per_patient": 1,
            "noise_gain": bundle.golden_noise_gain,
        }
    )
    return np.stack([ecg.signal.astype(np.float32) for ecg in cohort(others)])


def prepare(
    settings: CohortSettings, spec: PreprocessingSpec, rows: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[SyntheticPatient]]:
    """Model inputs (N, 12, 5000), labels (N, 4) and the patients of the given rows."""
    inputs = np.empty((len(rows), len(LEADS), WINDOW_SAMPLES), dtype=np.float32)
    patients = []
    for index, ecg in enumerate(_draw(settings, rows)):
        inputs[index] = to_input(ecg.signal, SAMPLING_FREQUENCY, spec).signal
        patients.append(ecg.patient)
    labels = np.array([patient.labels for patient in patients], dtype=np.float32)
    return inputs, labels, patients


def _draw(settings: CohortSettings, rows: Sequence[tuple[int, int]]) -> Iterator[SyntheticEcg]:
    for patient, ecg in rows:
        yield draw_ecg(settings, draw_patient(settings, patient), ecg)


def _at(rows: Sequence[tuple[int, int]], chosen: Rows) -> list[tuple[int, int]]:
    return [rows[row] for row in chosen]


def _fit(
    settings: DemonstrationSettings,
    net: Net1D,
    spec: PreprocessingSpec,
    rows: Sequence[tuple[int, int]],
    progress: Progress,
) -> Step:
    progress("train: drawing ECGs", 0, len(rows))
    inputs, labels, _ = prepare(settings.cohort, spec, rows)
    steps: list[Step] = []

    def note(step: Step) -> None:
        steps[:] = [step]
        progress("train: fitting", step.index + 1, step.n_steps)

    fit(net, inputs, labels, settings.fit, note)
    return steps[0]


def _score_part(
    settings: CohortSettings,
    net: Net1D,
    spec: PreprocessingSpec,
    rows: Sequence[tuple[int, int]],
    progress: Progress,
) -> Part:
    """Probabilities of one part, a batch in memory at a time."""
    logits, labels, patients = [], [], []
    left = iter(rows)
    while batch := list(islice(left, _BATCH)):
        inputs, some_labels, some_patients = prepare(settings, spec, batch)
        logits.append(predict(net, inputs, _BATCH))
        labels.append(some_labels)
        patients += some_patients
        progress("cut and test: scoring", len(patients), len(rows))
    return Part(
        labels=np.concatenate(labels).astype(np.float64),
        probabilities=probabilities_of(np.concatenate(logits)),
        patients=tuple(patient.patient_id for patient in patients),
        groups=_groups(patients),
    )


def _groups(patients: Sequence[SyntheticPatient]) -> dict[str, NDArray[np.bool_]]:
    is_female = np.array([patient.is_female for patient in patients])
    is_older = np.array([patient.age_years >= 65.0 for patient in patients])
    return {
        "women": is_female,
        "men": ~is_female,
        "age under 65": ~is_older,
        "age 65 or over": is_older,
    }
