"""The study of conflicting tasks: its arithmetic by hand, and a small run of it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ecgbatch.resources import folder
from training.cli.study_pcgrad import command
from training.settings.base import read_toml
from training.studies.conflict import Fitted, paired


def test_the_interval_of_the_paired_difference_by_hand() -> None:
    """Differences 1, 2, 3, 4, 5 (in %): mean 3, SD sqrt(2.5), t(0.975; 4) = 2.776445."""
    fits = [Fitted(seed, "none", (0.7, 0.5), 0.0) for seed in range(5)]
    fits += [
        Fitted(seed, "pcgrad", (0.71 + 0.01 * seed, 0.51 + 0.01 * seed), 2.0) for seed in range(5)
    ]
    found = paired(fits)
    half = 2.776445 * (2.5 / 5) ** 0.5 / 100
    assert found.mean == pytest.approx(0.03)
    assert (found.low, found.high) == pytest.approx((0.03 - half, 0.03 + half), abs=1e-7)


def test_a_small_study_writes_both_files_and_only_the_projection_differs(tmp_path: Path) -> None:
    text = (folder("config") / "study.pcgrad.toml").read_text(encoding="utf-8")
    for was, becomes in {
        "seeds = [1, 2, 3, 4, 5]": "seeds = [1, 2]",
        "n_train = 1000": "n_train = 40",
        "n_patients = 1800": "n_patients = 100",
        "epochs = 8": "epochs = 1",
        "batch_size = 40": "batch_size = 20",
    }.items():
        assert was in text
        text = text.replace(was, becomes)
    config = tmp_path / "study.toml"
    config.write_text(text, encoding="utf-8")

    answer = CliRunner().invoke(
        command, ["--config", str(config), "--out", str(tmp_path / "out"), "--json"]
    )
    assert answer.exit_code == 0, answer.output
    found = json.loads((tmp_path / "out" / "study-pcgrad.json").read_text(encoding="utf-8"))
    assert found == json.loads(answer.output)
    assert [(fit["seed"], fit["projection"]) for fit in found["fits"]] == [
        (1, "none"),
        (1, "pcgrad"),
        (2, "none"),
        (2, "pcgrad"),
    ]
    assert found["fits"][1]["conflicts"] > 0
    assert found["low"] <= found["mean"] <= found["high"]
    table = (tmp_path / "out" / "study-pcgrad.md").read_text(encoding="utf-8")
    assert f"{found['mean']:+.4f}" in table
    assert "(t, 1 degree of freedom)" in table


def test_the_settings_pull_pairs_of_vessels_apart() -> None:
    towards = read_toml(folder("config") / "study.pcgrad.toml")["cohort"]["effect"]["direction"]
    for one, other in (("RCA", "LAD"), ("LM", "LCX")):
        assert towards[one] == [-part for part in towards[other]]
