"""`evaluate`: a run's own predictions, an external cohort under a bundle, or scores as written."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from training.cli.faults import faults_reported
from training.cli.options import JSON, progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecgbatch.bundle.manifest import Manifest
    from training.records import Progress
    from training.report.html import Fact
    from training.settings.experiment import Experiment

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_OUT = click.Path(file_okay=False, path_type=Path)
_OPTION = {"run": "run_folder", "bundle": "bundle", "scores": "scores"}
_GOES_WITH: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "run": ((), ("bundle", "scores", "manifest", "labels", "config", "root")),
    "bundle": (("manifest", "config", "out"), ("labels",)),
    "scores": (("labels", "config", "out"), ("manifest", "root")),
}
"""Options that each kind needs, and those that it refuses."""


@click.command("evaluate")
@click.option("--run", "run_folder", type=_FOLDER, help="A run folder; its own predictions.")
@click.option(
    "--on",
    type=click.Choice(["test", "out-of-fold"]),
    default="test",
    show_default=True,
    help="Of a run: the test part under the final weights, or every ECG out of fold.",
)
@click.option("--bundle", type=_FOLDER, help="A frozen bundle; nothing is refitted.")
@click.option("--manifest", type=_FILE, help="The external cohort's table, with --bundle.")
@click.option("--root", type=_FOLDER, help="What its paths are relative to; default: its folder.")
@click.option("--scores", type=_FILE, help="CSV or Parquet with the columns of v_latest_risk.")
@click.option("--labels", type=_FILE, help="The table of grades, with --scores.")
@click.option(
    "--by",
    type=click.Choice(["ecg_id", "accession", "patient-date"]),
    default="ecg_id",
    show_default=True,
    help="What scores and labels are joined by.",
)
@click.option("--config", type=_FILE, help="The experiment's settings, TOML; a run has its own.")
@click.option("--out", type=_OUT, help="Folder of the evaluation; of a run: evaluation/ in it.")
@click.option("--evidence", type=_FILE, help="Fill the table of evidence in this Markdown file.")
@JSON
def command(as_json: bool, **given: Any) -> None:
    """Measure risks against what the CCTA found: numbers, figures, and an HTML report.

    One of --run, --bundle with --config and --manifest, or --scores with --config and --labels.
    A bundle with --scores gives the cuts; without one they are those that the strata imply.
    """
    import json

    kind = _kind(given)
    with faults_reported(), progress() as show:
        folder, found = {"run": _of_run, "bundle": _of_bundle, "scores": _of_scores}[kind](
            given, show
        )
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **found}, ensure_ascii=False))
        return
    click.echo(f"{found['n_ecgs']:,} ECGs of {found['n_patients']:,} patients: {found['study']}")
    if "n_left_out" in found:
        click.echo(f"{found['n_left_out']:,} rows left out: {folder / 'left_out.parquet'}")
    click.echo(f"report: {folder / 'report.html'}\n{found['intended_use']}")


def _kind(given: dict[str, Any]) -> str:
    kind = "run" if given["run_folder"] else "scores" if given["scores"] else "bundle"
    if given[_OPTION[kind]] is None:
        raise click.UsageError("give --run, --bundle or --scores")
    needed, refused = _GOES_WITH[kind]
    if missing := [f"--{name}" for name in needed if given[name] is None]:
        raise click.UsageError(f"--{kind} needs {', '.join(missing)}")
    if other := [f"--{name}" for name in refused if given[name] is not None]:
        raise click.UsageError(f"--{kind} does not go with {', '.join(other)}")
    return kind


def _of_run(given: dict[str, Any], show: "Progress") -> tuple[Path, dict[str, Any]]:
    from training.evaluation.of_run import On, context_of_run
    from training.folder import RunFolder
    from training.report.html import Fact
    from training.report.write import Evidence, write_evaluation

    run = RunFolder(given["run_folder"])
    on: On = "test" if given["on"] == "test" else "out_of_fold"
    context = context_of_run(run, on)
    folder = given["out"] or run.evaluation(on)
    facts = [Fact("Predictions", "final weights, test part" if on == "test" else "out of fold")]
    if on == "out_of_fold":
        facts.append(
            Fact(
                "Cuts and calibrators",
                "those of the exported weights; the fold models' risks may lie otherwise, and the "
                "cuts were set on some of these ECGs",
            )
        )
    evidence = given["evidence"] and Evidence(
        given["evidence"], "internal", not context.study.is_synthetic
    )
    return folder, write_evaluation(context, folder, show, facts=facts, evidence=evidence)


def _of_bundle(given: dict[str, Any], show: "Progress") -> tuple[Path, dict[str, Any]]:
    from training.evaluation.of_bundle import context_of_bundle
    from training.report.html import Fact
    from training.report.write import Evidence, write_evaluation
    from training.settings.experiment import load_experiment

    folder = given["out"]
    experiment = load_experiment(given["config"])
    context, bundle, excluded = context_of_bundle(
        experiment,
        given["bundle"],
        manifest=given["manifest"],
        root=given["root"] or given["manifest"].parent,
        cache=folder / "cache",
        progress=show,
    )
    manifest = bundle.manifest
    facts = [
        Fact("Bundle", f"{manifest.name} {manifest.version} ({bundle.digest[:12]}), frozen"),
        *(Fact(f"Positive, {task.vessel}, says it", task.definition) for task in manifest.tasks),
        *_other_definitions(manifest, experiment),
        Fact("Rows left out", f"{len(excluded):,}, listed in left_out.parquet"),
    ]
    is_clinical = manifest.is_clinical and not context.study.is_synthetic
    evidence = given["evidence"] and Evidence(given["evidence"], "external", is_clinical)
    found = write_evaluation(
        context, folder, show, facts=facts, left_out=excluded, evidence=evidence
    )
    return folder, {**found, "bundle_digest": bundle.digest, "n_left_out": len(excluded)}


def _other_definitions(manifest: "Manifest", experiment: "Experiment") -> "Iterator[Fact]":
    """Where the cohort's label stands for something else than the bundle was trained on."""
    from training.export.notes import definition_from
    from training.report.html import Fact

    for task in manifest.tasks:
        here = definition_from(experiment.labels.positive_from[task.vessel])
        if here.partition(" diameter")[0] not in task.definition:
            yield Fact(f"Positive, {task.vessel}, in this cohort", f"{here}: another definition")


