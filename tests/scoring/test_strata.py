"""Strata: finite first, then the cuts; experimental tasks stay out of any vessel."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbatch.bundle.calibration import sigmoid
from ecgbatch.bundle.manifest import Manifest
from ecgbatch.bundle.operating_points import AnyVessel, Platt
from ecgbatch.errors import InputFault, SetupFault
from ecgbatch.records import Assessment, Risk
from ecgbatch.strata import stratify
from ecgbatch.terms import Numerics, ReasonCode, Stratum, Vessel
from tests.support.bundles import cuts, small_manifest, task

MANIFEST = small_manifest()
UNCUT_LM = small_manifest(
    tasks=tuple(
        task(vessel, cuts=None, cuts_absent_reason="too few positives")
        if vessel is Vessel.LM
        else task(vessel)
        for vessel in Vessel
    )
)
PROBABILITIES = st.tuples(*[st.floats(0.001, 0.999)] * 4)


def _risk(vessel: Vessel, probability: float) -> Risk:
    return Risk(vessel, math.log(probability / (1 - probability)), probability, probability)


def _stratify(probabilities: tuple[float, ...], manifest: Manifest = MANIFEST) -> Assessment:
    risks = [_risk(vessel, p) for vessel, p in zip(Vessel, probabilities, strict=True)]
    return stratify(risks, manifest, Numerics.FP32)


@pytest.mark.parametrize(
    ("probability", "stratum"),
    [
        (0.01, Stratum.LOW),
        (math.nextafter(0.2, 0), Stratum.LOW),
        (0.2, Stratum.INTERMEDIATE),
        (math.nextafter(0.6, 0), Stratum.INTERMEDIATE),
        (0.6, Stratum.HIGH),
        (0.99, Stratum.HIGH),
    ],
)
def test_low_is_below_and_high_is_at_or_above(probability: float, stratum: Stratum) -> None:
    assessment = _stratify((0.01, 0.01, probability, 0.01))
    assert assessment.tasks[2].stratum is stratum


@settings(max_examples=100, deadline=None)
@given(probabilities=PROBABILITIES)
def test_any_vessel_is_the_maximum_without_lm_under_its_own_cuts(
    probabilities: tuple[float, float, float, float],
) -> None:
    assessment = _stratify(probabilities)
    highest = max(probabilities[0], probabilities[2], probabilities[3])
    assert assessment.any_vessel_risk == highest
    expected = (
        Stratum.LOW if highest < 0.25 else Stratum.HIGH if highest >= 0.65 else Stratum.INTERMEDIATE
    )
    assert assessment.any_vessel_stratum is expected
    assert [one.is_experimental for one in assessment.tasks] == [False, True, False, False]
    assert assessment == _stratify(probabilities)


@settings(max_examples=50, deadline=None)
@given(first=PROBABILITIES, raised=st.floats(0.0, 0.9))
def test_a_higher_risk_never_gives_a_lower_stratum(
    first: tuple[float, float, float, float], raised: float
) -> None:
    order = list(Stratum)
    more = tuple(p + (0.999 - p) * raised for p in first)
    before, after = _stratify(first), _stratify(more)
    for one, two in zip(before.tasks, after.tasks, strict=True):
        assert one.stratum is not None
        assert two.stratum is not None
        assert order.index(two.stratum) >= order.index(one.stratum)
    assert order.index(after.any_vessel_stratum) >= order.index(before.any_vessel_stratum)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, -1e-9, 1 + 1e-9])
@pytest.mark.parametrize("manifest", [MANIFEST, UNCUT_LM])
def test_what_is_not_a_probability_reaches_no_stratum(
    place: int, wrong: float, manifest: Manifest
) -> None:
    for name in ("logit", "probability_raw", "probability"):
        if name == "logit" and math.isfinite(wrong):
            continue
        values = {"logit": 0.0, "probability_raw": 0.5, "probability": 0.5}
        risks = [Risk(vessel, **values) for vessel in Vessel]
        risks[place] = Risk(list(Vessel)[place], **(values | {name: wrong}))
        with pytest.raises(InputFault) as fault:
            stratify(risks, manifest, Numerics.FP32)
        assert fault.value.reason is ReasonCode.RESULT_NOT_FINITE


def test_an_experimental_task_without_cuts_keeps_its_risk_and_has_no_stratum() -> None:
    lm = _stratify((0.1, 0.9, 0.1, 0.1), UNCUT_LM).tasks[1]
    assert lm.stratum is None
    assert lm.risk.probability == 0.9
    assert not lm.near_cut
    assert lm.is_experimental


@pytest.mark.parametrize(
    ("distance", "is_near"), [(0.0, True), (0.009, True), (-0.009, True), (0.011, False)]
)
@pytest.mark.parametrize("cut", [0.2, 0.6])
def test_near_cut_is_the_bundles_band(cut: float, distance: float, is_near: bool) -> None:
    manifest = small_manifest(near_cut=0.01)
    assessment = _stratify((cut + distance, 0.4, 0.4, 0.4), manifest)
    assert assessment.tasks[0].near_cut is is_near
    assert not assessment.tasks[2].near_cut


@pytest.mark.parametrize(("factor", "is_near"), [(0.9, True), (-0.9, True), (1.1, False)])
@pytest.mark.parametrize("a", [1.0, 3.0])
def test_near_cut_is_also_what_the_numerics_could_carry_across(
    factor: float, is_near: bool, a: float
) -> None:
    tasks = tuple(task(vessel, calibrator=Platt(a=a, b=0.5)) for vessel in Vessel)
    manifest = small_manifest(tasks=tasks, golden_tolerance={Numerics.FP32: 0.01})
    at_cut = (math.log(0.6 / 0.4) - 0.5) / a
    logit = at_cut + factor * 0.01
    risk = Risk(Vessel.RCA, logit, sigmoid(logit), sigmoid(a * logit + 0.5))
    others = [_risk(vessel, 0.4) for vessel in list(Vessel)[1:]]
    assert stratify([risk, *others], manifest, Numerics.FP32).tasks[0].near_cut is is_near


def test_risks_of_other_tasks_or_order_are_refused() -> None:
    risks = [_risk(vessel, 0.4) for vessel in Vessel]
    for wrong in (risks[:3], risks[::-1], [*risks, risks[0]], []):
        with pytest.raises(SetupFault):
            stratify(wrong, MANIFEST, Numerics.FP32)


def test_an_unmeasured_precision_and_missing_cuts_are_refused() -> None:
    risks = [_risk(vessel, 0.4) for vessel in Vessel]
    with pytest.raises(SetupFault) as fault:
        stratify(risks, MANIFEST, Numerics.INT8)
    assert fault.value.reason is ReasonCode.BUNDLE_PRECISION
    with pytest.raises(SetupFault) as fault:
        stratify(risks, small_manifest(any_vessel=AnyVessel()), Numerics.FP32)
    assert fault.value.reason is ReasonCode.CUTS_MISSING
    assert stratify(risks, small_manifest(any_vessel=AnyVessel(cuts=cuts())), Numerics.FP32)
