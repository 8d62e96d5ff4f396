"""`evaluate` from a frozen bundle's scores to a report, and the table of evidence."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ecgbatch.bundle.calibration import calibrate
from ecgbatch.bundle.golden import golden_inputs
from ecgbatch.bundle.load import load_bundle
from ecgbatch.errors import SetupFault
from ecgbatch.resources import folder
from ecgbatch.terms import Stratum, Vessel
from tests.support.experiments import experiment
from tests.support.followed_studies import drawn_study
from training.cli.evaluate import _other_definitions, command
from training.evaluation import incidence
from training.evaluation import run as running
from training.evaluation.of_bundle import cut_pairs, score
from training.evaluation.of_scores import context_of_scores
from training.evaluation.scores_file import cuts_of
from training.evaluation.section import Context, Findings, Picture, Table
from training.records import ArrayInputs, Estimate, Measure
from training.report.evidence import ABSENT, fill, filled_text
from training.report.html import Fact, render
from training.report.write import Evidence, write_evaluation
from training.settings.experiment import Experiment
from training.statistics.decisions import classes
from training.terms import Quantity

HOSTILE = '<script>alert("x")</script>&"'
_VOID = {"meta", "img", "br", "hr", "link", "input"}


def _tables(place: Path) -> tuple[Path, Path]:
    """Scores of 60 ECGs and labels of 60, of which 55 are the same; one key stands twice."""
    study = drawn_study(60, seed=4)
    largest = study.probabilities[:, [0, 2, 3]].max(axis=1)
    words = np.array([stratum.value for stratum in Stratum])
    scores = pd.DataFrame(
        {
            "ecg_id": [f"e{number}" for number in range(60)],
            "bundle_name": "hospital",
            "bundle_version": "1",
            "is_clinical": 1,
            **{f"risk_{v.lower()}": study.probabilities[:, i] for i, v in enumerate(Vessel)},
            "stratum_lad": words[classes(study.probabilities[:, 2], (0.2, 0.5))],
            "any_vessel_risk": largest,
            "any_vessel_stratum": words[classes(largest, (0.3, 0.6))],
            "sex": ["female", "M"] * 30,
        }
    )
    grades = np.array(["none", "mild", "moderate", "severe"])
    labels = pd.DataFrame(
        {
            "patient_id": [f"p{number}" for number in range(5, 65)],
            "ecg_id": [f"e{number}" for number in range(5, 65)],
            **{v.value: np.roll(grades[study.grades[:, i] % 4], -5) for i, v in enumerate(Vessel)},
        }
    )
    labels.loc[59, "ecg_id"] = "e5"
    paths = place / "scores.csv", place / "labels.csv"
    scores.to_csv(paths[0], index=False)
    labels.to_csv(paths[1], index=False)
    return paths


def _experiment() -> Experiment:
    columns = {"patient": "patient_id", "ecg_path": "ecg_path", "vessels": {v: v for v in Vessel}}
    return experiment(data={"columns": columns}, evaluation={"lowess_resamples": 5})


def test_scores_are_joined_by_a_key_and_what_has_no_partner_is_listed(tmp_path: Path) -> None:
    scores, labels = _tables(tmp_path)
    joined = context_of_scores(_experiment(), scores, labels, by="ecg_id", bundle=None)
    # e5 stands twice among the labels; e60 to e63 have no score, e0 to e4 no label.
    assert joined.n_matched == 54
    reasons = joined.unmatched.groupby(["table", "reason"]).size().to_dict()
    assert reasons == {
        ("labels", "no match"): 4,
        ("labels", "the key stands in several rows"): 2,
        ("scores", "no match"): 5,
        ("scores", "the key stands in several rows of the other table"): 1,
    }
    study = joined.context.study
    table = pd.read_csv(scores)
    np.testing.assert_allclose(
        study.probabilities[0],
        table.loc[6, ["risk_rca", "risk_lm", "risk_lad", "risk_lcx"]].to_numpy(dtype=float),
    )
    assert set(study.covariates["sex"].dropna()) == {"female"}
    assert set(joined.context.cuts) == {Vessel.LAD, "any_vessel"}
    assert (joined.bundle, joined.is_clinical) == ("hospital 1", True)


def test_the_implied_cuts_give_every_score_its_own_stratum(tmp_path: Path) -> None:
    table = pd.read_csv(_tables(tmp_path)[0])
    found = classes(table["risk_lad"].to_numpy(), cuts_of(table)[Vessel.LAD])
    assert [list(Stratum)[place].value for place in found] == table["stratum_lad"].tolist()
    table.loc[table["risk_lad"].idxmin(), "stratum_lad"] = "high"
    with pytest.raises(SetupFault, match="do not rise"):
        cuts_of(table)


def test_scores_of_two_bundles_are_refused(tmp_path: Path) -> None:
    scores, labels = _tables(tmp_path)
    table = pd.read_csv(scores)
    table.loc[3, "bundle_version"] = 2
    table.to_csv(scores, index=False)
    with pytest.raises(SetupFault, match="2 bundles"):
        context_of_scores(_experiment(), scores, labels, by="ecg_id", bundle=None)


def test_a_frozen_bundle_scores_as_ecgbatch_does() -> None:
    bundle = load_bundle(folder("demonstration") / "bundle")
    inputs = golden_inputs(bundle.golden_signals_mv, bundle.manifest.preprocessing)
    found = score(bundle, ArrayInputs(inputs), lambda *_: None)
    expected = [
        [
            calibrate(float(value), task.calibrator)
            for value, task in zip(row, bundle.manifest.tasks, strict=True)
        ]
        for row in bundle.golden_logits
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert "any_vessel" in cut_pairs(bundle.manifest)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give --run, --bundle or --scores"),
        (["--scores", "{file}"], "--scores needs --labels, --config, --out"),
        (["--run", "{folder}", "--config", "{file}"], "does not go with --config"),
        (["--run", "{folder}", "--root", "{folder}"], "does not go with --root"),
    ],
)
def test_a_wrong_set_of_options_is_named(tmp_path: Path, arguments: list[str], said: str) -> None:
    file = tmp_path / "file"
    file.touch()
    given = [one.format(file=file, folder=tmp_path) for one in arguments]
    result = CliRunner().invoke(command, given)
    assert result.exit_code == 2
    assert said in result.output


class _Checked(HTMLParser):
    """Every element closed in order; every address; every text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.ids |= {value or "" for name, value in attrs if name == "id"}
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_whole_self_contained_and_escapes_every_text() -> None:
    settings = experiment()
    context = Context(drawn_study(20, name=HOSTILE), {}, settings.evaluation, settings.bootstrap)
    table = Table(HOSTILE, pd.DataFrame({HOSTILE: [HOSTILE, None, 0.25]}), HOSTILE)
    picture = Picture("a", HOSTILE, lambda: pytest.fail("drawn already"))
    found = {"one": Findings(HOSTILE, tables=(table,), pictures=(picture,), notes=(HOSTILE,))}
    page = render(context, found, [Fact(HOSTILE, HOSTILE)], {"a": b"png"})
    parsed = _Checked()
    parsed.feed(page)
    parsed.close()
    assert parsed.open == []
    assert "script" not in parsed.tags
    assert all(one.startswith(("#", "data:image/png;base64,")) for one in parsed.addresses)
    assert {one[1:] for one in parsed.addresses if one.startswith("#")} <= parsed.ids
    assert not re.search(r"url\(|@import|https?://", page)
    assert "does not exclude disease" in page
    assert "Synthetic ECGs" in page


