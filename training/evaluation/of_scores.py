"""Scores that ecgbatch has written, joined to labels: a silent-mode study without re-scoring."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ecgbatch.bundle.manifest import Manifest
from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode, Vessel
from training.data.manifest import Manifest as Labels
from training.data.manifest import parse_manifest
from training.data.sheet import read_sheet
from training.evaluation.of_bundle import cut_pairs
from training.evaluation.of_run import data_name, is_synthetic
from training.evaluation.scores_file import (
    RISKS,
    booleans,
    cuts_of,
    experimental_of,
    only_bundle,
    read_scores,
    refuse_other,
)
from training.evaluation.section import Context
from training.records import COVARIATES, Array, Study
from training.settings.experiment import Experiment

By = Literal["ecg_id", "accession", "patient-date"]
"""What scores and labels have in common. patient-date: `patient_key` and the day of the ECG."""
_FROM_SCORES = {
    "sex": "sex",
    "age_years": "age_years",
    "device": "device",
    "site": "site",
    "statement_normal": "statement_normal",
}


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """A study of scores, with what did not match.

    Attributes:
        bundle: name and version, as the scores say. is_clinical: whether it was a clinical one.
        unmatched: where it stands (`labels`, `scores`), its row, why it is left out.
        n_outside: ECGs of the study that the scores call outside the intended use.
    """

    context: Context
    bundle: str
    is_clinical: bool
    n_matched: int
    unmatched: pd.DataFrame = field(repr=False)
    n_outside: int = 0


def context_of_scores(
    experiment: Experiment, scores: Path, labels: Path, *, by: By, bundle: Manifest | None
) -> Joined:
    """Join by a key that is unique on both sides; a key that is not is left out and listed.

    Args:
        scores: CSV or Parquet with the columns of the view `v_latest_risk`.
        labels: a table in the experiment's columns, but with `ecg_id` or `accession` (by) instead
            of a path; by patient-date its patients are `patient_key`.
        bundle: whose cuts and experimental vessels are used. Without it the cuts are the smallest
            risks that the scores call not low and high, which gives every ECG its own stratum,
            and the experimental vessels are those that the scores were written with.

    Raises:
        SetupFault: `manifest_invalid`: a table cannot be read, lacks a column, holds a value that
            cannot be, more than one bundle, or no key in common.
    """
    table = read_scores(scores)
    name, version = only_bundle(table)
    if bundle is not None:
        refuse_other(table, bundle)
    parsed = _labels(experiment, labels, by)
    left, right = _label_keys(parsed, by), _score_keys(table, by)
    label_rows, score_rows, unmatched = _join(parsed, left, right)
    if not label_rows:
        raise SetupFault(ReasonCode.MANIFEST_INVALID, f"no label and score have the same {by}")
    experimental = (
        experimental_of(table, experiment.labels.experimental)
        if bundle is None
        else tuple(task.vessel for task in bundle.tasks if task.is_experimental)
    )
    scored = table.iloc[score_rows].reset_index(drop=True)
    study = _study(experiment, scored, parsed, label_rows, experimental)
    context = Context(
        study=study,
        cuts=cuts_of(table) if bundle is None else cut_pairs(bundle),
        settings=experiment.evaluation,
        bootstrap=experiment.bootstrap,
    )
    is_clinical = bool(table["is_clinical"].iloc[0])
    n_outside = 0
    if "outside_intended_use" in scored.columns:
        n_outside = int(booleans(scored["outside_intended_use"]).fillna(value=False).sum())
    return Joined(context, f"{name} {version}", is_clinical, len(label_rows), unmatched, n_outside)


def _labels(experiment: Experiment, path: Path, by: By) -> Labels:
    # The key stands in the place of the path: it names the ECG here.
    columns = experiment.data.columns
    named = columns.ecg_at if by == "patient-date" else by
    if named is None:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "data.columns.ecg_at is needed for this key")
    settings = experiment.data.model_copy(
        update={"columns": columns.model_copy(update={"ecg_path": named})}
    )
    return parse_manifest(
        read_sheet(path, settings), settings, experiment.labels, lambda text: not text.strip()
    )


def _label_keys(labels: Labels, by: By) -> list[str | None]:
    if by != "patient-date":
        return [path and path.strip() for path in labels.paths]
    days = labels.covariates["ecg_at"].dt.strftime("%Y-%m-%d")
    return [
        f"{patient}\n{day}" if patient and isinstance(day, str) else None
        for patient, day in zip(labels.patients, days, strict=True)
    ]


def _score_keys(table: pd.DataFrame, by: By) -> list[str | None]:
    wanted = ("patient_key", "ecg_date") if by == "patient-date" else (by,)
    if absent := [name for name in wanted if name not in table.columns]:
        raise SetupFault(ReasonCode.MANIFEST_INVALID, f"the scores lack {', '.join(absent)}")
    parts = [table[name].astype("string").str.strip() for name in wanted]
    if by == "patient-date":
        # ecg_date is a time; first_seen_at in its place is no date of the ECG.
        keys = parts[0] + "\n" + parts[1].str.slice(0, 10)
        if "ecg_date_source" in table.columns:
            keys = keys.where(table["ecg_date_source"].astype("string") == "acquired_at")
    else:
        keys = parts[0]
    return [None if pd.isna(key) or key == "" else str(key) for key in keys]


def _join(
    labels: Labels, left: list[str | None], right: list[str | None]
) -> tuple[list[int], list[int], pd.DataFrame]:
    """Rows of labels and of scores, pair by pair, and what is left out."""
    label_at, score_at = _unique(left), _unique(right)
    listed = [
        ("labels", labels.rows[row], _why(key, label_at, score_at))
        for row, key in enumerate(left)
        if key is None or label_at[key] is None or score_at.get(key) is None
    ]
    listed += [
        ("scores", row + 2, _why(key, score_at, label_at))
        for row, key in enumerate(right)
        if key is None or score_at[key] is None or label_at.get(key) is None
    ]
    pairs = [
        (row, other)
        for key, row in label_at.items()
        if row is not None and (other := score_at.get(key)) is not None
    ]
    frame = pd.DataFrame(listed, columns=["table", "row", "reason"])
    return [row for row, _ in pairs], [row for _, row in pairs], frame


def _unique(keys: list[str | None]) -> dict[str, int | None]:
    """Row of each key; None where several rows have it."""
    found: dict[str, int | None] = {}
    for row, key in enumerate(keys):
        if key is not None:
            found[key] = None if key in found else row
    return found


def _why(key: str | None, own: dict[str, int | None], other: dict[str, int | None]) -> str:
    if key is None:
        return "no key"
    if own[key] is None:
        return "the key stands in several rows"
    return "no match" if key not in other else "the key stands in several rows of the other table"


def _study(
    experiment: Experiment,
    scores: pd.DataFrame,
    labels: Labels,
    rows: list[int],
    experimental: tuple[Vessel, ...],
) -> Study:
    covariates = labels.covariates.iloc[rows].reset_index(drop=True)
    for name, column in _FROM_SCORES.items():
        if column in scores.columns:
            covariates[name] = covariates[name].fillna(_typed(scores[column], name))
    if {"ecg_date", "ecg_date_source"} <= set(scores.columns):
        covariates["ecg_at"] = covariates["ecg_at"].fillna(_acquired(scores))
    numbers = {name: place for place, name in enumerate(dict.fromkeys(labels.patients))}
    probabilities: Array = scores[RISKS].to_numpy(dtype=np.float64)
    return Study(
        name=f"{data_name(experiment)}, scores as written",
        keys=tuple(f"row {labels.rows[row]}" for row in rows),
        patients=tuple(f"p{numbers[labels.patients[row]]:06d}" for row in rows),
        probabilities=probabilities,
        labels=labels.labels[rows].astype(np.float64),
        grades=labels.grades[rows],
        covariates=covariates.astype(COVARIATES),
        experimental=experimental,
        is_synthetic=is_synthetic(experiment),
    )


def _acquired(scores: pd.DataFrame) -> "pd.Series[pd.Timestamp]":
    """When each ECG was made; the day a file was first seen is no date of its ECG."""
    texts = scores["ecg_date"].astype("string").str.slice(0, 19)
    texts = texts.where(scores["ecg_date_source"].astype("string") == "acquired_at")
    found = pd.to_datetime(texts, format="ISO8601", errors="coerce")
    return found.astype(COVARIATES["ecg_at"])


def _typed(column: "pd.Series[object]", name: str) -> "pd.Series[object]":
    """As the covariate's type; a word for sex that is not ours is missing, never guessed."""
    if name == "statement_normal":
        return booleans(column)
    if name == "age_years":
        return pd.to_numeric(column, errors="coerce").astype("float64")
    words = column.astype("string")
    return words.where(words.isin(["female", "male"])) if name == "sex" else words
