"""A finished run becomes a bundle that scores as training did, or nothing is put in place."""

import json
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ecgbatch.bundle.digest import read_verified
from ecgbatch.bundle.golden import packaged_golden_ecgs
from ecgbatch.bundle.load import Bundle
from ecgbatch.errors import SetupFault
from ecgbatch.net.checkpoint import build_net
from ecgbatch.net.ensemble import mean_logits
from ecgbatch.records import ModelInput
from ecgbatch.resources import folder as folder_of
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.strata import stratify
from ecgbatch.terms import Numerics, ReasonCode, Stratum, Vessel
from tests.support.finished_runs import evaluate, finished_run, predicted_run, silent
from training.cli.main import main
from training.export.card import render_card
from training.export.finished import read_finished
from training.export.run import Exported, export_run
from training.folder import RunFolder
from training.operating_points.points import load_points
from training.operating_points.run import load_predictions, points_of_run
from training.records import (
    ArrayInputs,
    Estimate,
    Measure,
    Predictions,
    load_measures,
    save_measures,
)
from training.terms import Quantity


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, ArrayInputs]:
    return finished_run(
        tmp_path_factory.mktemp("points") / "run", operating_points={"calibrator": "platt"}
    )


@pytest.fixture(scope="module")
def made(run: tuple[RunFolder, ArrayInputs], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    out = tmp_path_factory.mktemp("bundles") / "bundle"
    return export_run(read_finished(run[0]), run[1], out, silent)


@pytest.fixture
def copy(run: tuple[RunFolder, ArrayInputs], tmp_path: Path) -> RunFolder:
    shutil.copytree(run[0].path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def _scored(bundle: Bundle, signals: Any) -> list[tuple[Any, ...]]:
    return Scorer(bundle).score([ModelInput(signal.copy(), 0) for signal in signals])


def test_ecgbatch_scores_every_test_ecg_to_the_probabilities_of_training(
    run: tuple[RunFolder, ArrayInputs], made: Exported
) -> None:
    folder, inputs = run
    test = Predictions.load(folder.predictions("test"))
    expected = load_points(folder.operating_points).probabilities(test.logits)
    scored = _scored(made.bundle, inputs.signals[90:])
    got = [[risk.probability for risk in risks] for risks in scored]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert (made.n_proved, made.largest_difference <= 1e-5) == (32, True)


def test_strata_of_the_bundle_have_the_shares_of_the_evaluation(
    run: tuple[RunFolder, ArrayInputs], made: Exported
) -> None:
    manifest = made.bundle.manifest
    strata = [
        stratify(risks, manifest, Numerics.FP32).any_vessel_stratum
        for risks in _scored(made.bundle, run[1].signals[90:])
    ]
    stated = {one.stratum: one for one in manifest.strata if one.task == "any_vessel"}
    for stratum in Stratum:
        assert stated[stratum].share == pytest.approx(strata.count(stratum) / len(strata))
        assert (stated[stratum].npv is not None) == (stratum is Stratum.LOW)
    npv, positives = stated[Stratum.LOW].npv, stated[Stratum.LOW].observed_incidence
    assert npv is not None
    assert positives is not None
    assert npv.value == pytest.approx(1 - positives.value)


def test_the_manifest_says_what_was_done(
    run: tuple[RunFolder, ArrayInputs], made: Exported
) -> None:
    manifest = made.bundle.manifest
    assert [task.vessel for task in manifest.tasks] == list(Vessel)
    assert {task.definition for task in manifest.tasks} == {
        ">= 70 % diameter stenosis or occlusion"
    }
    assert [task.is_experimental for task in manifest.tasks] == [False, True, False, False]
    assert {task.calibrator.kind for task in manifest.tasks} == {"platt"}
    assert manifest.golden_tolerance.keys() == {Numerics.FP32, Numerics.BF16}
    assert any("one net refitted" in note for note in manifest.notes)
    assert any("PCGrad" in note and "epoch 2" in note for note in manifest.notes)
    assert np.array_equal(made.bundle.golden_signals_mv, packaged_golden_ecgs())
    aurocs = {one.task: one.value for one in manifest.metrics if one.name == "synthetic AUROC"}
    measured = {
        one.scope: one.estimate.value
        for one in load_measures(run[0].evaluation("test") / "measures.parquet")
        if one.quantity is Quantity.AUROC and one.scope != "macro"
    }
    assert aurocs == measured


def test_the_card_has_every_cut_and_no_path(
    run: tuple[RunFolder, ArrayInputs], made: Exported
) -> None:
    card = render_card(made)
    points = load_points(run[0].operating_points)
    for low, high in points.cut_pairs().values():
        assert f"{low:.4f}" in card
        assert f"{high:.4f}" in card
    assert made.bundle.digest in card
    assert f"In bf16 {made.bundle.manifest.golden_tolerance[Numerics.BF16]:.2g} (" in card
    assert "Low does not exclude disease" in card
    assert "| no_label | 3 |" in card
    assert str(run[0].path.parent) not in card
    assert str(made.bundle.location.parent) not in card


def test_the_card_has_the_mean_the_subgroups_at_the_cuts_and_what_was_out_of_fold(
    copy: RunFolder, made: Exported
) -> None:
    of_run = read_finished(copy)
    assert "out of fold" not in render_card(made)

    def number(value: float, quantity: Quantity, scope: Any, **where: Any) -> Measure:
        return Measure(scope, quantity, Estimate(value, value, value), 40, 9, **where)

    ours = (
        number(0.611, Quantity.AUROC, "macro"),
        number(0.622, Quantity.AUROC, Vessel.LAD, group="sex: female"),
        number(0.633, Quantity.SENSITIVITY, Vessel.LAD, group="sex: female", cut="low"),
        number(0.644, Quantity.SPECIFICITY, Vessel.LAD, group="sex: female", cut="high"),
    )
    place = copy.evaluation("out_of_fold")
    place.mkdir()
    save_measures(place / "measures.parquet", [number(0.655, Quantity.AUROC, Vessel.LAD)])
    out_of_fold = read_finished(copy).out_of_fold
    changed = replace(of_run, measures=(*of_run.measures, *ours), out_of_fold=out_of_fold)
    card = render_card(replace(made, run=changed))
    for value in ("0.611", "0.622", "0.633", "0.644", "0.655"):
        assert f"{value} ({value} to {value})" in card
    assert "of the recipe, not of the weights" in card


def test_equal_runs_give_equal_bytes(
    copy: RunFolder, run: tuple[RunFolder, ArrayInputs], made: Exported, tmp_path: Path
) -> None:
    again = export_run(read_finished(copy), run[1], tmp_path / "again", silent)
    assert again.bundle.digest == made.bundle.digest
    assert read_verified(tmp_path / "again") == read_verified(made.bundle.location)


def test_an_ensemble_scores_by_the_mean_of_its_members_logits(tmp_path: Path) -> None:
    folder, inputs = finished_run(tmp_path / "run", n_members=2)
    made = export_run(read_finished(folder), inputs, tmp_path / "bundle", silent)
    architecture = made.bundle.manifest.architecture
    nets = [build_net(architecture, member) for member in made.bundle.members]
    each = [mean_logits([net], inputs.signals[90:93]) for net in nets]
    assert not np.allclose(each[0], each[1], atol=1e-3)
    got = [[risk.logit for risk in risks] for risks in _scored(made.bundle, inputs.signals[90:93])]
    np.testing.assert_allclose(got, np.mean(each, axis=0), atol=1e-6)
    assert any("2 fold models as an ensemble" in note for note in made.bundle.manifest.notes)


def _other_weights(folder: RunFolder) -> None:
    path = folder.final / "weights.pt"
    held = torch.load(path, weights_only=True)
    held["model"]["dense.bias"] += 0.01
    torch.save(held, path)


def _other_predictions(folder: RunFolder) -> None:
    path = folder.predictions("test")
    found = Predictions.load(path)
    Predictions(found.tasks, found.keys, found.logits + 0.01, found.origin).save(path)


def _other_cuts(folder: RunFolder) -> None:
    content = json.loads(folder.operating_points.read_text("utf-8"))
    cut = content["any_vessel"]["high"]
    cut["held"]["sensitivity"] = {"value": 0.9999, "ci": [0.9, 1.0]}
    folder.operating_points.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_other_weights, "final/weights.pt is not what the operating points were set with"),
        (_other_predictions, "predictions/test.parquet is not what"),
        (_other_cuts, "of other operating points (any_vessel)"),
        (lambda folder: folder.parts.write_bytes(b"torn"), "parts.parquet is damaged"),
        (lambda folder: folder.operating_points.unlink(), "run `ecgbatch-train operating-points`"),
        (lambda folder: folder.operating_points.write_text("{}"), "operating-points` again"),
        (
            lambda folder: (folder.evaluation("test") / "measures.parquet").write_bytes(b"torn"),
            "run `ecgbatch-train evaluate` first",
        ),
        (
            lambda folder: shutil.rmtree(folder.evaluation("test")),
            "run `ecgbatch-train evaluate` first",
        ),
    ],
)
def test_a_run_that_is_not_of_one_piece_is_refused_with_the_command_to_run(
    copy: RunFolder, change: Callable[[RunFolder], object], named: str
) -> None:
    change(copy)
    with pytest.raises(SetupFault) as fault:
        read_finished(copy)
    assert fault.value.reason is ReasonCode.RUN_FOLDER_UNFIT
    assert named in fault.value.detail


