"""From the first synthetic patient to SQL and back, by the commands of `make train-demo`."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from ecgbatch.resources import folder
from ecgbatch.terms import DEMONSTRATION_NOTICE
from tests.cli.command import ecgbatch
from training.cli.main import main
from training.records import load_measures
from training.terms import Quantity

PATIENTS = 200
_SMALLER = {
    "epochs = 8": "epochs = 1",
    "n_resamples = 1000": "n_resamples = 20",
    "base_filters = 8": "base_filters = 4",
    "filter_list = [8, 16, 32, 32, 64, 64, 96]": "filter_list = [4, 8]",
    "m_blocks_list = [1, 1, 1, 1, 1, 1, 1]": "m_blocks_list = [1, 1]",
    "kernel_size = 16": "kernel_size = 8",
    "stride = 2 ": "stride = 4 ",
    "groups_width = 8": "groups_width = 4",
    "threads = 2 ": "threads = 1 ",
    "processes = 2": "processes = 1",
    "fewest_positives = 30": "fewest_positives = 5",
    'calibrator = "none"': 'calibrator = "none"\nfewest_positives = 5\nfew_positives = 10',
    "age_bands = [50.0, 65.0, 75.0]": "age_bands = [65.0]\nlowess_resamples = 20",
    "n_golden = 6": "n_golden = 2",
}
_OFTEN = "[0.40, 0.10, 0.10, 0.20, 0.20]"


def settings() -> str:
    """The demonstration's own file with everything small and disease often."""
    text = (folder("config") / "train.demo.toml").read_text(encoding="utf-8")
    text = text.replace("stride = 2\n", "stride = 2 \n")
    for before, after in _SMALLER.items():
        assert before in text, before
        text = text.replace(before, after)
    shares = text.index("[cohort.grade_shares]")
    head, tail = text[:shares], text[shares:]
    for line in tail.splitlines()[1:5]:
        vessel = line.split(" = ")[0]
        tail = tail.replace(line, f"{vessel} = {_OFTEN}", 1)
    return head + tail


class Way:
    """The folder of one walk, and its commands."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.config = place / "train.toml"
        self.config.write_text(settings(), encoding="utf-8")
        self.run = place / "run"

    def go(self, *words: object) -> Any:
        told = CliRunner().invoke(main, [*map(str, words), "--json"])
        assert told.exit_code == 0, (words, told.output, told.exception)
        return json.loads(told.stdout)


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Way:
    """A run with its bundle, and the database that `run-once` made of the test cohort's files."""
    walk = Way(tmp_path_factory.mktemp("way"))
    cohort = walk.place / "cohort"
    walk.go("synthesise", PATIENTS, "--config", walk.config, "--out", cohort)
    manifest = cohort / "manifest.csv"
    walk.go("check-data", "--config", walk.config, "--manifest", manifest, "--run", walk.run)
    walk.go("fit", "--run", walk.run)
    walk.go("operating-points", "--run", walk.run)
    walk.go("evaluate", "--run", walk.run)
    card = ("--card", walk.place / "card.md")
    walk.go("export", "--run", walk.run, "--out", walk.place / "bundle", *card)
    return walk


@pytest.fixture(scope="module")
def scored(way: Way) -> Path:
    database = way.place / "results.db"
    source = ("--source", way.place / "cohort" / "records", "--db", f"sqlite:///{database}")
    done = ecgbatch("run-once", *source, "--bundle", way.place / "bundle", "--settle", 0)
    assert done.exit_code == 0, done.err
    assert DEMONSTRATION_NOTICE in done.out
    return database


def test_the_report_and_the_card_are_there_and_say_synthetic(way: Way) -> None:
    report = (way.run / "evaluation" / "test" / "report.html").read_text(encoding="utf-8")
    card = (way.place / "card.md").read_text(encoding="utf-8")

    for text in (report, card):
        assert "synthetic" in text.lower()
        assert "ow does not exclude disease" in text
    assert "SYN0" not in report + card


def test_files_are_scored_as_training_scored_them(way: Way, scored: Path) -> None:
    predicted = pd.read_parquet(way.run / "predictions" / "test.parquet")
    with sqlite3.connect(scored) as connection:
        rows = pd.read_sql(
            "SELECT file_digest AS key, task, logit FROM score JOIN result USING (result_id)"
            " JOIN recording USING (recording_id)",
            connection,
        )
    connection.close()
    found = rows.pivot_table(index="key", columns="task", values="logit").loc[predicted["key"]]

    assert len(found) > PATIENTS * 0.2
    for task in ("RCA", "LM", "LAD", "LCX"):
        difference = abs(found[task].to_numpy() - predicted[f"logit_{task}"].to_numpy())
        assert difference.max() <= 1e-5


def test_a_study_of_written_scores_finds_what_the_run_found(way: Way, scored: Path) -> None:
    """Silent mode: risks from the database, labels from the manifest, nothing scored again."""
    manifest = pd.read_csv(way.place / "cohort" / "manifest.csv", dtype=str)
    private = pd.read_parquet(way.run / "data" / "private.parquet")
    tested = pd.read_parquet(way.run / "predictions" / "test.parquet")["key"]
    cohort = pd.read_parquet(way.run / "data" / "cohort.parquet")
    index = set(cohort.loc[cohort["is_index"], "key"]) & set(tested)
    rows = private.loc[private["key"].isin(index)]
    with sqlite3.connect(scored) as connection:
        latest = pd.read_sql("SELECT * FROM v_latest_risk", connection)
        digests = pd.read_sql("SELECT recording_id, file_digest FROM recording", connection)
    connection.close()
    latest = latest.merge(digests, on="recording_id")
    # The files have no number of their own that a label table could name: the digest stands in.
    latest["ecg_id"] = latest.pop("file_digest")
    latest.to_csv(way.place / "scores.csv", index=False)
    labels = manifest.iloc[rows["row"].to_numpy() - 2].assign(ecg_id=rows["key"].to_numpy())
    labels.to_csv(way.place / "labels.csv", index=False)
    out = way.place / "silent"
    files = ("--scores", way.place / "scores.csv", "--labels", way.place / "labels.csv")
    way.go("evaluate", *files, "--config", way.config, "--out", out)

    def areas(path: Path) -> dict[str, float]:
        return {
            str(measure.scope): measure.estimate.value
            for measure in load_measures(path)
            if measure.quantity is Quantity.AUROC and measure.group == "overall"
        }

    run = areas(way.run / "evaluation" / "test" / "measures.parquet")
    silent = areas(out / "measures.parquet")
    assert silent.keys() == run.keys()
    assert silent == pytest.approx(run, abs=1e-9)


@pytest.mark.release
def test_an_external_cohort_is_measured_with_the_frozen_bundle(way: Way) -> None:
    cohort = way.place / "external"
    again = ("--seed", 9, "--config", way.config)
    way.go("synthesise", 40, *again, "--out", cohort)
    files = ("--manifest", cohort / "manifest.csv", "--config", way.config)
    found = way.go("evaluate", "--bundle", way.place / "bundle", *files, "--out", way.place / "ext")

    assert found["n_patients"] > 20
    assert (way.place / "ext" / "report.html").is_file()
