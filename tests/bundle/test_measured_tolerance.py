"""What bundles are given as tolerance in bf16, against bf16 as torch itself computes it."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ecgbatch.bundle.golden import golden_inputs, packaged_golden_ecgs
from ecgbatch.bundle.measure import Golden, measure_golden
from ecgbatch.net.checkpoint import build_net
from ecgbatch.preprocessing.spec import preset
from ecgbatch.terms import Numerics
from tests.support.bundles import small_architecture, small_weights

SPEC = preset("anyecg-ccta")
SIGNALS = packaged_golden_ecgs()[:2]


def _measure(weights: dict[str, Tensor]) -> Golden:
    return measure_golden(small_architecture(), [weights], SPEC, SIGNALS)


def test_bf16_gets_twice_the_largest_difference_that_torch_gives_in_bf16() -> None:
    inputs = torch.from_numpy(golden_inputs(SIGNALS, SPEC))
    net = build_net(small_architecture(), small_weights())
    with torch.inference_mode():
        single = net(inputs)
        half = net.bfloat16()(inputs.bfloat16()).float()
    golden = _measure(small_weights())

    assert golden.logits == pytest.approx(single.numpy(), abs=1e-5)
    assert golden.tolerance.keys() == {Numerics.FP32, Numerics.BF16}
    assert golden.tolerance[Numerics.FP32] == pytest.approx(1e-4, rel=0.5)
    expected = 2 * float((half - single).abs().max())
    assert golden.tolerance[Numerics.BF16] == pytest.approx(expected, rel=0.3)


def test_a_step_of_the_logit_is_always_allowed() -> None:
    weights = small_weights()
    weights["dense.weight"] = torch.zeros_like(weights["dense.weight"])
    weights["dense.bias"] = torch.full_like(weights["dense.bias"], 4.0)  # 4 is exact in bf16
    assert _measure(weights).tolerance[Numerics.BF16] == pytest.approx(4 / 2**8, rel=0.05)


def test_a_net_that_bf16_carries_too_far_is_not_admitted_in_it() -> None:
    weights = small_weights()
    weights["dense.weight"] = weights["dense.weight"] * 1e3
    golden = _measure(weights)
    assert np.isfinite(golden.logits).all()
    assert golden.tolerance.keys() == {Numerics.FP32}
