"""A seeded cohort of synthetic patients: 12-lead ECGs with a stenosis grade per vessel.

Every patient and every ECG has a random stream of its own, addressed by its index, so the cohort
streams, needs no memory, and patient 17 is the same alone, in any order and in any larger cohort.
`limits` says what is not realistic.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgbatch.records import Millivolts
from ecgbatch.terms import WINDOW_S, WINDOW_SAMPLES, Vessel
from training.settings.cohort import (
    CohortSettings,
    DeviceSettings,
    EffectSettings,
    StatementSettings,
)
from training.synthetic import heart
from training.synthetic.artefacts import artefacts, breathing_gain, rhythm
from training.synthetic.course import DAYS_PER_YEAR, Course, draw_course
from training.synthetic.device import (
    STEP_UV,
    counts_per_mv,
    draw_device,
    draw_site,
    recorded,
    twelve_leads,
)
from training.terms import GRADES, Grade

__all__ = [
    "COUNTS_PER_MV",
    "GRADES",
    "POSITIVE",
    "SyntheticEcg",
    "SyntheticPatient",
    "cohort",
    "draw_ecg",
    "draw_patient",
    "ecgs_of",
    "twelve_leads",
]

COUNTS_PER_MV = round(2000.0 / STEP_UV)
"""Of an ECG of the one device that there is where the settings name none."""

FileFormat = Literal["wfdb", "muse"]

POSITIVE = (Grade.SEVERE, Grade.OCCLUDED)
"""Grades that count as positive: >= 70 % diameter stenosis or occlusion."""


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticPatient:
    """One patient, as of the day of the CCTA.

    Attributes:
        grades: what the CCTA says, in the order of Vessel; None where not assessable.
        true_grades: also of those; the course of the disease follows them.
        site: where all the patient's ECGs are made.
    """

    index: int
    age_years: float
    is_female: bool
    heart_rate: float
    grades: tuple[Grade | None, ...]
    true_grades: tuple[Grade, ...]
    anatomy: heart.Anatomy = field(repr=False)
    site: str
    course: Course = field(repr=False)

    @property
    def patient_id(self) -> str:
        return f"SYN{self.index:07d}"

    @property
    def sex(self) -> str:
        return "female" if self.is_female else "male"

    @property
    def labels(self) -> tuple[float, ...]:
        """1 positive, 0 negative, NaN not assessable; in the order of Vessel."""
        return tuple(np.nan if g is None else float(g in POSITIVE) for g in self.grades)


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticEcg:
    """One ECG of a patient.

    Attributes:
        acquired_at: wall clock.
        counts: (12, 5000) int16, rows in LEADS order, `counts_per_mv` counts per mV.
        r_times_s: of its beats, some beyond both ends of the recording.
        statement_normal: whether the device calls it normal; None: it says nothing on that.
        file_format: what the device writes.
    """

    patient: SyntheticPatient
    index: int
    acquired_at: datetime
    counts: NDArray[np.int16] = field(repr=False)
    device: DeviceSettings
    heart_rate: float
    r_times_s: NDArray[np.float64] = field(repr=False)
    statement_normal: bool | None
    file_format: FileFormat

    @property
    def name(self) -> str:
        return f"{self.patient.patient_id}_{self.index:02d}"

    @property
    def signal(self) -> Millivolts:
        """(12, 5000) float64 mV."""
        return self.counts.astype(np.float64) / counts_per_mv(self.device)

    @property
    def age_years(self) -> float:
        """At this ECG."""
        since = self.acquired_at - self.patient.course.ccta_at
        return self.patient.age_years + since.total_seconds() / (86400.0 * DAYS_PER_YEAR)


def cohort(settings: CohortSettings) -> Iterator[SyntheticEcg]:
    """All ECGs of the cohort, patient by patient."""
    for patient_index in range(settings.n_patients):
        yield from ecgs_of(settings, draw_patient(settings, patient_index))


def ecgs_of(settings: CohortSettings, patient: SyntheticPatient) -> Iterator[SyntheticEcg]:
    """All ECGs of one patient, in the order of time."""
    for index in range(len(patient.course.ecg_at)):
        yield draw_ecg(settings, patient, index)


def draw_patient(settings: CohortSettings, index: int) -> SyntheticPatient:
    """Patient number `index` of the cohort, independent of all others."""
    rng = _stream(settings.seed, index, 0)
    age = float(np.clip(rng.normal(settings.age_mean, settings.age_sd), 25.0, 95.0))
    is_female = bool(rng.random() < settings.female_share)
    grades = _draw_grades(settings, rng, (age - settings.age_mean) / settings.age_sd)
    is_missing = rng.random(len(Vessel)) < settings.not_assessable_share
    seen = tuple(None if gone else g for g, gone in zip(grades, is_missing, strict=True))
    heart_rate = float(np.clip(rng.normal(70.0, 12.0), 45.0, 115.0))
    anatomy = _draw_anatomy(settings.effect, rng, age, is_female, grades)
    around = _stream(settings.seed, index, 0, 1)
    site = draw_site(settings, around)
    course = draw_course(settings, around, age, is_female, grades)
    return SyntheticPatient(index, age, is_female, heart_rate, seen, grades, anatomy, site, course)


def draw_ecg(settings: CohortSettings, patient: SyntheticPatient, index: int) -> SyntheticEcg:
    """ECG number `index` of a patient: same heart, another day, another recording.

    Raises:
        IndexError: the patient has no such ECG.
    """
    acquired_at = patient.course.ecg_at[index]
    rng = _stream(settings.seed, patient.index, 1 + index)
    around = _stream(settings.seed, patient.index, 1 + index, 1)
    device = draw_device(settings, around, patient.site)
    anatomy = _anatomy_at(settings, patient, acquired_at)
    heart_rate = float(np.clip(patient.heart_rate + rng.normal(0.0, 5.0), 40.0, 130.0))
    r_times_s = rhythm(rng, heart_rate, WINDOW_S)
    vector = heart.dipole(anatomy, r_times_s, breathing_gain(rng, r_times_s), WINDOW_SAMPLES)
    clean = heart.project(anatomy, vector) * np.exp(rng.normal(0.0, 0.03, size=(8, 1)))
    noise = artefacts(rng, len(clean), WINDOW_SAMPLES, device.mains_hz, device.mains_gain)
    noisy = clean + settings.noise_gain * device.noise_gain * noise
    return SyntheticEcg(
        patient=patient,
        index=index,
        acquired_at=acquired_at,
        counts=twelve_leads(recorded(device, noisy), device.step_uv),
        device=device,
        heart_rate=heart_rate,
        r_times_s=r_times_s,
        statement_normal=_statement(settings.statement, around, anatomy.injury),
        file_format="muse" if around.random() < settings.muse_share else "wfdb",
    )


def _anatomy_at(settings: CohortSettings, patient: SyntheticPatient, at: datetime) -> heart.Anatomy:
    """After a revascularisation part of the changes of ST segment and T wave is gone."""
    treated = patient.course.revascularised_at
    if treated is None or at < treated:
        return patient.anatomy
    left, injury = 1.0 - settings.outcome.relief, patient.anatomy.injury
    eased = heart.Injury(injury.initial_force, left * injury.st_segment, left * injury.t_wave)
    return replace(patient.anatomy, injury=eased)


def _statement(
    statement: StatementSettings, rng: np.random.Generator, injury: heart.Injury
) -> bool | None:
    """The larger the changes, the rarer "normal"; 0.1 mV of ST weighs as 0.2 mV of QRS or T."""
    parts = (injury.initial_force, 2.0 * injury.st_segment, injury.t_wave)
    size_mv = max(float(np.linalg.norm(part)) for part in parts)
    margin = (statement.half_at_mv - size_mv) / statement.width_mv
    is_normal = rng.random() < 0.5 * (1.0 + np.tanh(margin / 2.0))
    return None if rng.random() < statement.missing_share else bool(is_normal)


def _stream(seed: int, *address: int) -> np.random.Generator:
    """Of a patient (index, 0), of an ECG (index, 1 + its number); one more number is a side
    stream, so that what is drawn from it moves nothing else."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=address))


