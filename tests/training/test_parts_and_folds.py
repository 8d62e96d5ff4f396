"""No patient is ever in two parts or folds, and every part is like the whole."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from ecgbatch.errors import SetupFault
from tests.support.cohorts import cohort_of, drawn_cohort
from tests.support.experiments import experiment
from training.records import Cohort
from training.settings.fit import FoldSettings, SelectionSettings, SplitSettings
from training.splits.assignment import Assignment, assign
from training.splits.counts import counts, counts_table, short_of_positives
from training.splits.folds import NO_FOLD, deal_folds
from training.splits.parts import deal_inner, deal_parts
from training.terms import Part

SPLIT = SplitSettings(cut_share=0.2, test_share=0.2)
SELECTION = SelectionSettings(inner_share=0.15)


LABELS = st.tuples(*[st.sampled_from([0.0, 1.0, float("nan")])] * 4)
ROWS = st.tuples(
    st.lists(LABELS, min_size=12, max_size=12),
    st.lists(st.tuples(st.integers(0, 20), st.booleans(), LABELS), max_size=40),
)
"""Labels of twelve patients with an index ECG each, and further ECGs of anyone."""
DrawnRows = tuple[list[tuple[float, ...]], list[tuple[int, bool, tuple[float, ...]]]]


def _cohort_of_drawn_rows(rows: DrawnRows) -> Cohort:
    first, others = rows
    every = [(patient, True, labels) for patient, labels in enumerate(first)] + others
    patients, is_index, labels = zip(*every, strict=True)
    return cohort_of(list(patients), np.array(labels), np.array(is_index))


def _groups_of_patients(cohort: Cohort, groups: np.ndarray) -> dict[str, set[object]]:
    found: dict[str, set[object]] = {}
    for patient, group in zip(cohort.patients, groups.tolist(), strict=True):
        found.setdefault(patient, set()).add(group)
    return found


@given(ROWS, st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_a_patient_is_never_in_two_parts_or_folds(rows: DrawnRows, seed: int) -> None:
    cohort = _cohort_of_drawn_rows(rows)
    parts = deal_parts(cohort, SPLIT.model_copy(update={"seed": seed}), SELECTION)
    assert set(parts) <= set(Part)
    assert all(len(group) == 1 for group in _groups_of_patients(cohort, parts).values())
    folds = deal_folds(cohort, FoldSettings(n=3, seed=seed))
    assert all(len(group) == 1 for group in _groups_of_patients(cohort, folds).values())
    assert set(folds[cohort.is_index]) <= {0, 1, 2}


@given(ROWS)
@settings(max_examples=10, deadline=None)
def test_a_fold_has_an_inner_split_of_whole_patients_outside_it(
    rows: DrawnRows,
) -> None:
    cohort = _cohort_of_drawn_rows(rows)
    folds = deal_folds(cohort, FoldSettings(n=3))
    training = np.flatnonzero((folds != 1) & (folds != NO_FOLD))
    inner = deal_inner(cohort, training, SELECTION, fold=1)
    assert set(inner) <= set(training)
    left = np.setdiff1d(training, inner)
    assert not {cohort.patients[row] for row in inner} & {cohort.patients[row] for row in left}


def test_parts_have_their_shares_and_the_rarest_task_is_spread_to_within_one_patient() -> None:
    cohort = drawn_cohort(400, prevalence=(0.3, 0.03, 0.4, 0.2), missing=0.05)
    parts = deal_parts(cohort, SPLIT, SELECTION)
    patients = np.array(cohort.patients)
    n_patients = {part: len(set(patients[parts == part])) for part in Part}
    assert n_patients == {Part.TRAIN: 204, Part.INNER: 36, Part.CUT: 80, Part.TEST: 80}
    has_lm = np.unique(patients[cohort.is_index & (cohort.labels[:, 1] == 1)])
    for part, share in ((Part.TEST, 0.2), (Part.CUT, 0.2), (Part.TRAIN, 0.51)):
        n_lm = len(np.intersect1d(has_lm, patients[parts == part]))
        assert abs(n_lm - share * len(has_lm)) < 1.6


def test_every_pattern_of_enough_patients_has_its_share_in_every_part() -> None:
    pattern = np.repeat([[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0]], 50, axis=0)
    cohort = cohort_of(list(range(200)), pattern)
    parts = deal_parts(cohort, SPLIT, SELECTION)
    for first in range(0, 200, 50):
        of_pattern = parts[first : first + 50]
        assert abs((of_pattern == Part.TEST).sum() - 10) <= 1
        assert abs((of_pattern == Part.CUT).sum() - 10) <= 2
        assert abs((of_pattern == Part.INNER).sum() - 4.5) <= 2


def test_how_the_checkpoint_is_chosen_moves_no_ecg_into_or_out_of_cut_and_test() -> None:
    cohort = drawn_cohort(100)
    one = deal_parts(cohort, SPLIT, SELECTION)
    other = deal_parts(cohort, SPLIT, SelectionSettings(inner_share=0.4, seed=7))
    last = deal_parts(cohort, SPLIT, SelectionSettings(kind="last"))
    for part in (Part.CUT, Part.TEST):
        assert np.array_equal(one == part, other == part)
        assert np.array_equal(one == part, last == part)
    assert not np.array_equal(one, other)
    assert Part.INNER not in set(last)


def test_the_same_seed_deals_alike_and_another_one_does_not() -> None:
    cohort = drawn_cohort(100)
    assert np.array_equal(
        deal_parts(cohort, SPLIT, SELECTION), deal_parts(cohort, SPLIT, SELECTION)
    )
    other = deal_parts(cohort, SPLIT.model_copy(update={"seed": 1}), SELECTION)
    assert not np.array_equal(deal_parts(cohort, SPLIT, SELECTION), other)


def test_folds_without_merging_or_missing_labels_are_the_published_ones() -> None:
    cohort = drawn_cohort(200, missing=0.0).index_only()
    strata = np.array(["".join(str(int(v)) for v in row) for row in cohort.labels])
    published = np.empty(len(cohort), dtype=int)
    dealer = StratifiedGroupKFold(5, shuffle=True, random_state=42)
    with pytest.warns(UserWarning, match="least populated"):
        dealt = list(dealer.split(strata, strata, cohort.patients))
    for fold, (_, held_out) in enumerate(dealt):
        published[held_out] = fold
    ours = deal_folds(cohort, FoldSettings(n=5, seed=42, fewest_of_pattern=1))
    assert np.array_equal(ours, published)


def test_every_index_ecg_has_a_fold_and_the_positives_are_spread() -> None:
    cohort = drawn_cohort(300, prevalence=(0.3, 0.05, 0.4, 0.2))
    folds = deal_folds(cohort, FoldSettings(n=5))
    assert (folds[cohort.is_index] >= 0).all()
    for task in range(4):
        positives = cohort.is_index & (cohort.labels[:, task] == 1)
        per_fold = np.bincount(folds[positives], minlength=5)
        assert per_fold.min() >= 0.4 * per_fold.mean()


def test_folds_over_the_development_part_leave_cut_and_test_alone() -> None:
    cohort = drawn_cohort(200)
    found = assign(cohort, experiment(folds={"n": 3, "over": "development"}))
    unseen = found.rows(Part.CUT, Part.TEST)
    assert (found.folds[unseen] == NO_FOLD).all()
    development = found.rows(Part.TRAIN, Part.INNER)
    assert (found.folds[development] != NO_FOLD).all()


def test_an_assignment_comes_back_from_its_file(tmp_path: Path) -> None:
    found = assign(drawn_cohort(200), experiment())
    found.save(tmp_path / "parts.parquet")
    again = Assignment.load(tmp_path / "parts.parquet")
    assert again.keys == found.keys
    assert np.array_equal(again.parts, found.parts)
    assert np.array_equal(again.folds, found.folds)
    assert (again.experimental, again.short) == (found.experimental, found.short)


def test_a_vessel_with_too_few_positives_to_learn_or_to_set_cuts_becomes_experimental() -> None:
    cohort = drawn_cohort(200, prevalence=(0.5, 0.02, 0.5, 0.5))
    found = assign(cohort, experiment(labels={"fewest_positives": 10, "experimental": ()}))
    assert found.short == ("LM",)
    assert found.experimental == ("LM",)


def test_only_positives_of_index_ecgs_in_train_and_cut_count() -> None:
    labels = np.zeros((6, 4))
    labels[:, 0] = 1
    labels[[0, 4], 2] = 1
    is_index = np.array([True, True, True, True, True, False])
    cohort = cohort_of([0, 1, 2, 3, 4, 5], labels, is_index)
    parts = np.array([Part.TRAIN, Part.TRAIN, Part.CUT, Part.CUT, Part.TEST, Part.CUT])
    assert short_of_positives(cohort, parts, 2) == ("LM", "LAD", "LCX")
    assert short_of_positives(cohort, parts, 3) == ("RCA", "LM", "LAD", "LCX")


def test_it_stops_only_where_no_vessel_is_left() -> None:
    with pytest.raises(SetupFault, match="no vessel is left"):
        assign(drawn_cohort(60), experiment(labels={"fewest_positives": 1000}))


def test_too_few_patients_for_parts_or_folds_are_refused() -> None:
    few = drawn_cohort(3)
    with pytest.raises(SetupFault, match="none for the part"):
        deal_parts(few, SPLIT, SELECTION)
    with pytest.raises(SetupFault, match=r"folds\.n"):
        deal_folds(few, FoldSettings(n=5))
    with pytest.raises(SetupFault, match="leave no train"):
        deal_parts(drawn_cohort(50), SplitSettings(cut_share=0.5, test_share=0.5), SELECTION)


def test_class_counts_of_all_parts_and_folds_add_up() -> None:
    cohort = drawn_cohort(100)
    found = assign(cohort, experiment())
    table = counts_table(counts(cohort, found.parts, found.folds))
    every = table[table.group == "all"].set_index("task")
    for kind in ("part", "fold"):
        summed = table[table.group.str.startswith(kind)].groupby("task").sum(numeric_only=True)
        columns = ["n_patients", "n_ecgs", "n_positives", "n_negatives", "n_missing"]
        assert summed.loc[list(every.index), columns].equals(every[columns])
    lad = cohort.labels[cohort.is_index, 2]
    assert every.loc["LAD", "n_positives"] == np.nansum(lad)
    assert every.loc["LAD", "n_missing"] == np.isnan(lad).sum()
