"""Cumulative incidence against lifelines and by hand, and time under observation from dates."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lifelines import AalenJohansenFitter, KaplanMeierFitter

from ecgbatch.terms import Vessel
from training.evaluation.competing import Curve, Ending, cumulative_incidence
from training.evaluation.follow_up import follow_up
from training.records import COVARIATES, Study
from training.settings.evaluation import IncidenceSettings
from training.terms import NO_GRADE

_DAYS = (30.0, 100.0, 300.0, 500.0)


def _drawn(seed: int, n: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Whole days for events, quarter days for deaths: lifelines cannot take a tie of the two."""
    rng = np.random.default_rng(seed)
    event, left = np.ceil(rng.exponential(300.0, n)), np.ceil(rng.uniform(50.0, 700.0, n))
    endings = np.where(event <= left, np.where(rng.random(n) < 0.6, 1, 2), 0).astype(np.int8)
    return np.minimum(event, left) + np.where(endings == Ending.DEATH, 0.25, 0.0), endings


@pytest.mark.parametrize("seed", [1, 2])
def test_with_competing_death_it_is_what_lifelines_estimates(seed: int) -> None:
    days, endings = _drawn(seed)
    ours = cumulative_incidence(days, endings, death_competes=True)
    peer = AalenJohansenFitter().fit(days, endings, event_of_interest=1)
    for day in _DAYS:
        found = ours.at(day)
        assert found is not None
        place = peer.confidence_interval_.index.searchsorted(day, side="right") - 1
        assert found.value == pytest.approx(peer.cumulative_density_.iloc[place, 0])
        assert [found.low, found.high] == pytest.approx(list(peer.confidence_interval_.iloc[place]))


@pytest.mark.parametrize("seed", [1, 2])
def test_without_death_it_is_one_minus_kaplan_meier(seed: int) -> None:
    days, endings = _drawn(seed)
    ours = cumulative_incidence(days, endings, death_competes=False)
    peer = KaplanMeierFitter().fit(days, endings == Ending.EVENT)
    for day in _DAYS:
        found = ours.at(day)
        assert found is not None
        place = peer.confidence_interval_.index.searchsorted(day, side="right") - 1
        low, high = sorted(1.0 - peer.confidence_interval_.iloc[place])
        assert found.value == pytest.approx(1.0 - peer.predict(day))
        assert (found.low, found.high) == pytest.approx((low, high))


def test_an_event_and_a_death_of_one_day_share_the_number_at_risk() -> None:
    """Five patients. Day 10: one event, one death of 5 at risk. Day 20: one event of 3.

    By hand: 1/5, then 1/5 + (1 - 2/5) x 1/3 = 0.4.
    """
    days = np.array([10.0, 10.0, 20.0, 30.0, 30.0])
    endings = np.array([1, 2, 1, 0, 0], dtype=np.int8)
    curve = cumulative_incidence(days, endings, death_competes=True)
    assert _value(curve, 9) == 0.0
    assert _value(curve, 10) == pytest.approx(0.2)
    assert _value(curve, 25) == pytest.approx(0.4)
    assert curve.at(31) is None
    assert [curve.n_at_risk(day) for day in (10, 11, 30)] == [5, 3, 2]
    assert [curve.n_events(day) for day in (9, 10, 20)] == [0, 1, 2]


def test_the_order_of_tied_patients_does_not_matter() -> None:
    days, endings = np.round(_drawn(3)[0] / 30.0) * 30.0, _drawn(3)[1]
    order = np.random.default_rng(0).permutation(len(days))
    first = cumulative_incidence(days, endings, death_competes=True)
    second = cumulative_incidence(days[order], endings[order], death_competes=True)
    np.testing.assert_array_equal(first.incidence, second.incidence)
    np.testing.assert_array_equal(first.high, second.high)