def _draw_grades(
    settings: CohortSettings, rng: np.random.Generator, age_z: float
) -> tuple[Grade, ...]:
    """Grades from a latent burden: shared over the vessels, growing with age, the rest local."""
    shared, by_age = settings.shared_burden, settings.age_burden
    common = np.sqrt(shared) * rng.standard_normal() + np.sqrt(by_age) * age_z
    local = np.sqrt(1.0 - shared - by_age) * rng.standard_normal(len(Vessel))
    shares = (settings.grade_shares[vessel] for vessel in Vessel)
    return tuple(
        _grade(float(burden), share) for burden, share in zip(common + local, shares, strict=True)
    )


def _grade(burden: float, shares: tuple[float, ...]) -> Grade:
    """The grade whose share of a standard normal distribution `burden` falls into."""
    rank = int(np.searchsorted(np.cumsum(shares), NormalDist().cdf(burden), side="right"))
    return GRADES[min(rank, len(GRADES) - 1)]


def _draw_anatomy(
    effect: EffectSettings,
    rng: np.random.Generator,
    age: float,
    is_female: bool,
    grades: tuple[Grade, ...],
) -> heart.Anatomy:
    decades = (age - 60.0) / 10.0
    frontal = np.deg2rad(rng.normal(-4.0 * decades, 14.0))
    horizontal = np.deg2rad(rng.normal(4.0, 10.0))
    t_gain = np.exp(rng.normal(-0.06 * decades - (0.15 if is_female else 0.0), 0.22))
    return heart.Anatomy(
        p_gain=float(np.exp(rng.normal(0.0, 0.25))),
        qrs_gain=float(np.exp(rng.normal(-0.04 * decades - (0.1 if is_female else 0.0), 0.2))),
        t_gain=float(t_gain),
        pr_shift_s=float(rng.normal(-0.004 * decades, 0.012)),
        qrs_width=float(np.exp(rng.normal(0.01 * decades, 0.07))),
        qt_width=float(np.exp(rng.normal(0.03 if is_female else 0.0, 0.04))),
        rotation=heart.rotate(float(frontal), float(horizontal)),
        lead_gain=np.exp(rng.normal(0.0, 0.12, size=8)),
        injury=_draw_injury(effect, rng, grades),
    )


