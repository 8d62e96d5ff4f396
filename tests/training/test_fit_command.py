"""The commands from a site's table to weights and predictions, killed and shared between two
processes."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result

from ecgbatch.net.checkpoint import read_checkpoint
from tests.support.prepared_runs import Site, make_site
from training.cli.main import main
from training.data.run import open_run
from training.folder import RunFolder
from training.model.start import build_net, read_start
from training.records import Predictions
from training.settings.experiment import load_experiment
from training.splits.assignment import Assignment
from training.terms import Part

SETTINGS: dict[str, dict[str, Any]] = {
    "architecture": {"filter_list": [4], "m_blocks_list": [1], "use_bn": False},
    "labels": {"fewest_positives": 1, "experimental": ["LM"]},
    "selection": {"fewest_positives": 1},
    "compute": {"checkpoint_every_steps": 2},
}


@dataclass(frozen=True, slots=True)
class Place:
    """A site, the cache that its runs share, and a finished run."""

    site: Site
    cache: Path
    run: Path


def _train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def _fit(run: Path, site: Site, cache: Path, *more: object) -> Result:
    return _train("fit", "--run", run, *site.options, "--cache", cache, *more)


def _rename_patients(manifest: Path, before: str, *, leading_zeros: bool = False) -> None:
    table = pd.read_csv(manifest)
    table["patient_id"] = ("00" if leading_zeros else "") + before + table["patient_id"]
    table.to_csv(manifest, index=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("site")
    site = make_site(folder / "data", 60, **SETTINGS, optimiser={"epochs": 12})
    found = _fit(folder / "run", site, folder / "cache", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["fit"] == "final"
    return Place(site, folder / "cache", folder / "run")


def test_fit_prepares_the_run_fits_and_predicts(place: Place) -> None:
    run = RunFolder(place.run)
    assignment = Assignment.load(run.parts)
    assert assignment.experimental == ("LM",)
    for part in (Part.CUT, Part.TEST):
        assert len(Predictions.load(run.predictions(part)).keys) == len(assignment.rows(part))


def test_a_prepared_run_needs_no_manifest_and_a_finished_one_does_nothing(place: Place) -> None:
    found = _train("fit", "--run", place.run)
    assert found.exit_code == 0
    assert "Experimental: LM." in found.stdout


@pytest.mark.parametrize("most_bytes", [2_000, 9_000])
def test_a_full_disk_is_said_leaves_nothing_half_written_and_the_same_command_goes_on(
    most_bytes: int, place: Place, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(place.run, run, ignore=shutil.ignore_patterns("final", "predictions"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        full = _train("fit", "--run", run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert full.exit_code == 4, full.exception
    assert full.output.count("disk_full: the run folder") == 1
    assert str(tmp_path) not in full.output
    assert not list(run.rglob("*.unfinished"))
    assert _train("fit", "--run", run).exit_code == 0
    weights = [(path / "final" / "weights.pt").read_bytes() for path in (run, place.run)]
    assert weights[0] == weights[1]


def test_a_run_whose_cache_has_moved_is_told_where_it_lies_now(
    place: Place, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(place.run, run.path)
    said = json.loads(run.place.read_text("utf-8"))
    run.place.write_text(json.dumps(said | {"cache": "/nowhere"}), encoding="utf-8")
    assert _train("fit", "--run", run.path).exit_code == 4
    assert _train("fit", "--run", run.path, "--cache", place.cache).exit_code == 0
    assert _train("fit", "--run", run.path).exit_code == 0
    assert json.loads(run.place.read_text("utf-8")) == said


def test_what_no_result_depends_on_may_change_in_a_run_and_nothing_else(
    place: Place, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(place.run, run.path)
    config, text = tmp_path / "experiment.toml", place.site.config.read_text("utf-8")
    config.write_text(text.replace('_every_steps" = 2', '_every_steps" = 7'), encoding="utf-8")
    assert _train("fit", "--run", run.path, "--config", config).exit_code == 0
    assert open_run(run).experiment.compute.checkpoint_every_steps == 7
    config.write_text(text.replace('"threads" = 1', '"threads" = 2'), encoding="utf-8")
    found = _train("fit", "--run", run.path, "--config", config)
    assert (found.exit_code, "another compute.threads" in found.output) == (4, True)


def test_predictions_of_other_weights_do_not_outlive_their_fit(
    place: Place, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(place.run, run.path, ignore=shutil.ignore_patterns("final"))
    before = Predictions.load(run.predictions("cut"))
    replace(before, logits=before.logits + 1.0).save(run.predictions("cut"))
    assert _train("fit", "--run", run.path).exit_code == 0
    assert np.array_equal(Predictions.load(run.predictions("cut")).logits, before.logits)


@pytest.mark.parametrize("name", ["data/cohort", "parts", "predictions/cut"])
def test_a_damaged_table_of_a_run_is_named(name: str, place: Place, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(place.run, run)
    path = run / f"{name}.parquet"
    path.write_bytes(path.read_bytes()[:200])
    found = _train("fit", "--run", run)
    assert (found.exit_code, f"{name}.parquet is damaged" in found.output) == (4, True)


def test_a_run_folder_that_cannot_be_written_is_said_without_its_path(
    place: Place, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(place.run, run, ignore=shutil.ignore_patterns("final"))
    (run / "final").write_text("a file where a folder belongs", encoding="utf-8")
    found = _train("fit", "--run", run)
    assert (found.exit_code, str(tmp_path) in found.output) == (4, False)


def test_cross_validate_prints_the_aucs_of_some_folds_only_when_all_are_there(
    place: Place, tmp_path: Path
) -> None:
    short = make_site(tmp_path / "data", 60, **SETTINGS, optimiser={"epochs": 1})
    options = ["--run", tmp_path / "run", "--cache", place.cache]
    first = _train("cross-validate", *options, *short.options, "--folds", "1")
    assert first.exit_code == 0, first.output
    assert "Not fitted yet: fold 0 of 2." in first.output
    rest = _train("cross-validate", *options, "--folds", "0")
    assert "macro" in rest.output
    again = json.loads(_train("cross-validate", *options, "--json").stdout)
    assert [task["task"] for task in again["tasks"]] == ["RCA", "LM", "LAD", "LCX"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["cross-validate", "--folds", "7"], 4, "folds are numbered 0 to 1"),
        (["cross-validate", "--folds", "one"], 2, "numbers with commas"),
        (["fit", "--start", "."], 4, "no --start"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_said(
    arguments: list[str], code: int, said: str, place: Place
) -> None:
    found = _train(*arguments, "--run", place.run)
    assert found.exit_code == code
    assert said in found.output


def test_a_run_that_is_not_prepared_asks_for_what_it_needs(tmp_path: Path) -> None:
    found = _train("fit", "--run", tmp_path / "run")
    assert found.exit_code == 4
    assert "give --config and --manifest" in found.output


def test_a_fit_that_is_killed_by_signal_9_goes_on_to_the_same_bytes(
    place: Place, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    command = [sys.executable, "-m", "training", "fit", "--run", str(run.path)]
    command += [*place.site.options, "--cache", str(place.cache)]
    with subprocess.Popen(command, env=_alone(), stderr=subprocess.DEVNULL) as process:
        wait_until = time.monotonic() + 120
        while not (run.final / "checkpoint.pt").exists():
            assert process.poll() is None
            assert time.monotonic() < wait_until
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (run.final / "done.json").exists()
    found = _fit(run.path, place.site, place.cache, "--json")
    assert json.loads(found.stdout)["n_starts"] == 2
    for name in ("final/weights.pt", "final/history.parquet", "predictions/test.parquet"):
        assert (run.path / name).read_bytes() == (place.run / name).read_bytes()


@pytest.mark.release
def test_two_processes_of_torchrun_end_where_one_does(place: Place, tmp_path: Path) -> None:
    short = make_site(tmp_path / "data", 60, **SETTINGS, optimiser={"epochs": 3})
    one, two = tmp_path / "one", tmp_path / "two"
    assert _fit(one, short, place.cache).exit_code == 0
    prepared = _train("cross-validate", "--run", two, *short.options, "--folds", "9")
    assert prepared.exit_code == 4
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "--"]
    subprocess.run(
        [sys.executable, *torchrun, "training", "fit", "--run", str(two)],
        env=_alone(),
        check=True,
        capture_output=True,
    )
    ours, theirs = (
        read_checkpoint((run / "final" / "weights.pt").read_bytes()) for run in (one, two)
    )
    for name, tensor in ours.items():
        assert torch.allclose(tensor, theirs[name], atol=1e-5), name
    logits = [Predictions.load(RunFolder(run).predictions("cut")).logits for run in (one, two)]
    assert np.allclose(*logits, atol=1e-4)


def test_an_intermediate_stage_of_our_own_starts_the_next_and_none_of_its_ecgs_is_predicted(
    place: Place, tmp_path: Path
) -> None:
    words = {"positive": ["severe"], "negative": ["none"]}
    binary = [{"name": "infarction", "column": "LAD", **words}]
    site = make_site(
        tmp_path / "data",
        40,
        seed=9,
        **{
            **SETTINGS,
            "architecture": {**SETTINGS["architecture"], "n_classes": 1},
            "labels": {"binary": binary, "fewest_positives": 1},
            "optimiser": {"epochs": 2},
        },
    )
    _rename_patients(site.manifest, "stage ")
    stage = tmp_path / "stage"
    found = _fit(stage, site, place.cache)
    assert found.exit_code == 0, found.output
    next_site = make_site(
        tmp_path / "next",
        60,
        **SETTINGS,
        start={"kind": "checkpoint", "checkpoint_use_bn": False},
        optimiser={"epochs": 1},
    )
    given = load_experiment(next_site.config)
    start = read_start(given, stage)
    assert start.kind == "intermediate stage"
    stages = read_checkpoint((stage / "final" / "weights.pt").read_bytes())
    net = build_net(given, start, 0).state_dict()
    backbone = [name for name in net if not name.startswith("dense.")]
    assert all(torch.equal(net[name], stages[name]) for name in backbone)
    found = _fit(tmp_path / "run", next_site, place.cache, "--start", stage)
    assert found.exit_code == 0, found.output
    assert "The head was drawn anew." in found.output
    same = make_site(
        tmp_path / "data",
        40,
        seed=9,
        **SETTINGS,
        split={"seed": 1},
        start={"kind": "checkpoint", "checkpoint_use_bn": False},
    )
    for start_at in (stage, stage / "final" / "weights.pt"):
        refused = _fit(tmp_path / "other", same, place.cache, "--start", start_at)
        assert refused.exit_code == 4
        assert "has learned from" in refused.output
    # Other ECGs of its patients are as much a leak as the same ones.
    _rename_patients(next_site.manifest, "Stage", leading_zeros=True)
    refused = _fit(tmp_path / "patients", next_site, place.cache, "--start", stage)
    assert refused.exit_code == 4
    assert "has learned from" in refused.output
    (stage / "data" / "private.parquet").unlink()
    said = _fit(tmp_path / "patients", next_site, place.cache, "--start", stage)
    assert said.exit_code == 0
    assert "by the bytes of the ECGs alone" in said.output


def test_a_linear_probe_leaves_the_backbone_alone(place: Place, tmp_path: Path) -> None:
    site = make_site(
        tmp_path / "data", 60, **SETTINGS, start={"trained": "head"}, optimiser={"epochs": 2}
    )
    run = RunFolder(tmp_path / "run")
    found = _fit(run.path, site, place.cache)
    assert found.exit_code == 0, found.output
    given = open_run(run).experiment
    before = build_net(given, read_start(given, None), 0).state_dict()
    after = read_checkpoint((run.final / "weights.pt").read_bytes())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"dense.weight", "dense.bias"}


def _alone() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}
