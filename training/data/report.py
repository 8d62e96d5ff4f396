"""What a cohort consists of, counted: for report.json and for the terminal."""

from collections import Counter
from collections.abc import Iterable, Sequence
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
from training.splits.assignment import assign
from training.splits.counts import counts
from training.terms import GRADES, NO_GRADE, Exclusion, person

_OUTSIDE = {ReasonCode.AGE_UNDER_18, ReasonCode.PACED}


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
    groups, undealt = _groups(cohort, experiment)
    return {
        "rows": len(prepared.manifest),
        "manifest_digest": prepared.manifest.digest,
        "ecgs": len(cohort),
        "index_ecgs": int(cohort.is_index.sum()),
        "patients": len(set(cohort.patients)),
        "excluded": counted(reason.value for reason in assembled.excluded.values()),
        "not_index": counted(why.value for why in assembled.not_index if why is not None),
        "flags": counted(flag.value for one in assembled.readings for flag in one.flags),
        "tasks": _tasks(cohort, experiment),
        "groups": groups,
        "two_patients_rows": shared,
        "notes": [*_notes(prepared, experiment, shared), *undealt],
    }


def two_patient_rows(prepared: PreparedCohort) -> list[int]:
    """Rows of the manifest whose ECG another patient has too: what `check-data` fails for."""
    return [
        prepared.manifest.rows[place]
        for place, reason in sorted(prepared.assembled.excluded.items())
        if reason is Exclusion.TWO_PATIENTS
    ]


def _odd_gaps(prepared: PreparedCohort) -> int:
    """Rows whose stated gap differs by more than a day from that of their dates."""
    table = prepared.manifest
    dated = prepared.cohort.covariates["gap_days"].to_numpy(dtype=np.float64)
    stated = table.gap_days[list(prepared.assembled.rows)]
    is_dated = np.array([table.ccta_at[place] is not None for place in prepared.assembled.rows])
    return int((is_dated & (np.abs(np.abs(stated) - np.abs(dated)) > 1.0)).sum())


def _written_in_two_ways(patients: Sequence[str]) -> int:
    return len(set(patients)) - len({person(patient) for patient in patients})


def counted(words: Iterable[str]) -> dict[str, int]:
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


def _groups(cohort: Cohort, experiment: Experiment) -> tuple[dict[str, Any], list[str]]:
    """Classes per part and fold as `fit` and `cross-validate` will deal them; else why not."""
    try:
        dealt = assign(cohort, experiment)
    except SetupFault as fault:
        return {}, [f"Parts and folds cannot be dealt: {fault.detail}."]
    groups: dict[str, Any] = {}
    for count in counts(cohort, dealt.parts, dealt.folds):
        groups.setdefault(count.group, {})[count.task] = {
            "patients": count.n_patients,
            "ecgs": count.n_ecgs,
            "positives": count.n_positives,
            "negatives": count.n_negatives,
            "missing": count.n_missing,
        }
    short = [task for task in dealt.short if task not in cohort.experimental]
    return groups, [
        f"{task} has too few positives in the train or the cut part: experimental, without cuts."
        for task in short
    ]


def _grades(index: Cohort, column: int) -> dict[str, int]:
    codes = index.grades[:, column]
    graded = {grade.value: int((codes == code).sum()) for code, grade in enumerate(GRADES)}
    return graded | {"not graded": int((codes == NO_GRADE).sum())}


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
    if n_outside := sum(not _OUTSIDE.isdisjoint(one.flags) for one in prepared.assembled.readings):
        notes.append(f"{n_outside} ECGs are outside the intended use (age, pacing) and stay in.")
    if n_late := int((cohort.covariates["death_at"] < cohort.covariates["ecg_at"]).sum()):
        notes.append(f"{n_late} ECGs are dated after the death of their patient.")
    if n_alike := _written_in_two_ways(prepared.manifest.patients):
        notes.append(
            f"{n_alike} patients are written in two ways (case, width, blanks, leading zeros): each"
            " counts as one patient. Write them alike, or apart if they are two."
        )
    if n_odd := _odd_gaps(prepared):
        notes.append(f"{n_odd} rows state another gap than their dates; the dates count.")
    if shared:
        notes.append(f"{len(shared)} rows: {advice_of(Exclusion.TWO_PATIENTS)}")
    return notes
