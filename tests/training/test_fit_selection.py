"""The epoch that is kept is chosen on the inner split alone, and by what counts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from ecgbatch.net.checkpoint import build_net as net_of
from ecgbatch.net.checkpoint import read_checkpoint
from ecgbatch.net.ensemble import mean_logits
from tests.support.cohorts import VESSELS, drawn_cohort, inputs_of
from tests.support.experiments import experiment
from training.fit.cross_validation import cross_validate
from training.fit.final import fit_final
from training.fit.folder import FitFolder
from training.fit.loop import fit
from training.fit.material import Around, Material
from training.fit.plan import plan_final, plan_fold
from training.fit.selection import Choice, InnerScore, counted_tasks, score_inner
from training.folder import RunFolder
from training.model.start import read_start
from training.records import ArrayInputs, Predictions
from training.splits.assignment import Assignment, assign
from training.terms import Part

SMALL: dict[str, dict[str, Any]] = {
    "architecture": {"filter_list": [4], "m_blocks_list": [1]},
    "optimiser": {"epochs": 4, "batch_size": 16, "learning_rate": 0.02},
    "labels": {"fewest_positives": 1},
    "selection": {"fewest_positives": 1},
}


def _material(effect: float = 0.3, **changed: dict[str, Any]) -> Material:
    settings = {part: {**SMALL.get(part, {}), **changed.get(part, {})} for part in SMALL}
    settings |= {part: keys for part, keys in changed.items() if part not in SMALL}
    given = experiment(**settings)
    cohort = drawn_cohort(50, prevalence=(0.5, 0.4, 0.5, 0.4))
    start = read_start(given, None)
    return Material(given, cohort, inputs_of(cohort, effect, n_samples=1000), start)


AROUND = Around(torch.device("cpu"))


def _kept(path: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint((path / "weights.pt").read_bytes())


def test_the_best_epoch_is_kept_and_of_equal_ones_the_earlier() -> None:
    choice = Choice()
    for epoch, macro in enumerate([0.6, 0.7, 0.7, 0.65]):
        choice = choice.after(epoch, InnerScore((), macro), keeps_last=False)
    assert choice == Choice(1, 0.7)


def test_where_the_last_is_kept_nothing_else_counts() -> None:
    choice = Choice()
    for epoch, macro in enumerate([0.9, 0.5]):
        choice = choice.after(epoch, InnerScore((), macro), keeps_last=True)
    assert choice.epoch == 1


def test_only_tasks_that_are_not_experimental_and_have_both_classes_count() -> None:
    labels = np.array(
        [[1, 1, 1, 0], [1, 1, 0, np.nan], [0, 0, 1, 1], [np.nan, 0, 1, 1]], dtype=np.float32
    )
    assert counted_tasks(VESSELS, labels, (), 2) == ("RCA", "LM", "LAD", "LCX")
    assert counted_tasks(VESSELS, labels, ("LM",), 3) == ("LAD",)
    all_positive = np.ones((4, 4), dtype=np.float32)
    assert counted_tasks(VESSELS, all_positive, (), 1) == ()


def test_macro_is_the_mean_auc_of_what_counts_and_missing_labels_are_left_out() -> None:
    draws = np.random.default_rng(0)
    labels = (draws.random((40, 4)) < 0.5).astype(np.float32)
    labels[:5, 0] = np.nan
    logits = draws.normal(size=(40, 4))
    score = score_inner(VESSELS, labels, logits, ("RCA", "LAD"))
    rca = roc_auc_score(labels[5:, 0], logits[5:, 0])
    lad = roc_auc_score(labels[:, 2], logits[:, 2])
    assert score.aucs[0] == pytest.approx(rca)
    assert score.macro == pytest.approx((rca + lad) / 2)


@pytest.fixture(scope="module")
def material() -> Material:
    return _material()


@pytest.fixture(scope="module")
def run(material: Material, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("run"))
    fit_final(run, material, AROUND)
    return run


def test_the_kept_weights_are_those_of_the_best_epoch_on_the_inner_split(
    material: Material, run: RunFolder
) -> None:
    done = json.loads((run.final / "done.json").read_text())
    epochs = pd.read_parquet(run.final / "epochs.parquet")
    assert len(epochs) == 4
    assert done["best_epoch"] == epochs.auc_macro.idxmax()
    assert done["best_macro_auc"] == epochs.auc_macro.max()
    inner = plan_final(material.cohort, Assignment.load(run.parts)).inner
    net = net_of(material.experiment.architecture, _kept(run.final))
    logits = mean_logits([net], material.inputs.take(inner))
    score = score_inner(
        VESSELS, material.cohort.labels[inner], logits, tuple(done["selection_tasks"])
    )
    assert score.macro == pytest.approx(done["best_macro_auc"], abs=1e-9)


def test_the_weights_have_the_published_layout(run: RunFolder) -> None:
    saved = torch.load(run.final / "weights.pt", weights_only=True)
    assert set(saved) == {"model", "uw"}
    assert saved["uw"].shape == (4,)
    assert "dense.weight" in saved["model"]


def test_history_has_every_step(run: RunFolder) -> None:
    history = pd.read_parquet(run.final / "history.parquet")
    done = json.loads((run.final / "done.json").read_text())
    assert history.step.tolist() == list(range(done["n_steps"]))
    for column in ("loss_LAD", "s_LAD", "gradient_norm", "conflicts", "learning_rate"):
        assert np.isfinite(history[column]).all()
    assert done["peak_memory_bytes"] > 0
    assert done["ecgs_per_s"] > 0


def test_cut_and_test_never_reach_the_weights(
    material: Material, run: RunFolder, tmp_path: Path
) -> None:
    assignment = Assignment.load(run.parts)
    signals = material.inputs.take(np.arange(len(material.cohort)))
    signals[assignment.rows(Part.CUT, Part.TEST)] = np.nan
    other = Material(material.experiment, material.cohort, ArrayInputs(signals), material.start)
    fit(plan_final(material.cohort, assignment), other, FitFolder(tmp_path), AROUND)
    assert (tmp_path / "weights.pt").read_bytes() == (run.final / "weights.pt").read_bytes()


def test_only_index_ecgs_with_a_label_are_learned_from(material: Material) -> None:
    plan = plan_final(material.cohort, assign(material.cohort, material.experiment))
    assert material.cohort.is_index[plan.train].all()
    assert material.cohort.is_index[plan.inner].all()
    assert np.isfinite(material.cohort.labels[plan.train]).any(axis=1).all()


def test_cut_and_test_are_predicted_whole_with_the_bits_of_ecgbatch(
    material: Material, run: RunFolder
) -> None:
    assignment = Assignment.load(run.parts)
    net = net_of(material.experiment.architecture, _kept(run.final))
    for part in (Part.CUT, Part.TEST):
        rows = assignment.rows(part)
        found = Predictions.load(run.predictions(part))
        assert found.keys == tuple(material.cohort.keys[row] for row in rows)
        assert not material.cohort.is_index[rows].all()
        assert np.array_equal(found.logits, mean_logits([net], material.inputs.take(rows)))
        assert set(found.origin) == {"final"}


def test_where_no_task_counts_the_last_epoch_is_kept_and_said(tmp_path: Path) -> None:
    material = _material(optimiser={"epochs": 2}, selection={"fewest_positives": 1000})
    said: list[str] = []
    around = Around(torch.device("cpu"), say=said.append)
    done = fit_final(RunFolder(tmp_path), material, around)
    assert (done["best_epoch"], done["selected_by"]) == (1, "last epoch")
    assert any("last epoch is kept" in line for line in said)
    assert done["notes"]


def test_a_fold_learns_from_the_other_folds_and_chooses_within_them(material: Material) -> None:
    assignment = assign(material.cohort, material.experiment)
    plan = plan_fold(material.cohort, assignment, material.experiment, 1)
    for rows in (plan.train, plan.inner):
        assert len(rows)
        assert not (assignment.folds[rows] == 1).any()
    patients = np.array(material.cohort.patients)
    assert not set(patients[plan.train]) & set(patients[plan.inner])


def test_out_of_fold_logits_are_of_the_fit_without_the_patient(
    material: Material, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path)
    assert cross_validate(run, material, AROUND, [1]).missing == (0,)
    assert not run.predictions("out_of_fold").exists()
    found = cross_validate(run, material, AROUND)
    predicted = Predictions.load(run.predictions("out_of_fold"))
    assignment = Assignment.load(run.parts)
    keys = np.array(material.cohort.keys)
    assert set(keys[material.cohort.is_index]) <= set(predicted.keys)
    rows = np.flatnonzero(assignment.folds == 1)
    net = net_of(material.experiment.architecture, _kept(run.fold(1)))
    place = {key: row for row, key in enumerate(predicted.keys)}
    ours = predicted.logits[[place[key] for key in keys[rows]]]
    assert np.array_equal(ours, mean_logits([net], material.inputs.take(rows)))
    index = material.cohort.is_index & (assignment.folds >= 0)
    labels = material.cohort.labels[index, 2]
    scores = predicted.logits[[place[key] for key in keys[index]], 2]
    known = np.isfinite(labels)
    assert found.tasks[2].pooled == pytest.approx(roc_auc_score(labels[known], scores[known]))
    assert found.as_json() == _read(run.fold(0).parent / "summary.json")


def test_an_ensemble_of_fold_models_predicts_cut_and_test_that_none_has_seen(
    tmp_path: Path,
) -> None:
    material = _material(
        optimiser={"epochs": 1}, folds={"over": "development"}, bundle={"what": "ensemble"}
    )
    run = RunFolder(tmp_path)
    cross_validate(run, material, AROUND)
    assignment = Assignment.load(run.parts)
    nets = [net_of(material.experiment.architecture, _kept(run.fold(n))) for n in range(2)]
    rows = assignment.rows(Part.CUT)
    found = Predictions.load(run.predictions("cut"))
    assert found.keys == tuple(material.cohort.keys[row] for row in rows)
    assert np.array_equal(found.logits, mean_logits(nets, material.inputs.take(rows)))
    assert set(found.origin) == {"ensemble"}
    out_of_fold = Predictions.load(run.predictions("out_of_fold"))
    unseen = {material.cohort.keys[row] for row in assignment.rows(Part.CUT, Part.TEST)}
    assert not unseen & set(out_of_fold.keys)
    fit_final(run, material, AROUND)
    assert set(Predictions.load(run.predictions("cut")).origin) == {"ensemble"}
    assert set(Predictions.load(run.predictions("refit_cut")).origin) == {"final"}


def _read(path: Path) -> Any:
    text = json.loads(path.read_text())
    text["tasks"] = tuple({**task, "folds": tuple(task["folds"])} for task in text["tasks"])
    text["missing"] = tuple(text["missing"])
    return text
