"""Every runtime gives the reference's risks, and to each ECG the same whatever comes with it."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import expit

from ecgbatch.bundle.golden import golden_inputs, packaged_golden_ecgs
from ecgbatch.bundle.load import Bundle
from ecgbatch.bundle.save import weights_bytes
from ecgbatch.errors import SetupFault
from ecgbatch.net.checkpoint import build_net
from ecgbatch.scoring.quiet_openvino import openvino
from ecgbatch.scoring.runtimes import cuda, registry
from ecgbatch.scoring.runtimes import openvino as openvino_runtime
from ecgbatch.scoring.runtimes.registry import Batch, Runtime, Wish, build_runtime
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.terms import Numerics, ReasonCode
from tests.support.bundles import small_manifest

CONVERTED = ("openvino", "onnx")
HERE = registry.available()


@pytest.fixture(scope="module")
def inputs(bundle: Bundle) -> Batch:
    """Nine ECGs, the golden ones and others near them: one more than a batch holds."""
    golden = golden_inputs(packaged_golden_ecgs(), bundle.manifest.preprocessing)
    noise = np.random.default_rng(14).normal(scale=0.3, size=(9, *golden.shape[1:]))
    return np.resize(golden, noise.shape) + noise.astype(np.float32)


@pytest.fixture(scope="module", params=[name for name in HERE if name != "torch"])
def runtime(request: pytest.FixtureRequest, bundle: Bundle) -> Runtime:
    return build_runtime(request.param, bundle, Numerics.FP32, Wish(streams=2))


def test_the_runtimes_of_the_tests_are_here() -> None:
    assert {"torch", *CONVERTED} <= set(HERE)
    assert registry.chosen("auto") == "openvino"
    assert registry.precisions_of("auto") == (Numerics.FP32, Numerics.BF16)
    assert registry.precisions_of("onnx") == (Numerics.FP32,)


def test_without_openvino_auto_is_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        registry, "find_spec", lambda name: None if name == "openvino" else find_spec(name)
    )
    assert registry.chosen("auto") == "torch"
    assert "openvino" not in registry.available()


def test_risks_are_the_references(runtime: Runtime, bundle: Bundle, inputs: Batch) -> None:
    """Against the eager net, and its golden logits, which are of other hands' code."""
    reference = build_runtime("torch", bundle, Numerics.FP32).logits(inputs)
    assert reference.std(axis=0).min() > 0.005  # else any constant would agree
    np.testing.assert_allclose(expit(runtime.logits(inputs)), expit(reference), rtol=0, atol=1e-6)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.lists(st.integers(0, 8), min_size=1, max_size=19))
def test_no_ecg_depends_on_its_batch(runtime: Runtime, inputs: Batch, order: list[int]) -> None:
    together = runtime.logits(inputs)
    assert np.array_equal(runtime.logits(inputs[order]), together[order])


def test_two_threads_at_once_get_what_one_gets(runtime: Runtime, inputs: Batch) -> None:
    parts = [inputs[:5], inputs[5:], inputs[::-1], inputs[:1]] * 4
    alone = [runtime.logits(part) for part in parts]
    with ThreadPoolExecutor(3) as threads:
        at_once = list(threads.map(runtime.logits, parts))
    assert all(np.array_equal(one, other) for one, other in zip(alone, at_once, strict=True))


def test_no_ecg_at_all_is_no_logit(runtime: Runtime) -> None:
    assert runtime.logits(np.empty((0, 12, 5000), np.float32)).shape == (0, 4)


