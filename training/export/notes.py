"""What a bundle says of how it was made: sentences for the manifest and the card."""

from collections.abc import Iterator

from ecgbatch.terms import DEMONSTRATION_NOTICE, Vessel
from training.export.finished import FinishedRun
from training.terms import Grade

_DEFINITIONS = {
    Grade.MODERATE: ">= 50 % diameter stenosis or occlusion",
    Grade.SEVERE: ">= 70 % diameter stenosis or occlusion",
}


NOT_CLINICAL = "demonstration model, not validated, not for clinical use"
"""Of real ECGs whose settings do not call the bundle clinical."""


def definition(run: FinishedRun, vessel: Vessel) -> str:
    """What positive means, from the lowest grade that counts."""
    return definition_from(run.experiment.labels.positive_from[vessel])


def definition_from(lowest: Grade) -> str:
    """What positive means where this is the lowest grade that counts."""
    return _DEFINITIONS[lowest]


def notes(run: FinishedRun) -> tuple[str, ...]:
    """In order: the settings' own, what it is, how it was made, what to be careful with."""
    found = (
        *_what_it_is(run),
        *run.bundle.notes,
        exported(run),
        optimisation(run),
        *start(run),
        f"Calibrator: {calibrator(run)}",
        *(f"Warning: {one}." for one in run.points.warnings),
    )
    return tuple(dict.fromkeys(found))


def exported(run: FinishedRun) -> str:
    """Which weights the bundle holds."""
    if run.bundle.what == "refit":
        return "Exported: one net refitted on all but the cut and test parts."
    return (
        f"Exported: {len(run.members)} fold models as an ensemble (mean of their logits); none has"
        " seen the cut and test parts."
    )


def optimisation(run: FinishedRun) -> str:
    """Loss, projection, epochs and which of them was kept."""
    settings = run.experiment.optimiser
    projection = (
        "PCGrad (Yu et al. 2020)" if settings.projection == "pcgrad" else "no gradient projection"
    )
    weighting = (
        "uncertainty weights (Kendall et al. 2018)"
        if run.experiment.loss.weighting == "uncertainty"
        else "equal task weights"
    )
    averaged = (
        f", moving average of the weights with decay {settings.ema_decay:g}"
        if settings.ema_decay
        else ""
    )
    return (
        f"Fitted with masked cross entropy, {weighting}, {projection}, AdamW{averaged},"
        f" {settings.epochs} epochs of batches of {settings.batch_size}; {_kept(run)}."
    )


def calibrator(run: FinishedRun) -> str:
    """Kind, and what it rests on."""
    kind = run.experiment.operating_points.calibrator
    if kind == "none":
        return "none; the probability is the sigmoid of the logit."
    if kind == "prior_shift":
        return "prior shift (Saerens et al. 2002) to prevalences that the site states."
    source = "Platt 1999" if kind == "platt" else "isotonic, Zadrozny and Elkan 2002"
    return (
        f"{source}, fitted on the cut part, where the cuts are set too; the test part, which"
        " neither has seen, says how both hold."
    )


def _kept(run: FinishedRun) -> str:
    if run.experiment.selection.kind == "last":
        kept = "the last epoch was kept, none was chosen"
    else:
        kept = "the epoch with the best macro AUROC on an inner split of the training part was kept"
    epochs = [fit.get("best_epoch") for fit in run.fits]
    if all(isinstance(epoch, int) for epoch in epochs):
        numbers = ", ".join(str(epoch + 1) for epoch in epochs if isinstance(epoch, int))
        kept += f" (epoch {numbers})"
    return kept


def _what_it_is(run: FinishedRun) -> Iterator[str]:
    if not run.bundle.is_clinical:
        yield DEMONSTRATION_NOTICE if run.is_drawn else NOT_CLINICAL
    if run.is_drawn:
        yield "Every ECG, label and number behind this bundle is synthetic."


def start(run: FinishedRun) -> Iterator[str]:
    """What the weights started from, and what that means for them."""
    given = run.experiment.start
    if given.kind == "scratch":
        yield "Start: random weights."
        return
    trained = "all weights" if given.trained == "all" else "the head alone"
    yield f"Start: a checkpoint, SHA-256 {_start_digest(run)}; {trained} trained."
    said = [str(note) for fit in run.fits for note in fit.get("notes", ())]
    if run.experiment.architecture.use_bn and given.checkpoint_use_bn is False and not said:
        said = ["Batch norm was not active where the checkpoint was made: it started untrained."]
    yield from said


def _start_digest(run: FinishedRun) -> str:
    for fit in run.fits:
        start = fit.get("start")
        if isinstance(start, dict) and start.get("digest"):
            return str(start["digest"])
    return "not recorded"