def test_weights_that_do_not_give_the_predictions_leave_no_bundle(
    copy: RunFolder, run: tuple[RunFolder, ArrayInputs], tmp_path: Path
) -> None:
    _other_weights(copy)
    points_of_run(copy, silent)
    evaluate(copy)
    with pytest.raises(SetupFault) as fault:
        export_run(read_finished(copy), run[1], tmp_path / "bundle", silent)
    assert fault.value.reason is ReasonCode.BUNDLE_GOLDEN
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_a_synthetic_cohort_makes_no_clinical_bundle(copy: RunFolder) -> None:
    demo = tomllib.loads((folder_of("config") / "train.demo.toml").read_text("utf-8"))
    settings = json.loads(copy.settings.read_text("utf-8"))
    settings["cohort"] = json.loads(json.dumps(demo["cohort"], default=str))
    settings["bundle"]["is_clinical"] = True
    copy.settings.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(SetupFault, match=r"bundle\.is_clinical"):
        read_finished(copy)


def test_a_folder_that_is_no_bundle_stays_as_it_is(
    run: tuple[RunFolder, ArrayInputs], tmp_path: Path
) -> None:
    other = tmp_path / "notes"
    other.mkdir()
    (other / "mine.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(SetupFault, match="not a bundle"):
        export_run(read_finished(run[0]), run[1], other, silent)
    assert (other / "mine.txt").read_text("utf-8") == "kept"


def test_the_command_sets_cuts_and_prints_them(tmp_path: Path) -> None:
    folder, _ = predicted_run(tmp_path / "run")
    told = CliRunner().invoke(main, ["operating-points", "--run", str(folder.path)])
    assert told.exit_code == 0, told.output
    assert "LM (experimental)" in told.stdout
    assert "any vessel" in told.stdout
    as_json = CliRunner().invoke(main, ["operating-points", "--run", str(folder.path), "--json"])
    assert json.loads(as_json.stdout) == json.loads(folder.operating_points.read_text("utf-8"))


def test_commands_name_what_is_missing(tmp_path: Path) -> None:
    for name in ("operating-points", "export"):
        arguments = [name, "--run", str(tmp_path)]
        if name == "export":
            arguments += ["--out", str(tmp_path / "bundle")]
        told = CliRunner().invoke(main, arguments)
        assert told.exit_code == 4
        assert "run_folder_unfit" in told.stderr


def test_predictions_out_of_fold_come_from_cross_validate(tmp_path: Path) -> None:
    with pytest.raises(SetupFault, match="out of fold; run `ecgbatch-train cross-validate` first"):
        load_predictions(RunFolder(tmp_path), "out_of_fold")