def test_no_line_breaks_within_an_interval_and_lm_is_named_as_it_is() -> None:
    settings = experiment()
    study = drawn_study(20)
    found = {"one": Findings("A", tables=(Table("T", pd.DataFrame({"": ["9.1 % (2 to 9)"]})),))}
    context = Context(study, {}, settings.evaluation, settings.bootstrap)
    page = render(context, found, [], {})
    assert "9.1\N{NO-BREAK SPACE}% (2\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}9)" in page
    assert "It is left out of any vessel." in page
    counted = replace(context, study=replace(study, experimental=(Vessel.RCA,)))
    page = render(counted, found, [], {})
    assert "It is left out of any vessel." not in page
    assert "LM counts for any vessel here" in page


def test_another_definition_of_positive_than_the_bundles_is_said() -> None:
    manifest = load_bundle(folder("demonstration") / "bundle").manifest
    assert list(_other_definitions(manifest, experiment())) == []
    grades = {"RCA": "severe", "LM": "moderate", "LAD": "severe", "LCX": "severe"}
    (said,) = _other_definitions(manifest, experiment(labels={"positive_from": grades}))
    assert said.what == "Positive, LM, in this cohort"
    assert said.value.startswith(">= 50 %")


def test_evidence_without_its_marks_is_refused_before_the_work(tmp_path: Path) -> None:
    settings = experiment()
    context = Context(drawn_study(20), {}, settings.evaluation, settings.bootstrap)
    path = tmp_path / "evidence.md"
    path.write_text("no marks")
    evidence = Evidence(path, "external", True)
    with pytest.raises(SetupFault, match="evidence:begin"):
        write_evaluation(context, tmp_path / "out", lambda *_: None, facts=[], evidence=evidence)
    assert not (tmp_path / "out").exists()


