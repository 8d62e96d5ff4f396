"""A bundle's card, Markdown: data, how it was made, how it does, and what it does not know."""

import platform
from collections.abc import Iterator

import numpy as np
import torch

from ecgbatch.terms import DEMONSTRATION_NOTICE, Numerics
from training.export.card_numbers import calibration, metrics, operating_points, strata
from training.export.card_tables import cells, head
from training.export.finished import FinishedRun
from training.export.notes import (
    NOT_CLINICAL,
    calibrator,
    definition,
    exported,
    optimisation,
    start,
)
from training.export.run import Exported
from training.records import Cohort
from training.synthetic.limits import limits
from training.terms import Part


def render_card(exported_run: Exported) -> str:
    """The card. It names versions and digests, no place and no patient."""
    run = exported_run.run
    return "\n".join(
        (
            *_head(exported_run),
            *_data(run),
            *_parts(run),
            *_model(exported_run),
            *metrics(run),
            *operating_points(run),
            *strata(run),
            *calibration(run),
            *_limits(run),
            *_making(exported_run),
        )
    )


def _head(made: Exported) -> Iterator[str]:
    manifest = made.bundle.manifest
    yield f"# Card: {manifest.name}, version {manifest.version}\n"
    if not manifest.is_clinical and made.run.is_drawn:
        yield f"**{DEMONSTRATION_NOTICE}.** It shows that the pipeline works, nothing about"
        yield "patients.\n"
    elif not manifest.is_clinical:
        yield f"**{NOT_CLINICAL}.**\n"
    yield f"{manifest.intended_use}\n"
    yield "Low does not exclude disease. The numbers below are those of the bundle with this"
    yield f"digest:\n\n`{made.bundle.digest}`\n"


def _data(run: FinishedRun) -> Iterator[str]:
    index = run.cohort.index_only()
    yield f"## Data\n\n{run.bundle.training_data}\n"
    yield f"{len(run.cohort)} readable ECGs of {len(set(run.cohort.patients))} patients, of which"
    yield f"{len(index)} stand for a CCTA (index ECGs). Only these train, cut and test.\n"
    excluded = run.data_report.get("excluded")
    if isinstance(excluded, dict) and excluded:
        yield from head("left out because", "ECGs")
        yield from (cells(reason, n) for reason, n in excluded.items())
        yield ""
    yield from head("vessel", "positive is", "positives", "negatives", "not known", "experimental")
    for column, one in enumerate(run.points.vessels):
        labels = index.labels[:, column]
        yield cells(
            one.vessel,
            definition(run, one.vessel),
            int((labels == 1).sum()),
            int((labels == 0).sum()),
            int(np.isnan(labels).sum()),
            "yes" if one.is_experimental else "no",
        )
    yield "\nA label that is not known is left out everywhere, never taken for negative. Any vessel"
    yield "is the maximum over the vessels that are not experimental.\n"


def _parts(run: FinishedRun) -> Iterator[str]:
    uses = {
        Part.TRAIN: "the weights learn from it",
        Part.INNER: "chooses the epoch",
        Part.CUT: "sets calibrators and cuts; unseen by the weights",
        Part.TEST: "every number below; unseen by weights, calibrators and cuts",
    }
    index = run.cohort.index_only()
    part_of = dict(zip(run.parts["key"], run.parts["part"], strict=True))
    part = np.array([part_of.get(key, "") for key in index.keys])
    yield "## Parts\n\nDisjoint by patient.\n"
    yield from head("part", "for", "index ECGs", "patients", "positives " + _vessels(run))
    for name, use in uses.items():
        rows = np.flatnonzero(part == name.value)
        if len(rows):
            yield cells(name, use, len(rows), *_counts(index.at(rows)))
    yield ""
    if "fold" in run.parts:
        folds = run.experiment.folds
        of = "the train part" if folds.over == "development" else "all index ECGs"
        yield f"Folds of `cross-validate`: {folds.n} over {of}, stratified by label pattern,"
        yield f"grouped by patient, seed {folds.seed}.\n"


def _counts(rows: Cohort) -> tuple[int, str]:
    positives = " / ".join(str(int(n)) for n in (rows.labels == 1).sum(axis=0))
    return len(set(rows.patients)), positives


def _vessels(run: FinishedRun) -> str:
    return " / ".join(run.cohort.tasks)


def _model(made: Exported) -> Iterator[str]:
    run, manifest = made.run, made.bundle.manifest
    net = manifest.architecture
    n_weights = sum(tensor.numel() for tensor in made.bundle.members[0].values())
    yield "## Model\n"
    yield f"* Net1D, {n_weights} numbers, {net.base_filters} base filters, stages"
    yield f"  {', '.join(map(str, net.filter_list))}; batch norm {_on(net.use_bn)}, dropout"
    yield f"  {_on(net.use_dropout)}."
    yield f"* {exported(run)}"
    yield f"* {optimisation(run)}"
    yield f"* Preprocessing `{run.experiment.data.preset}`."
    yield from (f"* {note}" for note in start(run))
    yield f"* Calibrator: {calibrator(run)}\n"


def _on(is_on: bool) -> str:
    return "on" if is_on else "off"


def _limits(run: FinishedRun) -> Iterator[str]:
    yield "## Limits\n\nNot for:\n"
    yield from (f"* {one}" for one in run.bundle.exclusions)
    yield "\nLabels exist only for patients who were sent to CCTA. Cuts and calibrators belong to"
    yield "the patients of the cut part; another hospital has to look at its own.\n"
    if own := (*run.bundle.notes, *run.points.warnings):
        yield from (f"* {one}" for one in own)
        yield ""
    if run.is_drawn:
        yield limits()


def _making(made: Exported) -> Iterator[str]:
    run, manifest = made.run, made.bundle.manifest
    tolerance = manifest.golden_tolerance
    yield f"## Citation\n\n{run.bundle.citation}\n"
    yield "## How it was made\n"
    for number, digest in enumerate(run.member_digests):
        yield f"* Weights {number}: SHA-256 `{digest}` of the run's file."
    yield f"* {len(made.bundle.golden_signals_mv)} golden ECGs, synthetic, of nobody in the cohort;"
    yield f"  tolerance on a logit {tolerance[Numerics.FP32]:.2g}, measured (ten times the largest"
    yield "  difference to double precision, at least 1e-4)."
    if Numerics.BF16 in tolerance:
        yield f"  In bf16 {tolerance[Numerics.BF16]:.2g} (twice the largest difference when weights"
        yield "  and activations are rounded to it, at least one of its steps)."
    else:
        yield "  Not admitted in bf16, which carries a golden logit too far."
    yield f"* Proof: ecgbatch scored {made.n_proved} ECGs of the test part again and gave"
    yield f"  training's probabilities within {made.largest_difference:.1g} (allowed: 1e-5)."
    yield "* Commands: `ecgbatch-train fit`, `operating-points`, `evaluate`, `export`. Equal run"
    yield "  folders give equal bytes; another machine may round differently."
    yield f"* Python {platform.python_version()}, PyTorch {torch.__version__}, NumPy"
    yield f"  {np.__version__}.\n"
