"""The synthetic cohort: electrical identities, seeds, and what disease does to which lead."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgbatch.resources import folder
from ecgbatch.terms import LEADS, Vessel
from training.settings.cohort import CohortSettings, load_cohort
from training.synthetic import heart
from training.synthetic.cohort import (
    COUNTS_PER_MV,
    GRADES,
    POSITIVE,
    SyntheticEcg,
    cohort,
    draw_ecg,
    draw_patient,
    twelve_leads,
)


@pytest.fixture(scope="module")
def demo() -> CohortSettings:
    return load_cohort(folder("config") / "train.demo.toml")


@pytest.fixture(scope="module")
def some(demo: CohortSettings) -> list[SyntheticEcg]:
    return list(cohort(demo.model_copy(update={"n_patients": 40})))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(-5, 5) for _ in heart.INDEPENDENT_LEADS]), min_size=1, max_size=5
    )
)
def test_limb_leads_obey_einthoven_and_goldberger_exactly_in_counts(
    columns: list[tuple[float, ...]],
) -> None:
    counts = twelve_leads(np.array(columns).T).astype(np.int64)
    one, two, three, avr, avl, avf = counts[:6]

    assert np.array_equal(one + three, two)
    assert np.array_equal(2 * avr, -(one + two))
    assert np.array_equal(2 * avl, 2 * one - two)
    assert np.array_equal(2 * avf, 2 * two - one)
    assert np.abs(counts[[0, 1, *range(6, 12)]] / COUNTS_PER_MV - np.array(columns).T).max() < 0.003


def test_every_ecg_is_a_plausible_ten_second_recording(some: list[SyntheticEcg]) -> None:
    for ecg in some:
        signal = ecg.signal
        assert signal.shape == (12, 5000)
        assert np.abs(signal).max() < 6.0
        assert (signal.std(axis=1) > 0.02).all()


def test_a_patient_is_the_same_alone_in_any_order_and_in_any_cohort(
    demo: CohortSettings, some: list[SyntheticEcg]
) -> None:
    larger = demo.model_copy(update={"n_patients": 100_000})
    first = {ecg.patient.index: ecg for ecg in some if ecg.index == 0}
    for index in (31, 7):
        alone = draw_ecg(larger, draw_patient(larger, index), 0)
        assert np.array_equal(alone.counts, first[index].counts)
        assert alone.patient.grades == first[index].patient.grades


def test_patients_and_seeds_differ(demo: CohortSettings, some: list[SyntheticEcg]) -> None:
    other_seed = demo.model_copy(update={"seed": demo.seed + 1})
    other = draw_ecg(other_seed, draw_patient(other_seed, 0), 0)

    assert not np.array_equal(some[0].counts, some[1].counts)
    assert not np.array_equal(some[0].counts, other.counts)


def test_two_ecgs_of_a_patient_share_heart_and_grades_but_not_samples(
    demo: CohortSettings,
) -> None:
    first, second = cohort(demo.model_copy(update={"n_patients": 1, "ecgs_per_patient": 2}))

    assert first.patient is second.patient
    assert first.acquired_at < second.acquired_at
    assert not np.array_equal(first.counts, second.counts)


def test_grades_come_in_the_shares_of_the_settings(demo: CohortSettings) -> None:
    drawn = [draw_patient(demo, index).grades for index in range(3000)]
    for column, vessel in enumerate(Vessel):
        known = [grades[column] for grades in drawn if grades[column] is not None]
        for grade, share in zip(GRADES, demo.grade_shares[vessel], strict=True):
            assert known.count(grade) / len(known) == pytest.approx(share, abs=0.035)
        assert 1 - len(known) / len(drawn) == pytest.approx(demo.not_assessable_share, abs=0.01)


def test_labels_mask_what_was_not_assessable(demo: CohortSettings) -> None:
    for index in range(200):
        patient = draw_patient(demo, index)
        for grade, label in zip(patient.grades, patient.labels, strict=True):
            assert np.isnan(label) if grade is None else label == float(grade in POSITIVE)


STRONGEST = {
    Vessel.RCA: {"II", "III", "aVF"},
    Vessel.LAD: {"V1", "V2", "V3", "V4"},
    Vessel.LCX: {"I", "aVL", "V5", "V6"},
}


@pytest.mark.parametrize("vessel", STRONGEST)
def test_a_lesion_lowers_the_leads_of_its_territory_most(vessel: Vessel) -> None:
    loss = lead_loss(vessel)
    inside = [loss[lead] for lead in STRONGEST[vessel]]
    outside = [loss[lead] for lead in LEADS if lead not in STRONGEST[vessel]]

    assert min(inside) > 0
    assert np.mean(inside) > np.mean(outside) + 0.3


def test_a_left_main_lesion_lowers_most_leads_and_raises_avr() -> None:
    loss = lead_loss(Vessel.LM)

    assert loss["aVR"] < -0.3
    assert sum(lost > 0 for lost in loss.values()) >= 8


def lead_loss(vessel: Vessel) -> dict[str, float]:
    """mV lost per lead when 1 mV is lost along the vessel's direction."""
    direction: NDArray[np.float64] = heart.DOWER @ np.array(heart.DIRECTION[vessel])
    counts = twelve_leads(direction[:, np.newaxis])[:, 0]
    return dict(zip(LEADS, counts / COUNTS_PER_MV, strict=True))


def test_directions_are_unit_vectors() -> None:
    for direction in heart.DIRECTION.values():
        assert np.linalg.norm(direction) == pytest.approx(1.0, abs=0.03)