def _of_scores(given: dict[str, Any], show: "Progress") -> tuple[Path, dict[str, Any]]:
    from ecgbatch.bundle.load import load_bundle
    from training.evaluation.of_scores import context_of_scores
    from training.report.html import Fact
    from training.report.write import Evidence, write_evaluation
    from training.settings.experiment import load_experiment

    folder = given["out"]
    bundle = given["bundle"] and load_bundle(given["bundle"]).manifest
    joined = context_of_scores(
        load_experiment(given["config"]),
        given["scores"],
        given["labels"],
        by=given["by"],
        bundle=bundle,
    )
    facts = [
        Fact("Scores", f"written by {joined.bundle}; nothing was scored again"),
        Fact("Joined by", f"{given['by']}: {joined.n_matched:,} pairs"),
        Fact("Rows without a partner", f"{len(joined.unmatched):,}, listed in left_out.parquet"),
        Fact("Cuts", "of the bundle" if bundle else "as the strata in the scores imply them"),
    ]
    if joined.n_outside:
        facts.append(Fact("Outside the intended use", f"{joined.n_outside:,} ECGs, included here"))
    is_clinical = joined.is_clinical and not joined.context.study.is_synthetic
    evidence = given["evidence"] and Evidence(given["evidence"], "external", is_clinical)
    found = write_evaluation(
        joined.context, folder, show, facts=facts, left_out=joined.unmatched, evidence=evidence
    )
    return folder, {**found, "n_left_out": len(joined.unmatched)}
