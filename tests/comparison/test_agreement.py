"""Intervals and kappa against statsmodels and scikit-learn."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint

from ecgbatch.comparison.agreement import (
    effective_number,
    kappa,
    mean_interval,
    share_interval,
    wilson,
)


@pytest.mark.parametrize(("same", "n"), [(0, 1), (1, 1), (3, 7), (50, 50), (997, 1000)])
def test_wilson_is_that_of_statsmodels(same: int, n: int) -> None:
    assert wilson(same / n, n) == pytest.approx(proportion_confint(same, n, method="wilson"))


def test_one_ecg_per_patient_counts_in_full() -> None:
    is_same = np.array([True] * 30 + [False] * 10)

    found = share_interval(is_same, np.arange(40))

    assert found == pytest.approx(proportion_confint(30, 40, method="wilson"))


def test_ecgs_that_repeat_their_patient_s_count_once() -> None:
    is_same = np.repeat([True, True, True, False, True], 8)
    patients = np.repeat(np.arange(5), 8)

    # 4 / 39: the unbiased variances of the means of 5 patients and of 40 ECGs differ by so much.
    n_told = 40 * 4 / 39
    assert effective_number(is_same.astype(float), patients) == pytest.approx(n_told)
    of_patients = proportion_confint(0.8 * n_told, n_told, method="wilson")
    assert share_interval(is_same, patients) == pytest.approx(of_patients)


def test_all_alike_is_as_sure_as_there_are_patients() -> None:
    found = share_interval(np.ones(40, bool), np.repeat(np.arange(4), 10))

    assert found == pytest.approx(proportion_confint(4, 4, method="wilson"))


def test_mean_interval_is_the_cluster_robust_one_of_statsmodels() -> None:
    rng = np.random.default_rng(20261127)
    patients = rng.integers(0, 12, 60)
    shift = rng.normal(0.02, 0.05, 60) + rng.normal(0, 0.05, 12)[patients]

    fitted = sm.OLS(shift, np.ones(60)).fit(
        cov_type="cluster", cov_kwds={"groups": patients, "df_correction": True}, use_t=True
    )

    assert mean_interval(shift, patients) == pytest.approx(tuple(fitted.conf_int()[0]))


def test_one_patient_gives_no_interval_of_a_mean() -> None:
    assert mean_interval(np.array([0.1, 0.2]), np.zeros(2, np.int64)) is None
    assert share_interval(np.zeros(0, bool), np.zeros(0, np.int64)) is None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=60))
def test_kappa_is_that_of_scikit_learn(moves: list[tuple[int, int]]) -> None:
    counts = np.zeros((3, 3), np.int64)
    for before, after in moves:
        counts[before, after] += 1
    if len({stratum for move in moves for stratum in move}) == 1:
        assert kappa(counts) is None
        return

    expected = cohen_kappa_score(*zip(*moves, strict=True), labels=[0, 1, 2])

    assert kappa(counts) == pytest.approx(expected)


def test_kappa_of_nothing_is_none() -> None:
    assert kappa(np.zeros((3, 3), np.int64)) is None


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40),
)
def test_patients_never_make_more_of_the_ecgs_than_there_are(
    ecgs: list[tuple[bool, int]],
) -> None:
    is_same = np.array([same for same, _ in ecgs])
    patients = np.array([patient for _, patient in ecgs])

    low, high = share_interval(is_same, patients) or (1.0, 0.0)

    assert 0 < effective_number(is_same.astype(float), patients) <= len(ecgs) + 1e-9
    assert -1e-12 <= low <= is_same.mean() + 1e-12
    assert is_same.mean() - 1e-12 <= high <= 1 + 1e-12
