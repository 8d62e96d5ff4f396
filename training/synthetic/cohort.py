"""A seeded cohort of synthetic patients: 12-lead ECGs with a stenosis grade per vessel.

Every patient and every ECG has a random stream of its own, addressed by its index, so the cohort
streams, needs no memory, and patient 17 is the same alone, in any order and in any larger cohort.
`docs/demonstration-bundle.md` says what is not realistic.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ecgbatch.records import Millivolts
from ecgbatch.terms import LEADS, WINDOW_S, WINDOW_SAMPLES, Vessel
from training.settings.cohort import CohortSettings, EffectSettings
from training.synthetic import heart
from training.synthetic.artefacts import artefacts, breathing_gain, rhythm
from training.terms import GRADES, Grade

COUNTS_PER_MV = 400
"""Electrodes are quantised at 5 uV; one count is 2.5 uV, so that the derived limb leads,
which have halves in them, are exact in counts."""
_UV5_PER_MV = 200.0


POSITIVE = (Grade.SEVERE, Grade.OCCLUDED)
"""Grades that count as positive: >= 70 % diameter stenosis or occlusion."""


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticPatient:
    """One patient; `grades` in the order of Vessel, None where not assessable."""

    index: int
    age_years: float
    is_female: bool
    heart_rate: float
    grades: tuple[Grade | None, ...]
    anatomy: heart.Anatomy = field(repr=False)

    @property
    def patient_id(self) -> str:
        return f"SYN{self.index:07d}"

    @property
    def labels(self) -> tuple[float, ...]:
        """1 positive, 0 negative, NaN not assessable; in the order of Vessel."""
        return tuple(np.nan if g is None else float(g in POSITIVE) for g in self.grades)


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticEcg:
    """One ECG of a patient.

    Attributes:
        counts: (12, 5000) int16, rows in LEADS order, COUNTS_PER_MV counts per mV.
        acquired_at: wall clock.
    """

    patient: SyntheticPatient
    index: int
    acquired_at: datetime
    counts: NDArray[np.int16] = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.patient.patient_id}_{self.index:02d}"

    @property
    def signal(self) -> Millivolts:
        """(12, 5000) float64 mV."""
        return self.counts.astype(np.float64) / COUNTS_PER_MV


def cohort(settings: CohortSettings) -> Iterator[SyntheticEcg]:
    """All ECGs of the cohort, patient by patient."""
    for patient_index in range(settings.n_patients):
        patient = draw_patient(settings, patient_index)
        for ecg_index in range(settings.ecgs_per_patient):
            yield draw_ecg(settings, patient, ecg_index)


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
    return SyntheticPatient(index, age, is_female, heart_rate, seen, anatomy)


def draw_ecg(settings: CohortSettings, patient: SyntheticPatient, index: int) -> SyntheticEcg:
    """ECG number `index` of a patient: same heart, another day, another recording."""
    rng = _stream(settings.seed, patient.index, 1 + index)
    heart_rate = float(np.clip(patient.heart_rate + rng.normal(0.0, 5.0), 40.0, 130.0))
    r_times_s = rhythm(rng, heart_rate, WINDOW_S)
    vector = heart.dipole(
        patient.anatomy, r_times_s, breathing_gain(rng, r_times_s), WINDOW_SAMPLES
    )
    clean = heart.project(patient.anatomy, vector) * np.exp(rng.normal(0.0, 0.03, size=(8, 1)))
    noisy = clean + settings.noise_gain * artefacts(
        rng, len(clean), WINDOW_SAMPLES, settings.mains_hz
    )
    minutes = int(rng.integers(0, 60 * 24 * 365))
    first_day = datetime.combine(settings.first_day, datetime.min.time())
    acquired_at = first_day + timedelta(minutes=minutes, days=365 * index)
    return SyntheticEcg(patient, index, acquired_at, twelve_leads(noisy))


def twelve_leads(independent: Millivolts) -> NDArray[np.int16]:
    """Quantise and derive: (8, n) mV, rows as INDEPENDENT_LEADS, to (12, n) counts in LEADS order.

    Source: Einthoven's law and Goldberger's augmented leads, exact in counts.
    """
    steps = np.rint(independent * _UV5_PER_MV).astype(np.int64)
    lead_i, lead_ii = steps[0], steps[1]
    counts = np.empty((len(LEADS), independent.shape[1]), dtype=np.int64)
    counts[0], counts[1], counts[2] = 2 * lead_i, 2 * lead_ii, 2 * (lead_ii - lead_i)
    counts[3] = -(lead_i + lead_ii)
    counts[4] = 2 * lead_i - lead_ii
    counts[5] = 2 * lead_ii - lead_i
    counts[6:] = 2 * steps[2:]
    return counts.astype(np.int16)


def _stream(seed: int, patient_index: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(patient_index, stream)))


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
