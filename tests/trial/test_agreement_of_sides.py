"""Agreement of a runtime with the reference, and what is recommended, by hand-made cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgbatch.terms import Numerics
from ecgbatch.trial.agreement import Agreement, Row, caution, compare, recommended, why_not
from tests.support.bundles import small_manifest

BOTH = small_manifest(golden_tolerance={Numerics.FP32: 1e-4, Numerics.BF16: 0.1})


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _row(
    rate: float, precision: Numerics = Numerics.FP32, n_changed: int = 0, n_strata: int = 320
) -> Row:
    moved = 4e-3 if precision is Numerics.BF16 else 3e-7
    seen = Agreement(moved, moved, n_strata, n_changed, 0, 0.1)
    return Row("some", precision, rate, seen)


def test_changed_strata_are_counted_and_those_that_nothing_marked() -> None:
    # Cuts 0.2 and 0.6, any vessel 0.25 and 0.65; LM is experimental and not of any vessel.
    before = [[0.1, 0.1, 0.1, 0.1], [0.3, 0.3, 0.3, 0.599]]
    after = [[0.1, 0.1, 0.1, 0.5], [0.3, 0.3, 0.3, 0.601]]
    reference, logits = (np.array([list(map(_logit, row)) for row in p]) for p in (before, after))

    seen = compare(reference, logits, BOTH, Numerics.BF16)
    assert seen.max_difference == pytest.approx(0.4)
    # The first LCX and its any vessel; the second LCX, which is within 0.1 of its cut.
    assert (seen.n_strata, seen.n_changed, seen.n_unmarked) == (10, 3, 1)
    assert (seen.strata, seen.near_cut) == (pytest.approx(0.7), 0.5)

    same = compare(reference, reference, BOTH, Numerics.FP32)
    assert (same.max_difference, same.n_changed, same.strata) == (0, 0, 1)


@pytest.mark.parametrize(("n_changed", "is_fit"), [(0, True), (1, True), (2, False), (40, False)])
def test_bf16_needs_995_of_1000_strata(n_changed: int, is_fit: bool) -> None:
    half = _row(100, Numerics.BF16, n_changed)  # of 320: 1.6 may change
    assert (why_not(half) is None) is is_fit
    slower, faster = _row(20), _row(50)
    assert recommended([slower, half, faster]) is (half if is_fit else faster)


@given(n_strata=st.integers(1, 3000), data=st.data())
def test_the_rule_in_whole_numbers(n_strata: int, data: st.DataObject) -> None:
    n_changed = data.draw(st.integers(0, min(n_strata, 20)))
    is_fit = n_strata >= 200 and 1000 * (n_strata - n_changed) >= 995 * n_strata
    assert (why_not(_row(1, Numerics.BF16, n_changed, n_strata)) is None) is is_fit
    assert why_not(_row(1, Numerics.FP32, n_changed, n_strata)) is None


def test_nothing_is_recommended_that_differs_too_far_or_cannot_be_compared() -> None:
    def moved(precision: Numerics, by: float) -> Row:
        return Row("some", precision, 1.0, Agreement(by, by, 320, 0, 0, 0.0))

    assert "differs by" in str(why_not(moved(Numerics.BF16, 1.1e-2)))
    assert recommended([moved(Numerics.BF16, 1.1e-2)]) is None
    assert caution(moved(Numerics.BF16, 1.1e-2)) is None
    # In fp32 the golden logits have passed; what else there is to know is said.
    assert why_not(moved(Numerics.FP32, 2e-6)) is None
    assert "nondeterministic" in str(caution(moved(Numerics.FP32, 2e-6)))
    assert caution(moved(Numerics.FP32, 9e-7)) is None
    assert recommended([Row("some", Numerics.FP32, 1.0, None)]) is None
    assert recommended([]) is None
