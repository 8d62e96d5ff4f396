"""Words of the trainer: grades of stenosis, parts of a cohort, who is one person."""

import unicodedata
from enum import StrEnum


class Grade(StrEnum):
    """Stenosis of one vessel, as a CCTA report grades it.

    Diameter stenosis after CAD-RADS: mild 25 to 49 %, moderate 50 to 69 %, severe 70 to 99 %.
    """

    NONE = "none"
    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"
    OCCLUDED = "occluded"


GRADES = tuple(Grade)
"""From none to occluded; a grade's code is its place here."""
NO_GRADE = -1
"""Code of a vessel that was not graded: missing, never negative."""


class Part(StrEnum):
    """What an ECG is used for in the final fit; a patient's ECGs are all of one part."""

    TRAIN = "train"
    """The weights learn from it."""
    INNER = "inner"
    """Chooses the checkpoint."""
    CUT = "cut"
    """Sets calibrators and cuts; the exported weights have not seen it."""
    TEST = "test"
    """Reports how both hold; touched once, at the end."""


class Exclusion(StrEnum):
    """Why an ECG of the manifest is not in the cohort, where no `ReasonCode` says it."""

    NO_ECG = "no_ecg"
    NO_LABEL = "no_label"
    HEADER_PATIENT = "header_patient_differs"
    HEADER_TIME = "header_time_differs"
    DUPLICATE = "duplicate"
    TWO_PATIENTS = "two_patients"
    GRADES_CONTRADICT = "grades_contradict"


def person(identifier: str) -> str:
    """The same for identifiers that differ in case, width, blanks or leading zeros alone: a
    spreadsheet drops zeros, and one patient as two would end up on both sides of a split."""
    plain = unicodedata.normalize("NFKC", identifier)
    return "".join(plain.split()).casefold().lstrip("0")


class Quantity(StrEnum):
    """What a `Measure` measures."""

    AUROC = "AUROC"
    AUPRC = "AUPRC"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    PPV = "PPV"
    NPV = "NPV"
    LR_POSITIVE = "positive likelihood ratio"
    LR_NEGATIVE = "negative likelihood ratio"
    SHARE = "share"
    """Of all ECGs, in a stratum."""
    PREVALENCE = "prevalence"
    """Of positives: overall, or in a stratum (the observed incidence of severe stenosis)."""
    BRIER = "Brier score"
    CALIBRATION_SLOPE = "calibration slope"
    CALIBRATION_INTERCEPT = "calibration intercept"
    ECE = "expected calibration error"
    GRADE_TREND = "Spearman correlation with the grade"
    REPEATABILITY = "standard deviation within a patient"
    """Of the probability, between ECGs of one patient for one CCTA."""
    REPEATABILITY_LOGIT = "standard deviation of the logit within a patient"
    SAME_STRATUM = "share of pairs in the same stratum"
    """Of pairs of ECGs of one patient for one CCTA."""
    CUMULATIVE_INCIDENCE = "cumulative incidence"
    """Of the event after the ECG, at `day`."""
    LOG_RANK = "log-rank p value"
    NRI_EVENTS = "net reclassification of positives"
    NRI_NON_EVENTS = "net reclassification of negatives"
