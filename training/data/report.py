"""What a cohort consists of, counted: for report.json and for the terminal."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.data.assembly import few_positives
from training.data.prepare import PreparedCohort
from training.data.screening import advice_of
from training.records import Cohort
from training.settings.data import LabelSettings
from training.settings.experiment import Experiment
from training.terms import GRADES, NO_GRADE, Exclusion


def refuse_none_left(cohort: Cohort, labels: LabelSettings) -> None:
    """Raises: SetupFault, `settings_invalid`: every task is experimental or short of positives."""
    if set(cohort.experimental) == set(cohort.tasks):
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID,
            f"no vessel is left: none that is not experimental has {labels.fewest_positives}"
            " positive index ECGs (labels.fewest_positives)",
        )


def data_report(prepared: PreparedCohort, experiment: Experiment) -> dict[str, Any]:
    """Counts of ECGs, patients, grades, positives and exclusions; sentences on what to know."""
    cohort, assembled = prepared.cohort, prepared.assembled
    shared = two_patient_rows(prepared)
    return {
        "rows": len(prepared.manifest),
        "manifest_digest": prepared.manifest.digest,
        "ecgs": len(cohort),
        "index_ecgs": int(cohort.is_index.sum()),
        "patients": len(set(cohort.patients)),
        "excluded": counted(reason.value for reason in assembled.excluded.values()),
        "not_index": counted(why.value for why in assembled.not_index if why is not None),
        "tasks": _tasks(cohort, experiment),
        "two_patients_rows": shared,
        "notes": _notes(prepared, experiment, shared),
    }


def two_patient_rows(prepared: PreparedCohort) -> list[int]:
    """Rows of the manifest whose ECG another patient has too: what `check-data` fails for."""
    return [
        prepared.manifest.rows[place]
        for place, reason in sorted(prepared.assembled.excluded.items())
        if reason is Exclusion.TWO_PATIENTS
    ]


def counted(words: Any) -> dict[str, int]:
    """Most frequent first, then by name."""
    return dict(sorted(Counter(words).items(), key=lambda pair: (-pair[1], pair[0])))


def _tasks(cohort: Cohort, experiment: Experiment) -> dict[str, Any]:
    index = cohort.index_only()
    few = few_positives(
        cohort.tasks, cohort.labels, cohort.is_index, experiment.labels.fewest_positives
    )
    found: dict[str, Any] = {}
    for column, task in enumerate(cohort.tasks):
        labels = index.labels[:, column]
        found[task] = {
            "positives": int((labels == 1).sum()),
            "negatives": int((labels == 0).sum()),
            "missing": int(np.isnan(labels).sum()),
            "experimental": task in cohort.experimental,
            "too_few_positives": task in few,
        }
        if not experiment.labels.binary:
            found[task]["grades"] = _grades(index, column)
    return found


def _grades(index: Cohort, column: int) -> dict[str, int]:
    codes = index.grades[:, column]
    counts = {grade.value: int((codes == code).sum()) for code, grade in enumerate(GRADES)}
    return counts | {"not graded": int((codes == NO_GRADE).sum())}


def _notes(prepared: PreparedCohort, experiment: Experiment, shared: Sequence[int]) -> list[str]:
    cohort, labels = prepared.cohort, experiment.labels
    few = few_positives(cohort.tasks, cohort.labels, cohort.is_index, labels.fewest_positives)
    notes = [
        f"{task} has fewer than {labels.fewest_positives} positive index ECGs: experimental,"
        " without cuts, out of any vessel."
        for task in few
    ]
    if not labels.binary:
        notes += [f"{task} is experimental by the settings." for task in labels.experimental]
    if shared:
        notes.append(f"{len(shared)} rows: {advice_of(Exclusion.TWO_PATIENTS)}")
    return notes
