"""What happens to synthetic patients: the index rule has cases, disease costs, death competes."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from lifelines.statistics import logrank_test
from scipy import stats
from sklearn.metrics import roc_auc_score

from ecgbatch.resources import folder
from ecgbatch.terms import LEADS, Vessel
from training.settings.cohort import CohortSettings, EffectSettings, OutcomeSettings, load_cohort
from training.synthetic import heart
from training.synthetic.cohort import (
    POSITIVE,
    SyntheticPatient,
    cohort,
    draw_ecg,
    draw_patient,
)
from training.synthetic.course import Course, burden, draw_course
from training.synthetic.device import devices, recorded
from training.synthetic.limits import limits
from training.terms import Grade

DAY = timedelta(days=1)
N = 1000


@pytest.fixture(scope="module")
def settings() -> CohortSettings:
    demo = load_cohort(folder("config") / "train.demo.toml")
    several = {"ecgs_per_patient": 1, "most_ecgs_per_patient": 5, "another_ecg_share": 0.6}
    return demo.model_copy(update={**several, "devices": ()})


@pytest.fixture(scope="module")
def patients(settings: CohortSettings) -> list[SyntheticPatient]:
    return [draw_patient(settings, index) for index in range(N)]


def burdens(patients: list[SyntheticPatient]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([burden(patient.true_grades) for patient in patients])


def test_burden_counts_severe_vessels_and_lesser_grades_in_part() -> None:
    none, severe = (Grade.NONE,) * 4, (Grade.SEVERE,) * 4
    assert burden(none) == 0.0
    assert burden(severe) == 4.0
    assert burden((Grade.MILD, Grade.MODERATE, Grade.NONE, Grade.OCCLUDED)) == pytest.approx(1.7)


def with_outcome(settings: CohortSettings, outcome: OutcomeSettings) -> list[Course]:
    """2,000 courses of 60-year-olds with one severe vessel; equal waits for every outcome."""
    changed = settings.model_copy(update={"outcome": outcome})
    grades = (Grade.SEVERE, Grade.NONE, Grade.NONE, Grade.NONE)
    return [
        draw_course(changed, np.random.default_rng(number), 60.0, True, grades)
        for number in range(2000)
    ]


def test_infarction_comes_sooner_the_more_vessels_are_narrowed(
    patients: list[SyntheticPatient],
) -> None:
    course = [patient.course for patient in patients]
    ends = [one.event_at or one.followed_until for one in course]
    days = np.array([(end - one.ccta_at) / DAY for end, one in zip(ends, course, strict=True)])
    happened = np.array([one.event_at is not None for one in course])
    heavy = burdens(patients) >= 1.5
    found = logrank_test(days[heavy], days[~heavy], happened[heavy], happened[~heavy])

    assert happened[heavy].mean() > 2 * happened[~heavy].mean()
    assert found.p_value < 1e-6


def test_death_comes_sooner_in_the_old_and_the_sick(patients: list[SyntheticPatient]) -> None:
    died = np.array([patient.course.death_at is not None for patient in patients])
    ages = np.array([patient.age_years for patient in patients])

    for value in (ages, burdens(patients)):
        assert stats.mannwhitneyu(value[died], value[~died], alternative="greater").pvalue < 1e-4


def test_hazards_without_burden_and_age_are_those_of_the_settings(
    settings: CohortSettings,
) -> None:
    plain = OutcomeSettings(
        infarctions_per_year=0.5,
        infarction_by_burden=0.0,
        infarction_by_decade=0.0,
        deaths_per_year=0.25,
        death_by_burden=0.0,
        death_by_decade=0.0,
    )
    course = with_outcome(settings, plain)
    until_event = sum(((one.event_at or one.followed_until) - one.ccta_at) / DAY for one in course)
    until_death = sum((one.followed_until - one.ccta_at) / DAY for one in course)
    n_events = sum(one.event_at is not None for one in course)
    n_deaths = sum(one.death_at is not None for one in course)

    # Events per person-year: within four standard errors of a Poisson count.
    assert n_events / until_event * 365.25 == pytest.approx(0.5, rel=4 / np.sqrt(n_events))
    assert n_deaths / until_death * 365.25 == pytest.approx(0.25, rel=4 / np.sqrt(n_deaths))


def test_death_competes(settings: CohortSettings) -> None:
    """Equal infarctions are drawn, fewer are seen: what comes after death never is."""
    usual = settings.outcome.model_copy(update={"infarctions_per_year": 0.3})
    deadly = usual.model_copy(update={"deaths_per_year": 2.0})
    seen, unseen = (
        [one.event_at is not None for one in with_outcome(settings, outcome)]
        for outcome in (usual, deadly)
    )

    assert sum(unseen) < 0.7 * sum(seen)
    assert not any(late and not early for late, early in zip(unseen, seen, strict=True))


def test_nothing_is_seen_after_the_end_of_follow_up(patients: list[SyntheticPatient]) -> None:
    for patient in patients:
        one = patient.course
        assert list(one.ecg_at) == sorted(one.ecg_at)
        assert one.ecg_at[0] < one.ccta_at
        assert one.ecg_at[-1] <= one.followed_until
        for at in (one.event_at, one.revascularised_at, one.death_at):
            assert at is None or at <= one.followed_until
        assert one.death_at in {None, one.followed_until}
        assert one.event_at is None or one.event_at > one.ccta_at


def test_the_index_rule_has_cases(patients: list[SyntheticPatient]) -> None:
    """Several before the CCTA, one too far from it, one after it, one after revascularisation."""
    several = far = later = treated = 0
    for patient in patients:
        one = patient.course
        before = [at for at in one.ecg_at if at < one.ccta_at]
        several += len(before) > 1
        far += one.ccta_at - before[-1] > timedelta(days=30)
        later += one.ecg_at[-1] > one.ccta_at
        revascularised = one.revascularised_at
        treated += revascularised is not None and before[-1] >= revascularised
    assert min(several, later) > N / 5
    assert far > N / 50
    assert treated > N / 100


def test_the_number_of_ecgs_differs_and_keeps_its_bounds(
    patients: list[SyntheticPatient],
) -> None:
    counts = [len(patient.course.ecg_at) for patient in patients]
    assert set(counts) == {1, 2, 3, 4, 5}
    assert counts.count(1) / N == pytest.approx(0.4, abs=0.05)


def test_pretest_probability_ranks_disease_but_not_well(
    patients: list[SyntheticPatient],
) -> None:
    is_positive = [any(grade in POSITIVE for grade in one.true_grades) for one in patients]
    given = [patient.course.pretest_probability for patient in patients]
    assert 0.60 < roc_auc_score(is_positive, given) < 0.80


def test_a_normal_statement_is_rarer_where_disease_shows(settings: CohortSettings) -> None:
    one_each = {"n_patients": 150, "most_ecgs_per_patient": None}
    some = list(cohort(settings.model_copy(update=one_each)))
    said = [ecg for ecg in some if ecg.statement_normal is not None]
    sick = [any(grade in POSITIVE for grade in ecg.patient.true_grades) for ecg in said]
    normal = [bool(ecg.statement_normal) for ecg in said]
    table = [
        [sum(s and n for s, n in zip(sick, normal, strict=True)), sum(sick)],
        [sum(n and not s for s, n in zip(sick, normal, strict=True)), len(sick) - sum(sick)],
    ]

    assert 0.0 < 1 - len(said) / len(some) < 0.12
    assert 0.2 < table[0][0] / table[0][1] < table[1][0] / table[1][1] < 0.95


def with_effect(settings: CohortSettings, **changed: object) -> CohortSettings:
    effect = EffectSettings.model_validate({**settings.effect.model_dump(), **changed})
    quiet = {"noise_gain": 0.0, "most_ecgs_per_patient": None, "effect": effect}
    return settings.model_copy(update=quiet)


def mean_change(settings: CohortSettings, vessel: Vessel) -> dict[str, float]:
    """mV by which occlusion of one vessel moves each lead 0.24 s after R, over 30 patients."""
    shares = {
        sick: {
            one: (0, 0, 0, 0, 1) if one is vessel and sick else (1, 0, 0, 0, 0) for one in Vessel
        }
        for sick in (False, True)
    }
    mean = {}
    for sick, by_vessel in shares.items():
        changed = settings.model_copy(update={"grade_shares": by_vessel})
        found = []
        for index in range(30):
            ecg = draw_ecg(changed, draw_patient(changed, index), 0)
            inside = ecg.r_times_s[(ecg.r_times_s > 0.4) & (ecg.r_times_s < 9.0)]
            at = np.rint((inside + 0.24) * 500).astype(int)
            before = np.rint((inside - 0.08) * 500).astype(int)
            found.append((ecg.signal[:, at] - ecg.signal[:, before]).mean(axis=1))
        mean[sick] = np.mean(found, axis=0)
    return dict(zip(LEADS, mean[True] - mean[False], strict=True))


def test_an_occlusion_lowers_the_t_wave_of_its_territory(settings: CohortSettings) -> None:
    quiet = with_effect(settings)
    inferior = mean_change(quiet, Vessel.RCA)
    anterior = mean_change(quiet, Vessel.LAD)

    assert max(inferior[lead] for lead in ("II", "III", "aVF")) < -0.03
    assert abs(inferior["V2"]) < 0.02
    assert max(anterior[lead] for lead in ("V1", "V2", "V3")) < -0.03
    assert abs(anterior["aVF"]) < 0.02


def test_two_vessels_can_be_set_to_pull_in_opposite_directions(settings: CohortSettings) -> None:
    towards, away = (0.0, 2.0, 0.0), (0.0, -2.0, 0.0)
    set_against = with_effect(settings, direction={Vessel.RCA: towards, Vessel.LCX: away})
    rca, lcx = (mean_change(set_against, vessel) for vessel in (Vessel.RCA, Vessel.LCX))

    for lead in ("II", "III", "aVF"):
        assert rca[lead] < -0.03
        assert lcx[lead] > 0.03


def test_a_direction_of_no_length_is_refused(settings: CohortSettings) -> None:
    with pytest.raises(ValueError, match="direction"):
        with_effect(settings, direction={Vessel.RCA: (0.0, 0.0, 0.0)})


def test_revascularisation_eases_st_segment_and_t_wave(settings: CohortSettings) -> None:
    always = settings.outcome.model_copy(update={"earlier_share": 1.0, "relief": 1.0})
    none_known = settings.effect.model_copy(update={"nonspecific_q_mv": 0.0, "q_mv": 0.0})
    settings = settings.model_copy(update={"outcome": always, "effect": none_known})
    patient = next(
        one
        for one in (draw_patient(settings, index) for index in range(50))
        if one.course.revascularised_at is not None
        and one.course.revascularised_at <= one.course.ecg_at[0]
    )
    healthy = heart.Injury(np.zeros(3), np.zeros(3), np.zeros(3))
    before = replace(patient, anatomy=replace(patient.anatomy, injury=healthy))
    eased, never = draw_ecg(settings, patient, 0), draw_ecg(settings, before, 0)
    assert np.array_equal(eased.counts, never.counts)
    half = always.model_copy(update={"relief": 0.5})
    partly = draw_ecg(settings.model_copy(update={"outcome": half}), patient, 0)
    assert not np.array_equal(partly.counts, never.counts)


def test_a_device_has_its_gain_and_its_filters(settings: CohortSettings) -> None:
    time_s = np.arange(5000) / 500.0
    (plain,) = devices(settings)
    slow, fast = (np.sin(2 * np.pi * hz * time_s)[np.newaxis] for hz in (5.0, 120.0))
    narrow = plain.model_copy(update={"gain": 1.05, "low_pass_hz": 40.0, "high_pass_hz": 0.05})

    assert np.array_equal(recorded(plain, slow), slow)
    assert np.abs(recorded(narrow, slow)[0, 1000:]).max() == pytest.approx(1.05, rel=0.02)
    assert np.abs(recorded(narrow, fast)[0, 1000:]).max() < 0.02
    level = recorded(narrow, np.full((1, 5000), 0.7))
    assert np.abs(level).max() < 1e-9


def test_what_is_not_realistic_is_said_in_the_documentation() -> None:
    page = folder("config").parent / "docs" / "training" / "synthetic.md"
    assert limits() in page.read_text(encoding="utf-8")
