"""A synthetic cohort's manifest: one row per ECG, in the standard column names."""

import csv
from collections.abc import Iterable
from datetime import datetime
from io import StringIO

from ecgbatch.terms import Vessel
from training.synthetic.cohort import SyntheticEcg

COLUMNS = (
    "patient_id",
    "ecg_path",
    *(vessel.value for vessel in Vessel),
    "ecg_at",
    "ccta_at",
    "revascularised_at",
    "sex",
    "age_years",
    "device",
    "site",
    "statement_normal",
    "pretest_probability",
    "event_at",
    "death_at",
    "followed_until",
)
"""Grades are words, empty where not assessed; times are ISO 8601 without zone; `statement_normal`
is `true`, `false` or empty."""


def row(ecg: SyntheticEcg, path: str) -> tuple[str, ...]:
    """One row; `path` is the ECG's, relative to the manifest's folder."""
    patient, course = ecg.patient, ecg.patient.course
    normal = {True: "true", False: "false", None: ""}
    return (
        patient.patient_id,
        path,
        *("" if grade is None else grade.value for grade in patient.grades),
        _time(ecg.acquired_at),
        _time(course.ccta_at),
        _time(course.revascularised_at),
        patient.sex,
        f"{ecg.age_years:.1f}",
        ecg.device.name,
        ecg.device.site,
        normal[ecg.statement_normal],
        f"{course.pretest_probability:.3f}",
        _time(course.event_at),
        _time(course.death_at),
        _time(course.followed_until),
    )


def as_text(rows: Iterable[tuple[str, ...]]) -> str:
    """CSV with line feeds, no head."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _time(at: datetime | None) -> str:
    return "" if at is None else at.isoformat(timespec="seconds")
