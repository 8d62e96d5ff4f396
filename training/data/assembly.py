"""Manifest and readings into a cohort: who is in it, which ECGs stand for their CCTA, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.data.cells import Moment
from training.data.index_ecg import Candidate, Mode, NotIndex, choose
from training.data.manifest import Manifest
from training.data.reading import Patients, Reading
from training.data.screening import Placed, Reason, advice_of, place_rows, screen
from training.records import COVARIATES, Cohort, Labels
from training.settings.data import DataSettings, LabelSettings
from training.terms import person

_FROM_HEADER = ("sex", "age_years", "device", "site", "statement_normal")


@dataclass(frozen=True, slots=True, eq=False)
class Assembled:
    """A cohort, and what became of every row of the manifest.

    Attributes:
        readings: of each ECG of the cohort.
        rows: place in the manifest of each ECG of the cohort.
        not_index: why each of them is no index ECG; None where it is one.
        excluded: reason of each other row, by place in the manifest.
    """

    cohort: Cohort
    readings: tuple[Reading, ...] = field(repr=False)
    rows: tuple[int, ...]
    not_index: tuple[NotIndex | None, ...]
    excluded: dict[int, Reason] = field(repr=False)

    def excluded_table(self, manifest: Manifest) -> pd.DataFrame:
        """Row of the manifest, reason, what it means; in the manifest's order."""
        listed = sorted(self.excluded.items())
        return pd.DataFrame(
            {
                "row": pd.array([manifest.rows[place] for place, _ in listed], dtype="int64"),
                "reason": pd.array([reason.value for _, reason in listed], dtype="string"),
                "detail": pd.array([advice_of(reason) for _, reason in listed], dtype="string"),
            }
        )


def assemble(
    manifest: Manifest,
    readings: dict[int, Reading],
    reasons: dict[int, Reason],
    *,
    settings: DataSettings,
    labels: LabelSettings,
    patients: Patients,
) -> Assembled:
    """The cohort. Pure.

    Args:
        readings: of the rows whose ECG can be used, by place; reasons: of all others.

    Raises:
        SetupFault: `manifest_invalid`, no ECG is left, or none stands for a CCTA.
    """
    placed = place_rows(manifest, readings, settings)
    excluded = reasons | screen(placed, manifest, settings, patients)
    kept = [row for row in placed if row.place not in excluded]
    if not kept:
        raise SetupFault(ReasonCode.MANIFEST_INVALID, f"no ECG is left; {_counted(excluded)}")
    revascularised = _first_revascularisation(manifest)
    not_index = choose(
        [_candidate(row, manifest, revascularised) for row in kept],
        index_mode(manifest, settings, labels),
        settings.most_gap_days,
    )
    if all(not_index):
        raise SetupFault(
            ReasonCode.MANIFEST_INVALID, f"no ECG stands for a CCTA; {_counted_words(not_index)}"
        )
    rows = [row.place for row in kept]
    is_index = np.array([why is None for why in not_index])
    cohort = Cohort(
        tasks=manifest.tasks,
        keys=tuple(row.reading.key for row in kept),
        patients=_numbered([manifest.patients[place] for place in rows]),
        is_index=is_index,
        labels=manifest.labels[rows],
        grades=manifest.grades[rows],
        covariates=_covariates(kept, manifest),
        experimental=experimental_tasks(manifest.tasks, manifest.labels[rows], is_index, labels),
    )
    kept_readings = tuple(row.reading for row in kept)
    return Assembled(cohort, kept_readings, tuple(rows), tuple(not_index), excluded)


def index_mode(manifest: Manifest, settings: DataSettings, labels: LabelSettings) -> Mode:
    """How index ECGs are chosen. A label of an intermediate stage without a date belongs to the
    ECG itself; then every ECG counts.

    Raises:
        SetupFault: `settings_invalid`, there is nothing to choose by.
    """
    if settings.index_ecg == "all" or manifest.mapped & {"ccta_at", "gap_days"}:
        return settings.index_ecg
    if labels.binary:
        return "all"
    raise SetupFault(
        ReasonCode.SETTINGS_INVALID,
        'key data.columns.ccta_at (or gap_days) is needed, or data.index_ecg = "all"',
    )


def few_positives(
    tasks: Sequence[str], labels: Labels, is_index: NDArray[np.bool_], fewest: int
) -> tuple[str, ...]:
    """Tasks with fewer positive index ECGs than that."""
    n_positives = (labels[is_index] == 1).sum(axis=0)
    return tuple(task for task, n in zip(tasks, n_positives, strict=True) if n < fewest)


def experimental_tasks(
    tasks: Sequence[str], labels: Labels, is_index: NDArray[np.bool_], settings: LabelSettings
) -> tuple[str, ...]:
    """By the settings, or for want of positives."""
    few = few_positives(tasks, labels, is_index, settings.fewest_positives)
    stated = () if settings.binary else tuple(vessel.value for vessel in settings.experimental)
    return tuple(task for task in tasks if task in stated or task in few)


def _first_revascularisation(manifest: Manifest) -> dict[str, Moment]:
    """Per person the earliest that any row states: an artery once opened is so for every ECG."""
    first: dict[str, Moment] = {}
    for patient, moment in zip(manifest.patients, manifest.revascularised_at, strict=True):
        if moment is not None:
            name = person(patient)
            first[name] = min(first.get(name, moment), moment)
    return first


def _candidate(row: Placed, manifest: Manifest, revascularised: dict[str, Moment]) -> Candidate:
    return Candidate(
        ccta=row.ccta,
        key=row.reading.key,
        ecg_at=row.ecg_at,
        gap=row.gap,
        revascularised_at=revascularised.get(person(manifest.patients[row.place])),
    )


def _numbered(patients: Sequence[str]) -> tuple[str, ...]:
    """A number per person, so that a patient written in two ways is in one part and fold."""
    numbers: dict[str, str] = {}
    for patient in patients:
        numbers.setdefault(person(patient), f"p{len(numbers) + 1:06d}")
    return tuple(numbers[person(patient)] for patient in patients)


def _covariates(kept: Sequence[Placed], manifest: Manifest) -> pd.DataFrame:
    """The manifest's; of a column that it does not have, what the ECG's header says."""
    columns = {
        name: list(manifest.covariates[name].iloc[[row.place for row in kept]])
        for name in COVARIATES
    }
    for name in _FROM_HEADER:
        if name not in manifest.mapped:
            columns[name] = [getattr(row.reading, name) for row in kept]
    columns["ecg_at"] = [row.ecg_at and row.ecg_at.at for row in kept]
    columns["gap_days"] = [row.gap and row.gap.days for row in kept]
    return pd.DataFrame(columns, dtype=object).astype(COVARIATES)


def _counted(excluded: dict[int, Reason]) -> str:
    return _counted_words([reason.value for reason in excluded.values()])


def _counted_words(words: Sequence[str | None]) -> str:
    counts = {word: words.count(word) for word in dict.fromkeys(words) if word is not None}
    return "; ".join(f"{n} x {word}" for word, n in counts.items())
