"""The ECGs and bundles of the invented hospital behind the recipes of docs/sql.md.

Everything that a recipe answers follows from this page and from `seeded_hospital`, by hand.
"""

import math
from dataclasses import dataclass, field
from datetime import datetime

from ecgbatch.records import (
    Assessment,
    Facts,
    Finding,
    Outcome,
    Quarantined,
    Rejected,
    Risk,
    Scored,
    TaskAssessment,
)
from ecgbatch.store.bundles import BundleRow, StratumRow
from ecgbatch.terms import ANY_VESSEL, ReasonCode, Stratum, Vessel

V1, V2, V3 = "a1" * 32, "b2" * 32, "c3" * 32
"""Digests of three versions of one bundle."""

CUTS = {V1: (0.30, 0.60), V2: (0.30, 0.70), V3: (0.30, 0.60)}
"""Low below the first, high from the second on; the same for each task and for any vessel."""

BUNDLES = tuple(
    BundleRow(digest, "demonstration", version, is_clinical=False)
    for digest, version in ((V1, "1"), (V2, "2"), (V3, "3"))
)

NEAR = 0.002
"""A risk this close to a cut is near it."""


def stratum_of(risk: float, bundle: str) -> Stratum:
    low, high = CUTS[bundle]
    return Stratum.LOW if risk < low else Stratum.HIGH if risk >= high else Stratum.INTERMEDIATE


def strata(bundle: str) -> tuple[StratumRow, ...]:
    """The same figures for each task and for any vessel, all of them synthetic."""
    low, high = CUTS[bundle]
    return tuple(
        row
        for task in (*Vessel, ANY_VESSEL)
        for row in (
            StratumRow(
                task, Stratum.LOW, 0.0, low, is_synthetic=True, share=0.5,
                npv=0.95, npv_from=0.92, npv_to=0.97,
                incidence=0.05, incidence_from=0.03, incidence_to=0.08,
            ),
            StratumRow(
                task, Stratum.INTERMEDIATE, low, high, is_synthetic=True, share=0.3,
                incidence=0.2, incidence_from=0.15, incidence_to=0.26,
            ),
            StratumRow(
                task, Stratum.HIGH, high, 1.0, is_synthetic=True, share=0.2,
                incidence=0.6, incidence_from=0.52, incidence_to=0.68,
            ),
        )
    )  # fmt: skip


Risks = tuple[float, float, float, float]
"""RCA, LM, LAD, LCX; LM is experimental: out of any vessel, also where it is highest."""


@dataclass(frozen=True, slots=True)
class Ecg:
    """One file; its number is that of its item, and its digest is made of it.

    Attributes:
        risks: by bundle; what a gate refuses has none.
        ends: how it ends where it is not scored.
    """

    number: int
    patient: int | None = None
    acquired_at: str | None = None
    age_years: float | None = None
    sex: str | None = None
    statement_normal: bool | None = None
    device: str | None = None
    site: str | None = None
    risks: dict[str, Risks] = field(default_factory=dict)
    ends: ReasonCode | None = None
    ecg_id: str | None = None
    edit_status: str | None = None