@given(
    st.lists(st.tuples(st.integers(1, 20), st.sampled_from([0, 1, 2])), min_size=1, max_size=40),
    st.booleans(),
)
@example([(1, 0), (1, 1), (2, 0), (2, 1), (2, 1), (2, 1), (3, 1)], False)  # sums to 1 + 2e-16
@settings(deadline=None, max_examples=50)
def test_a_curve_rises_within_its_limits(rows: list[tuple[int, int]], competes: bool) -> None:
    days = np.array([float(day) for day, _ in rows])
    endings = np.array([ending for _, ending in rows], dtype=np.int8)
    curve = cumulative_incidence(days, endings, death_competes=competes)
    assert (np.diff(curve.incidence) >= -1e-12).all()
    assert (curve.low <= curve.incidence + 1e-12).all()
    assert (curve.high >= curve.incidence - 1e-12).all()
    assert ((curve.low >= 0.0) & (curve.high <= 1.0)).all()


def test_before_the_first_event_the_upper_limit_is_the_exact_one() -> None:
    curve = cumulative_incidence(np.full(29, 100.0), np.zeros(29, np.int8), death_competes=True)
    found = curve.at(50)
    assert found is not None
    # Clopper and Pearson, 0 of 29: 11.94 %.
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(0.1194, abs=1e-4)


def test_dates_become_calendar_days_from_the_landmark_and_faults_are_listed() -> None:
    study = _study(
        [
            ("a", "2024-01-01 23:00", "2024-03-01", None, "2024-06-01"),
            ("a", "2024-02-01", None, None, "2024-06-01"),  # later ECG of a: not used
            ("b", "2024-01-01", "2024-01-20", None, "2024-06-01"),  # blanked, followed on
            ("c", "2024-01-02", "2024-01-01", None, "2024-06-01"),  # fault
            ("d", "2024-01-01", None, "2024-01-15", "2024-06-01"),  # died by the landmark
            ("e", "2024-01-01", None, "2024-04-01", None),
            ("f", "2024-01-01", None, None, "2030-01-01"),  # censored at 700 days
            ("g", "2024-01-01", None, None, None),  # no end
            ("h", None, None, None, "2024-06-01"),
            ("i", "2024-01-01", "2024-05-01", None, "2024-04-01"),  # event out of sight
            ("j", "2024-01-01", "2024-05-01", None, None),  # no end: an event alone is none
        ]
    )
    found = follow_up(study, IncidenceSettings())
    by_patient = {study.patients[row]: place for place, row in enumerate(found.rows)}
    assert set(by_patient) == {"a", "b", "e", "f", "i"}
    endings = {name: int(found.endings[place]) for name, place in by_patient.items()}
    days = {name: float(found.days[place]) for name, place in by_patient.items()}
    assert endings == {"a": 1, "b": 0, "e": 2, "f": 0, "i": 0}
    assert days == {"a": 60.0, "b": 152.0, "e": 91.0, "f": 700.0, "i": 91.0}
    assert (found.n_blanked, found.n_unobserved) == (1, 1)
    assert list(found.left_out.values()) == [1, 1, 2, 1]
    assert found.faults.to_dict("records") == [
        {"ECG": study.keys[3][:12], "fault": "event before the ECG", "days after the ECG": -1.0}
    ]


def _value(curve: Curve, day: float) -> float:
    found = curve.at(day)
    assert found is not None
    return found.value


def _study(rows: list[tuple[str, str | None, str | None, str | None, str | None]]) -> Study:
    n = len(rows)
    dates = {
        name: pd.to_datetime([row[place] for row in rows], format="mixed").astype("datetime64[s]")
        for place, name in enumerate(("ecg_at", "event_at", "death_at", "followed_until"), start=1)
    }
    covariates = pd.DataFrame({name: pd.Series([None] * n) for name in COVARIATES})
    covariates = covariates.assign(**dates).astype(COVARIATES)
    return Study(
        name="by hand",
        keys=tuple(f"{place:064d}" for place in range(n)),
        patients=tuple(row[0] for row in rows),
        probabilities=np.full((n, 4), 0.5),
        labels=np.full((n, 4), np.nan),
        grades=np.full((n, 4), NO_GRADE, dtype=np.int8),
        covariates=covariates,
        experimental=(Vessel.LM,),
        is_synthetic=True,
    )