def _draw_injury(
    effect: EffectSettings, rng: np.random.Generator, grades: tuple[Grade, ...]
) -> heart.Injury:
    """Sum over the vessels of what their disease does, plus changes that mean nothing.

    How much a stenosis shows varies from nothing to plainly visible, and each heart shows it in
    another mixture of Q wave, ST segment and T wave; the resting ECG is a weak witness.
    """
    initial_force, st_segment, t_wave = (
        sd * rng.standard_normal(3)
        for sd in (effect.nonspecific_q_mv, effect.nonspecific_st_mv, effect.nonspecific_t_mv)
    )
    for vessel, grade in zip(Vessel, grades, strict=True):
        away = -_direction(effect, vessel)
        shows = rng.gamma(effect.visibility_shape, 1.0 / effect.visibility_shape)
        mixture = 3.0 * rng.dirichlet((1.2, 1.2, 1.2))
        size = effect.by_grade[GRADES.index(grade)] * effect.by_vessel[vessel] * shows
        initial_force = initial_force + size * mixture[0] * effect.q_mv * away
        st_segment = st_segment + size * mixture[1] * effect.st_mv * away
        t_wave = t_wave + size * mixture[2] * effect.t_mv * away
    return heart.Injury(
        _limited(initial_force, effect.limit_mv),
        _limited(st_segment, effect.limit_mv / 2),
        _limited(t_wave, effect.limit_mv),
    )


def _direction(effect: EffectSettings, vessel: Vessel) -> NDArray[np.float64]:
    """Towards the vessel's wall: the anatomy's, or what the settings put in its place."""
    if vessel not in effect.direction:
        return np.array(heart.DIRECTION[vessel])
    given = np.array(effect.direction[vessel])
    towards: NDArray[np.float64] = given / np.linalg.norm(given)
    return towards


def _limited(dipole: NDArray[np.float64], limit_mv: float) -> NDArray[np.float64]:
    """The same direction, its size bent below `limit_mv`: changes level off."""
    size = np.linalg.norm(dipole)
    bent: NDArray[np.float64] = dipole * (limit_mv / np.hypot(limit_mv, size))
    return bent
