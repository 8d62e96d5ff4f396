"""A synthetic patient's dates: CCTA, ECGs, revascularisation, infarction, death."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from training.settings.cohort import CohortSettings, OutcomeSettings, PretestSettings, VisitSettings
from training.terms import GRADES, Grade

DAYS_PER_YEAR = 365.25
BURDEN = (0.0, 0.1, 0.3, 1.0, 1.3)
"""What a vessel adds to the burden, by grade: a severe one counts 1."""
_POSITIVE_FROM = GRADES.index(Grade.SEVERE)
_SOONEST_DAYS = 1.0 / 24.0
_LONGEST_EARLIER_DAYS = 700.0


@dataclass(frozen=True, slots=True)
class Course:
    """What happens to a patient; None: it did not happen before the end of follow-up.

    Attributes:
        ecg_at: ascending; at least one before the CCTA, none after the end of follow-up.
        event_at: new myocardial infarction after the CCTA; one after death is never seen.
        followed_until: death, or the end of observation.
    """

    ccta_at: datetime
    ecg_at: tuple[datetime, ...]
    revascularised_at: datetime | None
    event_at: datetime | None
    death_at: datetime | None
    followed_until: datetime
    pretest_probability: float


def burden(grades: tuple[Grade, ...]) -> float:
    """How many vessels are severely narrowed; lesser grades count in part."""
    return sum(BURDEN[GRADES.index(grade)] for grade in grades)


def draw_course(
    settings: CohortSettings,
    rng: np.random.Generator,
    age_years: float,
    is_female: bool,
    grades: tuple[Grade, ...],
) -> Course:
    """Draw a patient's dates from the true grades, also those that are not assessable.

    Infarction and death have constant hazards of their own, which depend on burden and age alone;
    whichever comes later than death, or than the end of observation, is not seen. Revascularisation
    changes neither.

    Args:
        rng: of this patient's course alone.
    """
    carried = burden(grades)
    decades = (age_years - 60.0) / 10.0
    ccta_at = _ccta_at(settings, rng)
    end, infarction, death = _outcome_days(settings.outcome, rng, carried, decades)
    followed = min(end, death)
    has_lesion = any(GRADES.index(grade) >= _POSITIVE_FROM for grade in grades)
    revascularised = _revascularised_days(settings.outcome, rng, has_lesion)
    pretest = _pretest(settings.pretest, rng, carried, decades, is_female)
    ecg_days = _ecg_days(settings, rng, followed)

    def seen(days: float) -> datetime | None:
        return _later(ccta_at, days) if days <= followed else None

    return Course(
        ccta_at=ccta_at,
        ecg_at=tuple(_later(ccta_at, days) for days in ecg_days),
        revascularised_at=seen(revascularised),
        event_at=seen(infarction),
        death_at=seen(death),
        followed_until=_later(ccta_at, followed),
        pretest_probability=pretest,
    )


def _later(ccta_at: datetime, days: float) -> datetime:
    return ccta_at + timedelta(seconds=round(days * 86400.0))


def _ccta_at(settings: CohortSettings, rng: np.random.Generator) -> datetime:
    """On any day of the enrolment, between 8 and 17 o'clock."""
    day = int(rng.uniform(0.0, settings.visits.enrolment_days))
    minute = int(rng.integers(8 * 60, 17 * 60))
    start = datetime.combine(settings.first_day, datetime.min.time())
    return start + timedelta(days=day, minutes=minute)


def _outcome_days(
    outcome: OutcomeSettings, rng: np.random.Generator, carried: float, decades: float
) -> tuple[float, float, float]:
    """Days from the CCTA to the end of observation, to infarction, to death."""
    end = float(rng.uniform(outcome.fewest_days, outcome.most_days))
    infarctions = outcome.infarctions_per_year * np.exp(
        outcome.infarction_by_burden * carried + outcome.infarction_by_decade * decades
    )
    deaths = outcome.deaths_per_year * np.exp(
        outcome.death_by_burden * carried + outcome.death_by_decade * decades
    )
    waits = rng.standard_exponential(2)
    infarction, death = (
        float(wait / hazard) * DAYS_PER_YEAR if hazard > 0 else np.inf
        for wait, hazard in zip(waits, (infarctions, deaths), strict=True)
    )
    return end, infarction, death


def _revascularised_days(
    outcome: OutcomeSettings, rng: np.random.Generator, has_lesion: bool
) -> float:
    """Days from the CCTA, negative before it, infinite for never."""
    earlier, treated = rng.random(2)
    before = -float(rng.uniform(1.0, _LONGEST_EARLIER_DAYS))
    after = float(rng.exponential(outcome.revascularised_days))
    if earlier < outcome.earlier_share:
        return before
    return after if has_lesion and treated < outcome.revascularised_share else np.inf


def _pretest(
    pretest: PretestSettings,
    rng: np.random.Generator,
    carried: float,
    decades: float,
    is_female: bool,
) -> float:
    log_odds = (
        pretest.at_sixty
        + pretest.by_decade * decades
        + (0.0 if is_female else pretest.male)
        + pretest.by_burden * carried
        + pretest.noise_sd * rng.standard_normal()
    )
    return float(1.0 / (1.0 + np.exp(-log_odds)))


def _ecg_days(
    settings: CohortSettings, rng: np.random.Generator, followed: float
) -> tuple[float, ...]:
    """Days from the CCTA, ascending; the one that is drawn first lies before it."""
    n_ecgs = _n_ecgs(settings, rng)
    visits = settings.visits
    days = []
    for number in range(n_ecgs):
        is_after = rng.random() >= visits.before_share and number > 0
        before, after = _days_before(visits, rng), float(rng.uniform(0.0, followed))
        days.append(after if is_after else -before)
    return tuple(sorted(days))


def _days_before(visits: VisitSettings, rng: np.random.Generator) -> float:
    mean = visits.far_gap_days if rng.random() < visits.far_share else visits.usual_gap_days
    return _SOONEST_DAYS + float(rng.exponential(mean))


def _n_ecgs(settings: CohortSettings, rng: np.random.Generator) -> int:
    n_ecgs, most = settings.ecgs_per_patient, settings.most_ecgs_per_patient
    while most is not None and n_ecgs < most and rng.random() < settings.another_ecg_share:
        n_ecgs += 1
    return n_ecgs