ECGS = {
    ecg.number: ecg
    for ecg in (
        # First night, under version 1. Some were scored again under version 2.
        Ecg(1, 1, "2026-02-27 09:00", 61, "F", True, "cart-1", "ED",
            {V1: (0.10, 0.05, 0.20, 0.15)}),
        Ecg(2, 2, "2026-02-28 10:00", 72, "M", False, "cart-1", "ED",
            {V1: (0.65, 0.05, 0.40, 0.20), V2: (0.60, 0.05, 0.50, 0.20)}),
        Ecg(3, 3, "2026-03-01 08:30", 55, "M", True, "cart-2", "W3",
            {V1: (0.20, 0.02, 0.75, 0.30), V2: (0.20, 0.02, 0.62, 0.25)}),
        Ecg(4, 4, "2026-03-01 09:15", 48, "F", None, "cart-2", "W3", ends=ReasonCode.LEAD_FLAT),
        Ecg(5, ends=ReasonCode.CHECKSUM_MISMATCH),
        Ecg(6, ends=ReasonCode.FORMAT_UNKNOWN),
        # Second night, under version 1.
        Ecg(7, 1, "2026-03-02 11:00", 61, "F", True, "cart-1", "ED",
            {V1: (0.25, 0.05, 0.45, 0.20), V2: (0.20, 0.05, 0.78, 0.25)}),
        Ecg(8, 5, "2026-03-02 14:00", 66, "M", False, "cart-3", "W3",
            {V1: (0.35, 0.04, 0.40, 0.33)}, ecg_id="E08", edit_status="unconfirmed"),
        Ecg(10, 6, "2026-03-02 16:00", 16, "F", True, "cart-3", "W3",
            {V1: (0.70, 0.05, 0.80, 0.30), V2: (0.72, 0.05, 0.75, 0.30)}),
        # Third night, under version 1 and its challenger version 2.
        Ecg(11, 5, "2026-03-02 14:00", 66, "M", False, "cart-3", "W3",
            {V1: (0.35, 0.04, 0.40, 0.33), V2: (0.28, 0.03, 0.25, 0.20)},
            ecg_id="E08", edit_status="corrected"),
        Ecg(12, 7, "2026-03-03 15:00", 55, "M", False, "cart-2", "ED",
            {V1: (0.40, 0.03, 0.55, 0.20), V2: (0.45, 0.03, 0.71, 0.20)}),
        Ecg(13, 8, "2026-03-03 17:00", 83, "M", False, "cart-1", "W3",
            {V1: (0.590, 0.06, 0.595, 0.25), V2: (0.720, 0.06, 0.699, 0.25)}),
        Ecg(14, risks={V1: (0.10, 0.01, 0.12, 0.11), V2: (0.12, 0.01, 0.15, 0.11)}),
        # Fourth night, under version 2.
        Ecg(15, 9, "2026-03-04 15:00", 50, "F", False, "cart-3", "W3",
            {V2: (0.50, 0.05, 0.40, 0.40)}, ecg_id="E15"),
        Ecg(16, 10, "2026-03-04 15:00", 50, "F", False, "cart-3", "W3",
            {V2: (0.50, 0.05, 0.40, 0.40)}, ecg_id="E15"),
        Ecg(17, 2, "2026-03-04 10:30", 72, "M", False, "cart-1", "ED",
            {V2: (0.74, 0.75, 0.66, 0.20)}),
        Ecg(18, 11, "2026-03-04 13:00", 44, "F", True, "cart-4", "ED",
            {V2: (0.10, 0.02, 0.20, 0.12)}),
        # Fifth night, under version 2 and its challenger version 3.
        Ecg(19, 12, "2026-03-05 09:40", 58, "M", True, "cart-4", "ED",
            {V2: (0.22, 0.03, 0.74, 0.40), V3: (0.20, 0.03, 0.58, 0.40)}),
        Ecg(20, 13, "2026-03-05 10:10", 39, "F", False, "cart-4", "ED",
            {V2: (0.15, 0.02, 0.25, 0.20), V3: (0.18, 0.02, 0.35, 0.20)}),
        Ecg(21, 14, "2026-03-05 11:00", 68, "F", None, "cart-3", "W3",
            {V2: (0.33, 0.05, 0.50, 0.35), V3: (0.40, 0.06, 0.52, 0.34)}),
        Ecg(22, 15, "2026-03-05 12:00", 75, "M", None, "cart-3", "W3",
            ends=ReasonCode.AMPLITUDE_IMPLAUSIBLE),
        Ecg(23, ends=ReasonCode.SIZE_MISMATCH),
    )
}  # fmt: skip
"""By number. 9 is a copy of 2; 24 is not whole, 25 was seen only once."""

COPIES = {9: 2}
REFUSED_BY = {
    ReasonCode.LEAD_FLAT: Finding("flat", ReasonCode.LEAD_FLAT, "V1", 0.0, 0.01, refuses=True),
    ReasonCode.AMPLITUDE_IMPLAUSIBLE: Finding(
        "amplitude", ReasonCode.AMPLITUDE_IMPLAUSIBLE, "II", 14.5, 10.0, refuses=True
    ),
}


def outcome(number: int, bundle: str) -> Outcome:
    """How the file of this number ends under a bundle."""
    ecg = ECGS[COPIES.get(number, number)]
    if ecg.ends is ReasonCode.FORMAT_UNKNOWN:
        return Quarantined(None, ecg.ends, "decode")
    if ecg.ends in REFUSED_BY:
        assert ecg.ends is not None
        return Rejected(_facts(ecg), (REFUSED_BY[ecg.ends],), ecg.ends, outside_intended_use=None)
    if ecg.ends is not None:
        return Quarantined(Facts(_digest(ecg)), ecg.ends, "decode")
    risks = dict(zip(Vessel, ecg.risks[bundle], strict=True))
    tasks = tuple(_assessed(task, risk, bundle) for task, risk in risks.items())
    highest = max(risk for task, risk in risks.items() if task is not Vessel.LM)
    is_outside = None if ecg.age_years is None else ecg.age_years < 18
    assessment = Assessment(tasks, highest, stratum_of(highest, bundle))
    return Scored(_facts(ecg), (), assessment, is_outside, 0)


def _assessed(task: Vessel, risk: float, bundle: str) -> TaskAssessment:
    is_experimental = task is Vessel.LM
    logit = math.log(risk / (1 - risk))
    near_cut = any(abs(risk - cut) < NEAR for cut in CUTS[bundle])
    stratum = stratum_of(risk, bundle)
    return TaskAssessment(Risk(task, logit, risk, risk), stratum, near_cut, is_experimental)


def _digest(ecg: Ecg) -> str:
    return f"{ecg.number:02d}" * 32


def _facts(ecg: Ecg) -> Facts:
    return Facts(
        file_digest=_digest(ecg),
        signal_digest=f"{50 + ecg.number}" * 32,
        patient_key=None if ecg.patient is None else f"patient-{ecg.patient}",
        acquired_at=None if ecg.acquired_at is None else datetime.fromisoformat(ecg.acquired_at),
        age_years=ecg.age_years,
        sex=ecg.sex,
        device=ecg.device,
        site=ecg.site,
        accession=f"A{ecg.number:02d}",
        ecg_id=ecg.ecg_id or f"E{ecg.number:02d}",
        edit_status=ecg.edit_status,
        statement_normal=ecg.statement_normal,
        format="muse",
        sampling_frequency=500.0,
        n_samples=5000,
        reader="muse",
        reader_version="1",
    )
