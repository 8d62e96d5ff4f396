"""`ecgbatch-train cross-validate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from training.cli.faults import faults_reported
from training.cli.opening import Given, fit_options, opened
from training.cli.options import JSON, RUN

if TYPE_CHECKING:
    from training.fit.cross_validation import CrossValidation


def _numbers(_context: click.Context, _option: click.Parameter, text: str | None) -> list[int]:
    try:
        return [int(number) for number in text.split(",")] if text else []
    except ValueError:
        raise click.BadParameter("numbers with commas between them, such as 0,2") from None


@click.command("cross-validate")
@RUN
@fit_options
@click.option("--folds", callback=_numbers, help="Only these, such as 0,2. Default: all.")
@JSON
def command(
    run: Path,
    config: Path | None,
    manifest: Path | None,
    root: Path | None,
    cache: Path | None,
    start: Path | None,
    folds: list[int],
    as_json: bool,
) -> None:
    """Fit every fold and predict each index ECG by the fit that has not seen its patient.

    Killed at any step, the same command goes on to identical weights. With --folds several
    machines can share the work; the last one joins the predictions.
    """
    from training.fit.cross_validation import cross_validate

    with faults_reported(), opened(run, Given(config, manifest, root, cache, start)) as ready:
        found = cross_validate(ready.run, ready.material, ready.around, folds or None)
        is_first = ready.around.group.is_first
    if is_first:
        click.echo(json.dumps(found.as_json()) if as_json else _told(found))


def _told(found: "CrossValidation") -> str:
    if found.missing:
        still = ", ".join(str(fold) for fold in found.missing)
        return f"Not fitted yet: fold {still} of {found.n_folds}."
    lines = ["AUC out of fold: all together, and within each fold"]
    for task in found.tasks:
        folds = " ".join(_number(auc) for auc in task.folds)
        lines.append(
            f"  {task.task:<12} {_number(task.pooled)}   {folds}   {task.n_positives} positive of"
            f" {task.n_positives + task.n_negatives}"
            f"{', experimental' if task.is_experimental else ''}"
        )
    lines.append(f"  {'macro':<12} {_number(found.macro)}")
    return "\n".join(lines)


def _number(auc: float | None) -> str:
    return "  -  " if auc is None else f"{auc:.3f}"
