"""The settings file of an experiment, and what crosses between the trainer's parts on disk."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from ecgbatch.errors import SetupFault
from tests.support.experiments import COLUMNS, TINY_NET, experiment
from training.folder import write_json, write_whole
from training.records import COVARIATES, Cohort, Predictions
from training.settings.experiment import load_experiment


def test_a_whole_experiment_is_read_back_from_its_own_json(tmp_path: Path) -> None:
    given = experiment()
    assert type(given).model_validate_json(given.model_dump_json()) == given


@pytest.mark.parametrize(
    ("part", "keys", "said"),
    [
        ("optimiser", {"unheard_of": 1}, "unheard_of"),
        (
            "data",
            {"columns": {**COLUMNS, "vessels": dict.fromkeys(("RCA", "LM", "LAD", "LCX"), "RCA")}},
            "one column for two vessels",
        ),
        ("labels", {"positive_from": {"RCA": "severe"}}, "four vessels"),
        ("labels", {"experimental": ["RCA", "LM", "LAD", "LCX"]}, "at least one vessel"),
        ("loss", {"positive_weight": {"LMCA": 2.0}}, "LMCA"),
        ("operating_points", {"calibrator": "prior_shift"}, "site_prevalence"),
        (
            "operating_points",
            {
                "absolute": {
                    "base": dict.fromkeys(("RCA", "LM", "LAD", "LCX"), 0.15),
                    "any_vessel_base": 0.15,
                }
            },
            "calibrator",
        ),
        ("start", {"kind": "checkpoint"}, "checkpoint_use_bn"),
        ("architecture", {**TINY_NET, "n_classes": 3}, "n_classes"),
        ("bundle", {"what": "ensemble"}, "development"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    part: str, keys: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        experiment(**{part: keys})


def test_an_unfit_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text('name = "x"\n', encoding="utf-8")
    with pytest.raises(SetupFault) as refused:
        load_experiment(path)
    assert refused.value.detail == "key data is not stated"


def test_a_cohort_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    cohort = Cohort(
        tasks=("RCA", "LM", "LAD", "LCX"),
        keys=("a", "b"),
        patients=("p000001", "p000002"),
        is_index=np.array([True, False]),
        labels=np.array([[1, 0, np.nan, 0], [0, 0, 1, 0]], dtype=np.float32),
        grades=np.array([[3, 0, -1, 2], [1, 1, 4, 0]], dtype=np.int8),
        covariates=pd.DataFrame(
            {
                **dict.fromkeys(COVARIATES, pd.NA),
                "sex": ["female", None],
                "age_years": [61.5, np.nan],
                "ecg_at": pd.to_datetime(["2030-01-01", None]),
            },
            index=[0, 1],
        )
        .replace({pd.NA: None})
        .astype(COVARIATES),
        experimental=("LM",),
    )
    cohort.save(tmp_path / "cohort.parquet")
    back = Cohort.load(tmp_path / "cohort.parquet")

    assert back.keys == cohort.keys
    assert back.tasks == cohort.tasks
    assert back.experimental == ("LM",)
    np.testing.assert_array_equal(back.labels, cohort.labels)
    np.testing.assert_array_equal(back.grades, cohort.grades)
    pd.testing.assert_frame_equal(back.covariates, cohort.covariates)
    assert back.index_only().patients == ("p000001",)


def test_predictions_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    given = Predictions(
        ("RCA", "LM"), ("a", "b"), np.array([[0.1, -2.0], [3.0, 4.5]]), ("fold 0", "fold 1")
    )
    given.save(tmp_path / "p.parquet")
    back = Predictions.load(tmp_path / "p.parquet")

    assert (back.tasks, back.keys, back.origin) == (given.tasks, given.keys, given.origin)
    np.testing.assert_array_equal(back.logits, given.logits)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.json"
    write_json(path, {"a": 1})

    def fail(aside: Path) -> None:
        aside.write_text("half", encoding="utf-8")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_whole(path, fail)
    assert path.read_text(encoding="utf-8") == '{\n "a": 1\n}\n'
    assert [entry.name for entry in path.parent.iterdir()] == ["x.json"]
