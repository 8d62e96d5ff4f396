"""An evaluation from its context to its folder: numbers, figures, report, table of evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from training.evaluation.run import evaluate, metrics
from training.evaluation.section import Context
from training.folder import write_whole
from training.records import Progress
from training.report.evidence import Column, fill
from training.report.html import Fact, write_report


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the table of evidence stands, which column is meant, and whether it may be filled."""

    path: Path
    column: Column
    is_clinical: bool


def write_evaluation(
    context: Context,
    folder: Path,
    progress: Progress,
    *,
    facts: Sequence[Fact],
    left_out: pd.DataFrame | None = None,
    evidence: Evidence | None = None,
) -> dict[str, Any]:
    """Everything of one evaluation; the evidence last.

    Args:
        left_out: rows that are in no number, for `left_out.parquet`.

    Returns:
        The content of `metrics.json`.

    Raises:
        SetupFault: `settings_invalid`, the evidence may not be filled from this study.
        OSError: the folder cannot be written.
    """
    if evidence is not None:
        # Before the work, so that nobody waits for a refusal; nothing measured changes nothing.
        fill(evidence.path, (), evidence.column, is_clinical=evidence.is_clinical)
    found = evaluate(context, folder, progress)
    if left_out is not None:
        write_whole(
            folder / "left_out.parquet", lambda aside: left_out.to_parquet(aside, index=False)
        )
    write_report(context, found, facts, folder)
    if evidence is not None:
        measures = [one for findings in found.values() for one in findings.measures]
        fill(evidence.path, measures, evidence.column, is_clinical=True)
    return metrics(context, found)
