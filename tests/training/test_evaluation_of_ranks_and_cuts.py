"""Sections of an evaluation: right numbers, honest gaps, figures that can be drawn."""

import dataclasses
from types import ModuleType

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from ecgbatch.terms import Stratum, Vessel
from tests.support.studies import CUTS, context, repeated, study, without
from training.evaluation import (
    at_cuts,
    decision,
    discrimination,
    grades,
    reclassification,
    repeatability,
    subgroups,
    sweep,
)
from training.evaluation.section import Findings
from training.records import Estimate
from training.settings.evaluation import EvaluationSettings
from training.terms import NO_GRADE, Quantity

SECTIONS = (
    discrimination,
    subgroups,
    at_cuts,
    sweep,
    decision,
    reclassification,
    grades,
    repeatability,
)


def measured(findings: Findings, **wanted: object) -> Estimate:
    """The only measure with these attributes."""
    found = [
        one
        for one in findings.measures
        if all(getattr(one, name) == value for name, value in wanted.items())
    ]
    assert len(found) == 1
    return found[0].estimate


def test_areas_per_vessel_and_their_mean_are_scikit_learns() -> None:
    one = study()
    found = discrimination.examine(context(one))
    for of_one, quantity in (
        (roc_auc_score, Quantity.AUROC),
        (average_precision_score, Quantity.AUPRC),
    ):
        expected = [of_one(one.labels[:, at], one.probabilities[:, at]) for at in range(4)]
        for vessel, value in zip(Vessel, expected, strict=True):
            assert measured(found, scope=vessel, quantity=quantity).value == pytest.approx(value)
        macro = measured(found, scope="macro", quantity=quantity)
        assert macro.value == pytest.approx(np.mean([expected[0], expected[2], expected[3]]))
        assert macro.low < macro.value < macro.high


def test_a_vessel_with_one_class_is_named_and_has_no_area() -> None:
    labels = study().labels.copy()
    labels[:, 2] = 0.0
    found = discrimination.examine(context(study(labels=labels)))
    assert any(note.startswith("LAD: not evaluated") for note in found.notes)
    assert not [m for m in found.measures if m.scope == Vessel.LAD and m.quantity == Quantity.AUROC]
    macro = measured(found, scope="macro", quantity=Quantity.AUROC)
    both = [measured(found, scope=v, quantity=Quantity.AUROC).value for v in ("RCA", "LCX")]
    assert macro.value == pytest.approx(np.mean(both))


def test_a_subgroup_is_what_its_ecgs_alone_give() -> None:
    one = study()
    found = subgroups.examine(context(one))
    rows = np.flatnonzero((one.covariates["sex"] == "female").fillna(value=False))
    expected = roc_auc_score(one.labels[rows, 0], one.probabilities[rows, 0])
    area = measured(found, scope=Vessel.RCA, group="sex: female", quantity=Quantity.AUROC)
    assert area.value == pytest.approx(expected)
    # The cuts are those of all ECGs.
    above = one.probabilities[rows, 0] >= CUTS[Vessel.RCA][0]
    held = measured(
        found, scope=Vessel.RCA, group="sex: female", quantity=Quantity.SENSITIVITY, cut="low"
    )
    assert held.value == pytest.approx(above[one.labels[rows, 0] == 1].mean())
    slope = measured(
        found, scope=Vessel.RCA, group="sex: female", quantity=Quantity.CALIBRATION_SLOPE
    )
    logit = np.log(one.probabilities[rows, 0] / (1 - one.probabilities[rows, 0]))
    fitted = LogisticRegression(C=np.inf, tol=1e-8).fit(logit[:, None], one.labels[rows, 0])
    assert slope.value == pytest.approx(fitted.coef_[0, 0], abs=1e-3)


def test_age_bands_include_their_lower_edge_and_hold_every_ecg_of_known_age() -> None:
    one = study(6)
    one.covariates["age_years"] = [49.9, 50.0, 64.9, 65.0, 75.0, np.nan]
    rows = {
        group.name: group.rows.tolist()
        for group in subgroups.groups(one, (50.0, 65.0, 75.0))
        if group.name.startswith("age")
    }
    assert rows == {
        "age: under 50": [0],
        "age: 50 to under 65": [1, 2],
        "age: 65 to under 75": [3],
        "age: 75 and over": [4],
    }


def test_small_and_unknown_subgroups_are_named_and_not_evaluated() -> None:
    one = without(study(), "device")
    one.covariates["site"] = ["tiny"] * 10 + ["large"] * 390
    found = subgroups.examine(context(one))
    assert "site: tiny: 10 ECGs, fewer than 30; not evaluated." in found.notes
    assert any(note.startswith("device: not known of any ECG") for note in found.notes)
    assert not [m for m in found.measures if m.group.startswith(("device", "site: tiny"))]


