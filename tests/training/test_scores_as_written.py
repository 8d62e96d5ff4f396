"""What a file of scores implies: cuts, what any vessel counts, its bundle; and what it may not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgbatch.bundle.load import load_bundle
from ecgbatch.errors import SetupFault
from ecgbatch.resources import folder
from ecgbatch.terms import Stratum, Vessel
from tests.support.experiments import experiment
from tests.support.followed_studies import drawn_study
from training.evaluation.of_bundle import cut_pairs
from training.evaluation.of_scores import context_of_scores
from training.evaluation.scores_file import (
    booleans,
    cuts_of,
    experimental_of,
    only_bundle,
    read_scores,
    refuse_other,
)
from training.statistics.any_vessel import SCOPES, task_of
from training.statistics.decisions import classes

_WORDS = np.array([stratum.value for stratum in Stratum])


def _scores(counted: tuple[Vessel, ...] = (Vessel.RCA, Vessel.LAD)) -> pd.DataFrame:
    """Scores of a bundle under which only `counted` are not experimental."""
    study = drawn_study(60, seed=4)
    risks = dict(zip(Vessel, study.probabilities.T, strict=True))
    largest = np.max([risks[vessel] for vessel in counted], axis=0)
    return pd.DataFrame(
        {
            "ecg_id": [f"e{number}" for number in range(60)],
            "bundle_name": "hospital",
            "bundle_version": "1",
            "is_clinical": "t",
            **{f"risk_{v.lower()}": risks[v] for v in Vessel},
            **{
                f"stratum_{v.lower()}": _WORDS[classes(risks[v], (0.2, 0.5))]
                if v in counted
                else None
                for v in Vessel
            },
            "any_vessel_risk": largest,
            "any_vessel_stratum": _WORDS[classes(largest, (0.3, 0.6))],
            "ecg_date": "2024-03-01T08:05:09",
            "ecg_date_source": ["acquired_at", "first_seen_at"] * 30,
            "outside_intended_use": ["t", "f", None] * 20,
        }
    )


def _written(table: pd.DataFrame, place: Path) -> Path:
    path = place / "scores.csv"
    table.to_csv(path, index=False)
    return path


def test_any_vessel_is_what_the_scores_were_written_with_not_what_the_settings_say(
    tmp_path: Path,
) -> None:
    # LCX had no cuts in the bundle, so that it was experimental; the settings name LM alone.
    settings = experiment(
        data={
            "columns": {"patient": "patient", "ecg_path": "path", "vessels": {v: v for v in Vessel}}
        }
    )
    labels = tmp_path / "labels.csv"
    frame = pd.DataFrame({"patient": [f"p{n}" for n in range(60)]})
    frame["ecg_id"] = [f"e{n}" for n in range(60)]
    frame.assign(**dict.fromkeys(Vessel, "none")).to_csv(labels, index=False)
    table = _scores()
    joined = context_of_scores(
        settings, _written(table, tmp_path), labels, by="ecg_id", bundle=None
    )
    study, cuts = joined.context.study, joined.context.cuts
    assert study.experimental == (Vessel.LM, Vessel.LCX)
    task = task_of(study, "any_vessel")
    np.testing.assert_allclose(task.scores, table["any_vessel_risk"])
    found = _WORDS[classes(task.scores, cuts["any_vessel"])]
    assert found.tolist() == table["any_vessel_stratum"].tolist()
    # Time zero of events is the ECG's own time, never the day its file was seen.
    at = study.covariates["ecg_at"]
    assert at.dropna().unique().tolist() == [pd.Timestamp("2024-03-01 08:05:09")]
    assert at.isna().sum() == 30
    assert joined.n_outside == 20


def test_a_vessel_above_any_vessel_was_not_counted() -> None:
    table = _scores((Vessel.RCA, Vessel.LAD)).drop(columns=["stratum_lcx"])
    assert experimental_of(table, (Vessel.LM,)) == (Vessel.LM, Vessel.LCX)
    table["any_vessel_risk"] = 0.9
    with pytest.raises(SetupFault, match="not the maximum"):
        experimental_of(table, (Vessel.LM,))


def _set(column: str, value: object) -> Callable[[pd.DataFrame], None]:
    def change(table: pd.DataFrame) -> None:
        table[column] = table[column].astype(object)
        table.loc[7, column] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("risk_rca", "nan"), "risk_rca: not all within 0 and 1"),
        (_set("risk_rca", "1.2"), "risk_rca: not all within 0 and 1"),
        (_set("risk_rca", "=1+1"), "risk_rca: not all within 0 and 1"),
        (_set("any_vessel_risk", None), "any_vessel_risk: not all within 0 and 1"),
        (_set("stratum_rca", None), "RCA: some strata are missing"),
        (_set("stratum_rca", "urgent"), "RCA: the strata do not rise"),
        (_set("is_clinical", None), "is missing in a row"),
        (_set("bundle_name", "other"), "2 bundles"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    tmp_path: Path, change: Callable[[pd.DataFrame], None], said: str
) -> None:
    table = _scores()
    change(table)
    with pytest.raises(SetupFault, match=said):
        _implied(read_scores(_written(table, tmp_path)))


def _implied(table: pd.DataFrame) -> None:
    only_bundle(table)
    cuts_of(table)


def test_booleans_are_read_as_each_database_writes_them() -> None:
    found = booleans(pd.Series(["t", "f", "1", "0", "True", "False", "1.0", None, "yes"]))
    assert found.tolist()[:7] == [True, False, True, False, True, False, True]
    assert found.isna().tolist()[7:] == [True, True]


def test_scores_under_other_cuts_are_not_the_bundles() -> None:
    bundle = load_bundle(folder("demonstration") / "bundle").manifest
    cuts = cut_pairs(bundle)
    table = _scores((Vessel.RCA, Vessel.LAD, Vessel.LCX))
    table["bundle_name"], table["bundle_version"] = bundle.name, bundle.version
    table["is_clinical"] = booleans(table["is_clinical"])
    for scope in SCOPES:
        name = "any_vessel" if scope == "any_vessel" else scope.lower()
        risk, stratum = (f"{name}_risk", f"{name}_stratum")
        if scope != "any_vessel":
            risk, stratum = f"risk_{name}", f"stratum_{name}"
        table[stratum] = _WORDS[classes(table[risk].to_numpy(), cuts[scope])]
    refuse_other(table, bundle)
    # A digit lost in print moves no stratum.
    cut = cuts[Vessel.RCA][1]
    is_apart = (table["risk_lad"] == table["any_vessel_risk"]) & (table["risk_lad"] > cut)
    row = table.index[is_apart][0]
    table.loc[row, "risk_rca"], table.loc[row, "stratum_rca"] = cut - 1e-12, "high"
    refuse_other(table, bundle)
    row = table["risk_lad"].idxmax()
    table.loc[row, "stratum_lad"] = "low"
    with pytest.raises(SetupFault, match="another bundle"):
        refuse_other(table, bundle)
