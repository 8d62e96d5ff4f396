"""`bundle benchmark`: every runtime that is here, measured and compared with the reference."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ecgbatch.bundle.load import load_bundle
from ecgbatch.cli.bundle import benchmark
from ecgbatch.terms import Numerics, ReasonCode
from ecgbatch.trial import run
from ecgbatch.trial.agreement import Agreement
from ecgbatch.trial.run import Measured, NotMeasured
from tests.support.bundles import save_small_bundle


def test_each_runtime_is_measured_and_the_fastest_recommended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "available", lambda: ("torch", "openvino"))  # to be quicker
    digest = save_small_bundle(tmp_path / "bundle")
    words = [str(tmp_path / "bundle"), "--ecgs", "4", "--json"]
    done = CliRunner().invoke(benchmark.command, words)
    assert done.exit_code == 0, done.output

    told = json.loads(done.stdout)
    assert (told["digest"], told["ecgs"], told["are_synthetic"]) == (digest, 4, True)
    measured = {one["runtime"]: one for one in told["measured"]}
    assert measured.keys() == {"torch", "openvino"}
    for one in measured.values():
        assert one["precision"] == "fp32"
        assert one["agreement"]["max_difference"] <= 1e-6
        assert (one["agreement"]["n_strata"], one["strata_agreement"]) == (20, 1)
        assert one["golden_difference"] <= 1e-4
        assert one["ecgs_per_s"] > 0
        assert 30 < one["peak_mb"] < 3000
    assert measured["torch"]["agreement"]["max_difference"] == 0
    assert measured["openvino"]["agreement"]["max_difference"] > 0  # another library did compute

    best = max(measured.values(), key=lambda one: float(one["ecgs_per_s"]))
    assert told["recommended"] == {"runtime": best["runtime"], "precision": "fp32"}
    assert [one["runtime"] for one in told["measured"] if one["is_recommended"]] == [
        best["runtime"]
    ]
    missing = {(one["runtime"], one["precision"]): one for one in told["not_measured"]}
    assert missing["openvino", "bf16"]["reason"] == ReasonCode.BUNDLE_PRECISION
    assert missing["openvino", "bf16"]["detail"] == "the bundle has no tolerance for bf16"
    assert missing["onnx", "fp32"]["reason"] == ReasonCode.RUNTIME_MISSING


def test_what_is_printed_names_the_band_that_bf16_asks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tolerance = {Numerics.FP32: 1e-4, Numerics.BF16: 0.08}
    save_small_bundle(tmp_path / "bundle", golden_tolerance=tolerance, near_cut=0.005)
    figures = {"batch": 8, "streams": 2, "golden_difference": 0.0, "core_ms": 1.0, "peak_mb": 300.0}
    outcomes = [
        Measured(
            runtime="openvino",
            precision=precision,
            ecgs_per_s=rate,
            agreement=Agreement(moved, moved / 2, 320, n_changed, 1, 0.125),
            version="openvino 2026.4.1",
            others=0.25,
            **figures,
        )
        for precision, rate, moved, n_changed in (
            (Numerics.FP32, 50.0, 3e-7, 0),
            (Numerics.BF16, 100.0, 0.0042, 2),
        )
    ]
    missing = NotMeasured("cuda", Numerics.BF16, ReasonCode.RUNTIME_MISSING, "no device for it")
    benchmark._print(load_bundle(tmp_path / "bundle"), None, 64, [*outcomes, missing])
    out = capsys.readouterr().out

    assert "cuda bf16: not measured, runtime_missing: no device for it" in out
    assert "openvino bf16: not recommended, 99.38% of the strata agree, needed 99.5%" in out
    assert "near_cut has to reach 0.0042 on each side" in out
    assert "band reaches 0.005, its tolerance of 0.08 on the logit up to 0.0200" in out
    assert "of 2 changed strata 1 of a vessel are not near_cut" in out
    assert "other processes took part of the machine" in out
    assert out.endswith('recommended: runtime = "openvino", precision = "fp32"\n')
