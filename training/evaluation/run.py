"""Every section of an evaluation, written: numbers as JSON and Parquet, figures as PNG and SVG."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from ecgbatch.terms import INTENDED_USE_NOTICE
from training.evaluation.section import Context, Findings, Picture, Table
from training.evaluation.sections import SECTIONS
from training.folder import write_json, write_whole
from training.records import Measure, Progress, save_measures
from training.terms import Quantity

WHAT = "evaluating"
_RC: Any = {"svg.hashsalt": "ecgbatch", "svg.fonttype": "path"}


def evaluate(context: Context, folder: Path, progress: Progress) -> Mapping[str, Findings]:
    """Examine every section and write what it found.

    `metrics.json`, `measures.parquet`, `tables/SECTION-N.parquet`, `figures/NAME.png` and `.svg`;
    the same study, cuts and settings give the same bytes. A section that lacks columns or classes
    says so in its notes; anything that raises is a fault of ours and ends the evaluation.

    Returns:
        Findings by the section's name, in the order of the report.

    Raises:
        OSError: the folder cannot be written.
    """
    found: dict[str, Findings] = {}
    for place, (name, section) in enumerate(SECTIONS.items()):
        progress(WHAT, place, len(SECTIONS))
        findings = section.examine(context)
        for number, table in enumerate(findings.tables, start=1):
            _save_table(table, folder / "tables" / f"{name}-{number}.parquet")
        for picture in findings.pictures:
            save_picture(picture, folder / "figures")
        found[name] = findings
    measures = tuple(one for findings in found.values() for one in findings.measures)
    write_whole(folder / "measures.parquet", lambda aside: save_measures(aside, measures))
    write_json(folder / "metrics.json", metrics(context, found))
    progress(WHAT, len(SECTIONS), len(SECTIONS))
    return found


def metrics(context: Context, found: Mapping[str, Findings]) -> dict[str, Any]:
    """What `metrics.json` holds: the study, its cuts, every measure by section, every note."""
    study = context.study
    return {
        "schema": 1,
        "study": study.name,
        "is_synthetic": study.is_synthetic,
        "intended_use": INTENDED_USE_NOTICE,
        "n_ecgs": len(study),
        "n_patients": len(set(study.patients)),
        "experimental": [str(vessel) for vessel in study.experimental],
        "cuts": {str(scope): list(cuts) for scope, cuts in context.cuts.items()},
        "bootstrap": context.bootstrap.model_dump(mode="json"),
        "sections": {
            name: {
                "measures": [as_json(one) for one in findings.measures],
                "notes": list(findings.notes),
            }
            for name, findings in found.items()
        },
    }


def as_json(one: Measure) -> dict[str, Any]:
    """One measure; keys that do not apply to it are left out. A p value has no interval."""
    estimate = one.estimate
    row: dict[str, Any] = {
        "scope": str(one.scope),
        "quantity": one.quantity.value,
        "group": one.group,
        "value": _finite(estimate.value),
    }
    if one.quantity is not Quantity.LOG_RANK:
        row["ci"] = [_finite(estimate.low), _finite(estimate.high)]
    row |= {"n": one.n, "n_positives": one.n_positives}
    optional = {"cut": one.cut, "stratum": one.stratum and one.stratum.value, "at": one.at}
    return row | {key: value for key, value in optional.items() if value is not None}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _save_table(table: Table, path: Path) -> None:
    frame = table.frame.copy(deep=False)
    frame.attrs = {"title": table.title, "note": table.note}
    write_whole(path, lambda aside: frame.to_parquet(aside, index=False))


def save_picture(picture: Picture, folder: Path) -> None:
    """PNG and SVG without dates, versions or random identifiers."""
    figure = picture.draw()
    with mpl.rc_context(_RC):
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            _save(figure, folder / f"{picture.name}.{suffix}", suffix, metadata)


def _save(figure: Figure, path: Path, suffix: str, metadata: dict[str, Any]) -> None:
    write_whole(
        path, lambda aside: figure.savefig(aside, format=suffix, metadata=metadata, dpi=130)
    )
