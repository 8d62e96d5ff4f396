"""A fit that is killed at any step ends with the same bits as one that is not."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ecgbatch.errors import SetupFault
from tests.support.cohorts import drawn_cohort, inputs_of
from tests.support.experiments import experiment
from training.fit.folder import FitFolder
from training.fit.loop import fit
from training.fit.material import Around, Material
from training.fit.plan import Plan, plan_final
from training.model.start import read_start
from training.splits.assignment import assign

SETTINGS: dict[str, dict[str, Any]] = {
    "architecture": {
        "use_dropout": True,
        "dropout_p": 0.3,
        "filter_list": [4],
        "m_blocks_list": [1],
    },
    "optimiser": {"epochs": 3, "batch_size": 8, "ema_decay": 0.9},
    "augmentation": {"shift_probability": 0.8, "noise_probability": 0.5},
    "labels": {"fewest_positives": 1},
    "selection": {"fewest_positives": 1},
}
N_STEPS = 12
WRITTEN = ("weights.pt", "history.parquet", "epochs.parquet", "start.json")


class Killed(Exception):
    """In place of a signal."""


def _material(**changed: dict[str, Any]) -> Material:
    settings = {part: {**SETTINGS.get(part, {}), **changed.get(part, {})} for part in SETTINGS}
    settings |= {part: keys for part, keys in changed.items() if part not in SETTINGS}
    given = experiment(**settings)
    cohort = drawn_cohort(58, prevalence=(0.5, 0.4, 0.5, 0.4))
    return Material(given, cohort, inputs_of(cohort, 0.5, n_samples=1000), read_start(given, None))


def _plan(material: Material) -> Plan:
    return plan_final(material.cohort, assign(material.cohort, material.experiment))


def _around(progress: Callable[[str, int, int], None] = lambda *_: None) -> Around:
    return Around(torch.device("cpu"), progress=progress)


def _killed_at(step: int) -> Callable[[str, int, int], None]:
    def progress(_what: str, done: int, _total: int) -> None:
        if done == step:
            raise Killed

    return progress


@pytest.fixture(scope="module")
def material() -> Material:
    return _material()


@pytest.fixture(scope="module")
def whole(material: Material, tmp_path_factory: pytest.TempPathFactory) -> FitFolder:
    folder = FitFolder(tmp_path_factory.mktemp("whole"))
    done = fit(_plan(material), material, folder, _around())
    assert done["n_steps"] == N_STEPS
    return folder


@pytest.fixture(scope="module")
def half(material: Material, tmp_path_factory: pytest.TempPathFactory) -> FitFolder:
    """Killed after step 5; its checkpoint is of step 4."""
    folder = FitFolder(tmp_path_factory.mktemp("half"))
    with pytest.raises(Killed):
        fit(_plan(material), material, folder, _around(_killed_at(5)))
    return folder


@pytest.mark.parametrize("steps", [[1], [7], [12], [3, 6, 11]], ids=str)
def test_a_killed_fit_goes_on_to_the_same_bytes(
    steps: list[int], material: Material, whole: FitFolder, tmp_path: Path
) -> None:
    folder, plan = FitFolder(tmp_path), _plan(material)
    for step in steps:
        with pytest.raises(Killed):
            fit(plan, material, folder, _around(_killed_at(step)))
    done = fit(plan, material, folder, _around())
    assert done["n_starts"] == 1 + sum(step >= 2 for step in steps)
    for name in WRITTEN:
        assert (folder.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(
    material: Material, whole: FitFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, plan = FitFolder(tmp_path), _plan(material)
    save, n_saved = torch.save, 0

    def half(value: object, opened: Any) -> None:
        nonlocal n_saved
        n_saved += 1
        if n_saved == 4:
            opened.write(b"half")
            raise Killed
        save(value, opened)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", half)
        with pytest.raises(Killed):
            fit(plan, material, folder, _around())
    # A signal would not even have let the half file be removed.
    (folder.path / ".checkpoint.pt.x.unfinished").write_bytes(b"half")
    fit(plan, material, folder, _around())
    assert folder.weights.read_bytes() == whole.weights.read_bytes()
    assert not list(folder.path.glob(".*"))


def test_a_finished_fit_does_nothing_again(material: Material, whole: FitFolder) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.path.rglob("*")}
    told: list[int] = []
    done = fit(_plan(material), material, whole, _around(lambda *_: told.append(1)))
    assert done["fit"] == "final"
    assert not told
    assert {path: path.stat().st_mtime_ns for path in whole.path.rglob("*")} == before


def test_nothing_of_the_way_is_left_behind_even_by_a_kill_at_the_very_end(
    material: Material, whole: FitFolder, tmp_path: Path
) -> None:
    assert not whole.checkpoint.exists()
    assert not whole.all_best()
    folder = FitFolder(tmp_path / "copy")
    shutil.copytree(whole.path, folder.path)
    folder.checkpoint.write_bytes(b"old")
    folder.best(1).write_bytes(b"old")
    fit(_plan(material), material, folder, _around())
    assert not folder.checkpoint.exists()
    assert not folder.all_best()


@pytest.mark.parametrize(
    "changed",
    [
        {"optimiser": {"learning_rate": 0.002}},
        {"augmentation": {"noise_probability": 0.4}},
        {"compute": {"seed": 1}},
        {"loss": {"weighting": "equal"}},
    ],
    ids=str,
)
def test_a_checkpoint_of_other_settings_is_refused(
    changed: dict[str, dict[str, Any]], half: FitFolder
) -> None:
    other = _material(**changed)
    with pytest.raises(SetupFault, match="other settings"):
        fit(_plan(other), other, half, _around())


def test_a_finished_fit_of_other_labels_is_refused(material: Material, whole: FitFolder) -> None:
    plan = _plan(material)
    labels = material.cohort.labels.copy()
    labels[plan.train[0]] = 1 - np.nan_to_num(labels[plan.train[0]])
    cohort = type(material.cohort)(
        **{
            name: getattr(material.cohort, name)
            for name in material.cohort.__dataclass_fields__
            if name != "labels"
        },
        labels=labels,
    )
    other = Material(material.experiment, cohort, material.inputs, material.start)
    with pytest.raises(SetupFault, match="other settings"):
        fit(plan, other, whole, _around())


def test_weights_that_are_not_those_of_the_fit_are_refused(
    material: Material, whole: FitFolder, tmp_path: Path
) -> None:
    folder = FitFolder(tmp_path)
    folder.done.write_bytes(whole.done.read_bytes())
    folder.weights.write_bytes(b"other")
    with pytest.raises(SetupFault, match="not those of the fit"):
        fit(_plan(material), material, folder, _around())


def test_only_how_often_it_is_saved_may_change_on_the_way(
    half: FitFolder, whole: FitFolder, tmp_path: Path
) -> None:
    folder = FitFolder(tmp_path / "copy")
    shutil.copytree(half.path, folder.path)
    rarer = _material(compute={"checkpoint_every_steps": 7})
    fit(_plan(rarer), rarer, folder, _around())
    assert folder.weights.read_bytes() == whole.weights.read_bytes()


def test_two_fits_never_work_in_one_folder(material: Material, tmp_path: Path) -> None:
    folder = FitFolder(tmp_path)

    def again(_what: str, done: int, _total: int) -> None:
        if done == 1:
            with pytest.raises(SetupFault, match="run_locked"):
                fit(_plan(material), material, folder, _around())
            raise Killed

    with pytest.raises(Killed):
        fit(_plan(material), material, folder, _around(again))


def test_tensorboard_shows_every_step_once_after_a_resume(
    material: Material, tmp_path: Path
) -> None:
    folder = FitFolder(tmp_path)
    with pytest.raises(Killed):
        fit(_plan(material), material, folder, _around(_killed_at(7)))
    # TensorBoard reads files by name: by their second, then by a number of the process, as text.
    time.sleep(1.0)
    fit(_plan(material), material, folder, _around())
    shown = EventAccumulator(str(folder.events)).Reload()
    history = pd.read_parquet(folder.history)
    points = shown.Scalars("loss/RCA")
    assert [point.step for point in points] == list(range(N_STEPS))
    assert np.allclose([point.value for point in points], history.loss_RCA, rtol=1e-5)
    epochs = pd.read_parquet(folder.epochs)
    inner = shown.Scalars("inner/auc_macro")
    assert [point.step for point in inner] == epochs.step.tolist()
