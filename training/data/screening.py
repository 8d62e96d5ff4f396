"""Which rows cannot be in the cohort, and why; every row has one reason or none."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

import numpy as np

from ecgbatch.reasons import REASONS
from ecgbatch.terms import ReasonCode
from training.data.cells import Moment
from training.data.index_ecg import Gap, day_of_ccta, gap_between
from training.data.manifest import Manifest
from training.data.reading import Patients, Reading
from training.settings.data import DataSettings
from training.terms import NO_GRADE, Exclusion, person

Reason = ReasonCode | Exclusion

ADVICE: dict[Exclusion, str] = {
    Exclusion.NO_ECG: "The row names no ECG file.",
    Exclusion.NO_LABEL: "No vessel of the row is graded.",
    Exclusion.HEADER_PATIENT: "The ECG's header names another patient than the manifest.",
    Exclusion.HEADER_TIME: "The ECG's header has another time than the manifest.",
    Exclusion.DUPLICATE: "The same ECG of the same patient stands in another row.",
    Exclusion.TWO_PATIENTS: "The same ECG stands under two patients; find out whose it is.",
    Exclusion.GRADES_CONTRADICT: "Rows of one patient and CCTA grade a vessel differently.",
}


@dataclass(frozen=True, slots=True)
class Placed:
    """A row of the manifest with what its ECG's file says.

    Attributes:
        place: of the row in the manifest, from 0.
        reading: of an ECG that can be used.
        ecg_at: the manifest's, or the header's where the manifest has no such column.
    """

    place: int
    reading: Reading
    ecg_at: Moment | None
    gap: Gap | None
    ccta: Hashable = field(repr=False)


def advice_of(reason: Reason) -> str:
    return ADVICE[reason] if isinstance(reason, Exclusion) else REASONS[reason].advice


def unreadable_rows(manifest: Manifest) -> dict[int, Reason]:
    """Rows whose ECG need not be read at all."""
    is_labelled = [bool(np.isfinite(labels).any()) for labels in manifest.labels]
    reasons: dict[int, Reason] = {}
    for place, path in enumerate(manifest.paths):
        if path is None:
            reasons[place] = Exclusion.NO_ECG
        elif not is_labelled[place]:
            reasons[place] = Exclusion.NO_LABEL
    return reasons


def place_rows(
    manifest: Manifest, readings: dict[int, Reading], settings: DataSettings
) -> list[Placed]:
    """The rows whose ECG can be used, each with its time, its gap and its CCTA."""
    return [
        _placed(manifest, place, reading, settings) for place, reading in sorted(readings.items())
    ]


def screen(
    rows: Sequence[Placed], manifest: Manifest, settings: DataSettings, patients: Patients
) -> dict[int, Reason]:
    """What drops out of the rows whose ECG can be used, by place in the manifest."""
    reasons: dict[int, Reason] = {}
    _mark(reasons, two_patients(rows, manifest), Exclusion.TWO_PATIENTS)
    if settings.check_header:
        for row in rows:
            differs = _differs_from_header(row, manifest, settings, patients)
            if differs is not None:
                reasons.setdefault(row.place, differs)
    _mark(reasons, _contradicting(rows, manifest), Exclusion.GRADES_CONTRADICT)
    left = [row for row in rows if row.place not in reasons]
    _mark(reasons, _copies(left, manifest), Exclusion.DUPLICATE)
    return reasons


def two_patients(rows: Iterable[Placed], manifest: Manifest) -> list[int]:
    """Places of rows whose samples, in the same file or in another, another patient has too."""
    owners: dict[str | None, set[str]] = defaultdict(set)
    rows = list(rows)
    for row in rows:
        owners[row.reading.signal_digest].add(manifest.patients[row.place])
    return [row.place for row in rows if len(owners[row.reading.signal_digest]) > 1]


def _mark(reasons: dict[int, Reason], places: Iterable[int], reason: Exclusion) -> None:
    for place in places:
        reasons.setdefault(place, reason)


def _placed(manifest: Manifest, place: int, reading: Reading, settings: DataSettings) -> Placed:
    ecg_at = manifest.ecg_at[place]
    if "ecg_at" not in manifest.mapped and reading.acquired_at is not None:
        ecg_at = Moment(reading.acquired_at, is_day=False)
    gap = gap_between(ecg_at, manifest.ccta_at[place])
    stated = float(manifest.gap_days[place])
    if gap is None and np.isfinite(stated):
        gap = Gap(stated, is_ordered=settings.gap_is == "signed")
    return Placed(place, reading, ecg_at, gap, _ccta_of(manifest, place, ecg_at, gap))


def _ccta_of(
    manifest: Manifest, place: int, ecg_at: Moment | None, gap: Gap | None
) -> tuple[Hashable, ...]:
    """Patient and day; without a day what the CCTA found stands for it."""
    patient, ccta_at = person(manifest.patients[place]), manifest.ccta_at[place]
    day = day_of_ccta(ecg_at, gap) if ccta_at is None else ccta_at.at.date()
    if day is not None:
        return (patient, day)
    return (patient, manifest.grades[place].tobytes(), manifest.labels[place].tobytes())


def _differs_from_header(
    row: Placed, manifest: Manifest, settings: DataSettings, patients: Patients
) -> Exclusion | None:
    mark = row.reading.patient_mark
    if mark is not None and mark != patients.mark(manifest.patients[row.place]):
        return Exclusion.HEADER_PATIENT
    stated, stored = manifest.ecg_at[row.place], row.reading.acquired_at
    tolerance = timedelta(minutes=settings.time_tolerance_minutes)
    if stated is not None and stored is not None and _apart(stated, stored) > tolerance:
        return Exclusion.HEADER_TIME
    return None


def _apart(stated: Moment, stored: datetime) -> timedelta:
    """Distance of a time from a time, or from the nearer end of a day."""
    first = last = stated.at
    if stated.is_day:
        last = datetime.combine(stated.at.date(), time(23, 59, 59))
    return max(first - stored, stored - last, timedelta())


def _contradicting(rows: Sequence[Placed], manifest: Manifest) -> list[int]:
    """All rows of a dated CCTA that grade one vessel (or answer a binary label) in two ways."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for row in rows:
        is_dated = row.gap is not None and row.gap.is_ordered
        if is_dated or manifest.ccta_at[row.place] is not None:
            groups[row.ccta].append(row.place)
    found = []
    for places in groups.values():
        grades = np.ma.masked_equal(manifest.grades[places], NO_GRADE)
        labels = np.ma.masked_invalid(manifest.labels[places])
        if any((of.max(axis=0) != of.min(axis=0)).filled(False).any() for of in (grades, labels)):
            found += places
    return found


def _copies(rows: Sequence[Placed], manifest: Manifest) -> list[int]:
    """All but one of the rows of one ECG: the one nearest before its CCTA stays, else the first."""
    groups: dict[Hashable, list[Placed]] = defaultdict(list)
    for row in rows:
        groups[person(manifest.patients[row.place]), row.reading.signal_digest].append(row)
    found = []
    for copies in groups.values():
        kept = min(copies, key=_nearness)
        found += [row.place for row in copies if row is not kept]
    return found


def _nearness(row: Placed) -> tuple[bool, bool, float, int]:
    if row.gap is None:
        return (True, True, 0.0, row.place)
    return (False, row.gap.days < 0, abs(row.gap.days), row.place)