def test_the_same_study_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "SECTIONS", {"incidence": incidence})
    settings = experiment(evaluation={"lowess_resamples": 3}, bootstrap={"n_resamples": 5})
    cuts = {Vessel.LAD: (0.2, 0.5)}
    context = Context(drawn_study(120), cuts, settings.evaluation, settings.bootstrap)
    for name in ("first", "second"):
        running.evaluate(context, tmp_path / name, lambda *_: None)
    files = sorted(path for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert {path.suffix for path in files} == {".json", ".parquet", ".png", ".svg"}
    for path in files:
        other = tmp_path / "second" / path.relative_to(tmp_path / "first")
        assert path.read_bytes() == other.read_bytes(), path.name
    metrics = json.loads((tmp_path / "first" / "metrics.json").read_text())
    assert metrics["sections"]["incidence"]["measures"]
    assert metrics["is_synthetic"]


_BLOCK = """Before
<!-- evidence:begin -->
| vessel | internal | external | normal-ECG |
|---|---|---|---|
| RCA | .7 | kept | x |
<!-- evidence:end -->
After
"""


def test_evidence_fills_its_column_and_keeps_the_others() -> None:
    def auroc(vessel: Vessel, group: str, value: float) -> Measure:
        return Measure(vessel, Quantity.AUROC, Estimate(value, 0.6, 0.8), 900, 310, group=group)

    measures = [
        auroc(Vessel.RCA, "sex: female", 0.1),
        auroc(Vessel.RCA, "overall", 0.744),
        auroc(Vessel.RCA, "normal ECG: yes", 0.693),
    ]
    text = filled_text(_BLOCK, measures, "internal")
    assert "| RCA | 0.744 (0.600 to 0.800), 310 positive | kept | 0.693 (0.600 to 0.800)" in text
    assert f"| LM | {ABSENT} | {ABSENT} | {ABSENT} |" in text
    assert text.startswith("Before\n")
    assert text.endswith("<!-- evidence:end -->\nAfter\n")
    assert filled_text(text, measures, "internal") == text


def test_evidence_refuses_synthetic_data(tmp_path: Path) -> None:
    path = tmp_path / "evidence.md"
    path.write_text(_BLOCK)
    with pytest.raises(SetupFault, match="synthetic"):
        fill(path, [], "internal", is_clinical=False)
    assert path.read_text() == _BLOCK