def test_strata_share_all_ecgs_and_hold_all_positives() -> None:
    one = study()
    found = at_cuts.examine(context(one, prevalence={"RCA": 0.05}))
    shares = [
        measured(found, scope=Vessel.RCA, stratum=s, quantity=Quantity.SHARE).value for s in Stratum
    ]
    assert sum(shares) == pytest.approx(1.0)
    low = one.probabilities[:, 0] < CUTS[Vessel.RCA][0]
    npv = measured(found, scope=Vessel.RCA, stratum=Stratum.LOW, quantity=Quantity.NPV)
    assert npv.value == pytest.approx(1 - one.labels[low, 0].mean())
    same = measured(found, scope=Vessel.RCA, cut="low", at=None, quantity=Quantity.NPV)
    assert (npv.value, npv.low, npv.high) == pytest.approx((same.value, same.low, same.high))
    stated = measured(found, scope=Vessel.RCA, cut="high", at=0.05, quantity=Quantity.PPV)
    assert (
        stated.value
        < measured(found, scope=Vessel.RCA, cut="high", at=None, quantity=Quantity.PPV).value
    )
    assert not [m for m in found.measures if m.scope == Vessel.LM]
    assert "LM (experimental)" in found.notes[0]


def test_the_sweep_and_the_curve_have_as_many_thresholds_as_published() -> None:
    published = EvaluationSettings().model_dump(
        include={"decision_points", "sweep_default", "sweep"}
    )
    one = context(study(100), n_resamples=3, **published)
    swept = sweep.examine(one).tables[0].frame
    assert set(swept.groupby("scope").size()) == {200}
    lm = swept[swept["scope"] == "LM"]["threshold"]
    assert (lm.min(), lm.max()) == pytest.approx((0.001, 0.10))
    assert set(decision.examine(one).tables[0].frame.groupby("scope").size()) == {300}


def test_the_sweep_at_a_cut_is_what_the_cut_gives() -> None:
    one = study()
    frame = sweep.swept_task(sweep.task_of(one, Vessel.RCA), np.array([0.08]))
    found = at_cuts.examine(context(one))
    for name, quantity in (("sensitivity", Quantity.SENSITIVITY), ("NPV", Quantity.NPV)):
        at_low = measured(found, scope=Vessel.RCA, cut="low", quantity=quantity)
        assert frame.loc[0, [name, f"{name}_low", f"{name}_high"]].tolist() == pytest.approx(
            [at_low.value, at_low.low, at_low.high]
        )


def test_repeatability_finds_the_spread_that_was_put_in() -> None:
    of = context(study(300))
    many = dataclasses.replace(of, repeats=repeated(of.study, times=3, spread=0.4))
    found = repeatability.examine(many)
    spread = measured(found, scope=Vessel.RCA, quantity=Quantity.REPEATABILITY_LOGIT)
    assert spread.low < 0.4 < spread.high
    same = measured(found, scope=Vessel.RCA, quantity=Quantity.SAME_STRATUM)
    assert 0.5 < same.value < 1.0


@pytest.mark.parametrize("section", SECTIONS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_a_section_without_what_it_needs_says_so_and_measures_nothing(section: ModuleType) -> None:
    bare = without(study(40), *study(2).covariates.columns)
    bare = dataclasses.replace(
        bare,
        labels=np.full((40, 4), np.nan, dtype=np.float32),
        grades=np.full((40, 4), NO_GRADE, dtype=np.int8),
    )
    found = section.examine(dataclasses.replace(context(bare), cuts={}))
    assert found.measures == ()
    assert found.pictures == ()
    assert found.notes


@pytest.mark.parametrize("section", SECTIONS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_every_figure_names_the_study_and_says_when_it_is_synthetic(section: ModuleType) -> None:
    # Every second section is told of synthetic ECGs.
    is_synthetic = SECTIONS.index(section) % 2 == 0
    of = context(study(120, is_synthetic=is_synthetic), n_resamples=5)
    of = dataclasses.replace(of, repeats=repeated(of.study))
    found = section.examine(of)
    assert found.pictures
    for picture in found.pictures:
        figure = picture.draw()
        title = figure.get_suptitle()
        assert "test study" in title
        assert ("synthetic" in title) is is_synthetic
        assert all(
            panel.get_xlabel() or panel.get_xticklabels()
            for panel in figure.axes
            if panel.get_visible()
        )
    for table in found.tables:
        assert "test study" in table.title
        assert len(table.frame)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_a_section_gives_the_same_numbers_twice_and_none_that_is_not_finite(
    section: ModuleType,
) -> None:
    of = context(study(150, seed=3), n_resamples=10, prevalence={"RCA": 0.1})
    of = dataclasses.replace(of, repeats=repeated(of.study))
    first, second = section.examine(of).measures, section.examine(of).measures
    assert [one.estimate for one in first] == [one.estimate for one in second]
    for one in first:
        assert np.isfinite([one.estimate.value, one.estimate.low, one.estimate.high]).all()
        assert one.estimate.low <= one.estimate.value <= one.estimate.high