@pytest.mark.parametrize("shape", [Wish(batch=3), Wish(threads=2, cores=4), Wish(cores=3)])
@pytest.mark.parametrize("name", CONVERTED)
def test_other_shapes_are_within_a_millionth(
    name: str, shape: Wish, bundle: Bundle, inputs: Batch
) -> None:
    usual = build_runtime(name, bundle, Numerics.FP32).logits(inputs)
    other = build_runtime(name, bundle, Numerics.FP32, shape)
    assert (other.batch, other.streams) == (
        shape.batch or 8,
        max(1, shape.cores // (shape.threads or 1)),
    )
    np.testing.assert_allclose(expit(other.logits(inputs)), expit(usual), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CONVERTED)
def test_members_count_by_the_mean_of_their_logits(name: str, bundle: Bundle) -> None:
    first = bundle.members[0]
    second = dict(first) | {"dense.bias": first["dense.bias"] + 3}
    both = dataclasses.replace(
        bundle,
        digest="b" * 64,
        weights=(weights_bytes(first), weights_bytes(second)),
        golden_logits=bundle.golden_logits + 1.5,
    )
    assert Scorer(both, name).golden_difference <= 1e-5


@pytest.mark.parametrize("name", CONVERTED)
def test_golden_logits_outside_the_tolerance_stop_the_start(name: str, bundle: Bundle) -> None:
    wrong = dataclasses.replace(bundle, golden_logits=bundle.golden_logits + 2e-4)
    with pytest.raises(SetupFault) as fault:
        Scorer(wrong, name)
    assert fault.value.reason is ReasonCode.BUNDLE_GOLDEN


@pytest.mark.parametrize("name", CONVERTED)
def test_a_runtime_that_is_not_installed_is_named(
    name: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda _: None)
    with pytest.raises(SetupFault, match=name) as fault:
        build_runtime(name, bundle, Numerics.FP32)
    assert fault.value.reason is ReasonCode.RUNTIME_MISSING


@cache
def _has_bf16() -> bool:
    """By the kernel's list of what the processor can, not by OpenVINO's."""
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _bf16_bundle(bundle: Bundle) -> Bundle:
    tolerance = {Numerics.FP32: 1e-4, Numerics.BF16: 0.2}
    return dataclasses.replace(bundle, manifest=small_manifest(golden_tolerance=tolerance))


@pytest.mark.skipif(_has_bf16(), reason="this processor has bf16")
def test_bf16_is_refused_where_the_processor_has_none(bundle: Bundle) -> None:
    with pytest.raises(SetupFault) as fault:
        Scorer(_bf16_bundle(bundle), "openvino", Numerics.BF16)
    assert fault.value.reason is ReasonCode.PRECISION_MISMATCH


@pytest.mark.skipif(not _has_bf16(), reason="this processor has no bf16")
def test_bf16_is_near_and_is_not_fp32(bundle: Bundle, inputs: Batch) -> None:
    exact = build_runtime("openvino", bundle, Numerics.FP32).logits(inputs)
    coarse = build_runtime("openvino", _bf16_bundle(bundle), Numerics.BF16).logits(inputs)
    difference = np.abs(expit(coarse) - expit(exact)).max()
    assert 1e-6 < difference <= 1e-2


def test_a_processor_that_would_use_bf16_unasked_is_refused() -> None:
    """What OpenVINO says that it will use counts, not what it was asked for."""
    with pytest.raises(SetupFault, match="bf16") as fault:
        openvino_runtime._check_precision(openvino.Type.bf16, Numerics.FP32)
    assert fault.value.reason is ReasonCode.PRECISION_MISMATCH


def test_the_gpus_bf16_net_is_near_the_reference(bundle: Bundle, inputs: Batch) -> None:
    """On the processor, where bf16 is only slow."""
    net = build_net(bundle.manifest.architecture, bundle.members[0])
    exact = build_runtime("torch", bundle, Numerics.FP32).logits(inputs)
    with torch.inference_mode():
        coarse = cuda.net_for(net, Numerics.BF16)(torch.from_numpy(inputs)).numpy()
    difference = np.abs(expit(coarse) - expit(exact)).max()
    assert 1e-6 < difference <= 1e-2


@pytest.mark.skipif(cuda.has_device(), reason="there is a GPU")
def test_without_a_gpu_cuda_says_so(bundle: Bundle) -> None:
    with pytest.raises(SetupFault) as fault:
        Scorer(bundle, "cuda")
    assert fault.value.reason is ReasonCode.RUNTIME_MISSING
    assert "cuda" not in HERE


@pytest.mark.skipif(not cuda.has_device(), reason="no GPU")
def test_a_batch_that_is_not_full_gives_the_same_on_a_gpu(bundle: Bundle, inputs: Batch) -> None:
    for precision in (Numerics.FP32, Numerics.BF16):
        built = build_runtime("cuda", bundle, precision, Wish(batch=4))
        together = built.logits(inputs)
        assert np.array_equal(built.logits(inputs[:1]), together[:1])
