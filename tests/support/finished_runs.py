"""A run folder after its last step, made in a second: random weights, labels that follow them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ecgbatch.net.ensemble import mean_logits
from ecgbatch.net.net1d import Net1D
from tests.support.cohorts import cohort_of
from tests.support.experiments import experiment
from training.evaluation import at_cuts, discrimination
from training.evaluation.section import Context
from training.folder import RunFolder, write_json
from training.operating_points.points import load_points
from training.operating_points.run import points_of_run, scored
from training.records import ArrayInputs, Cohort, Predictions, Study, save_measures
from training.settings.experiment import Experiment
from training.terms import Part

_PARTS = (Part.TRAIN,) * 20 + (Part.CUT,) * 70 + (Part.TEST,) * 40


def silent(*_: object) -> None:
    """No progress."""


def predicted_run(
    path: Path, n_members: int = 1, **changed: dict[str, Any]
) -> tuple[RunFolder, ArrayInputs]:
    """Everything up to the predictions of the cut and test parts.

    Args:
        n_members: more than one: fold models, to be exported as an ensemble.
    """
    folder, is_ensemble = RunFolder(path), n_members > 1
    if is_ensemble:
        changed.setdefault("bundle", {})["what"] = "ensemble"
        changed["folds"] = {"n": n_members, "over": "development"}
    settings = experiment(**changed)
    rng = np.random.default_rng(0)
    inputs = ArrayInputs(rng.normal(size=(len(_PARTS), 12, 5000)).astype(np.float32))
    nets = [_net(settings, inputs, seed) for seed in range(n_members)]
    logits = mean_logits(nets, inputs.signals)
    cohort = _cohort(logits, rng)
    folder.settings.parent.mkdir(parents=True)
    folder.settings.write_text(settings.model_dump_json(), encoding="utf-8")
    folder.cohort.parent.mkdir()
    cohort.save(folder.cohort)
    write_json(folder.data_report, {"excluded": {"no_label": 3}})
    parts = pd.DataFrame({"key": cohort.keys, "part": [part.value for part in _PARTS], "fold": 0})
    parts.attrs = {"experimental": ["LM"], "short": []}
    parts.to_parquet(folder.parts)
    for number, net in enumerate(nets):
        place = folder.fold(number) if is_ensemble else folder.final
        place.mkdir(parents=True)
        torch.save({"model": net.state_dict(), "uw": torch.zeros(4)}, place / "weights.pt")
        write_json(place / "done.json", {"best_epoch": 1, "notes": ["The head was drawn anew."]})
    folder.predictions("cut").parent.mkdir()
    for part in (Part.CUT, Part.TEST):
        rows = [row for row, one in enumerate(_PARTS) if one is part]
        keys = tuple(cohort.keys[row] for row in rows)
        origin = ("ensemble" if is_ensemble else "final",) * len(rows)
        Predictions(cohort.tasks, keys, logits[rows], origin).save(folder.predictions(part))
    return folder, inputs


def finished_run(
    path: Path, n_members: int = 1, **changed: dict[str, Any]
) -> tuple[RunFolder, ArrayInputs]:
    """The same with operating points and an evaluation of the test part."""
    folder, inputs = predicted_run(path, n_members, **changed)
    points_of_run(folder, silent)
    evaluate(folder)
    return folder, inputs


def evaluate(folder: RunFolder) -> None:
    """The sections that a bundle needs, at the run's own operating points."""
    points, cohort = load_points(folder.operating_points), Cohort.load(folder.cohort)
    test = scored(folder, "test", cohort)
    rows = np.array([row for row, part in enumerate(_PARTS) if part is Part.TEST])
    study = Study(
        name="test",
        keys=tuple(cohort.keys[row] for row in rows),
        patients=tuple(test.patients),
        probabilities=points.probabilities(test.logits),
        labels=test.labels,
        grades=cohort.grades[rows],
        covariates=cohort.covariates.iloc[rows].reset_index(drop=True),
        experimental=points.experimental,
        is_synthetic=False,
    )
    settings = Experiment.model_validate_json(folder.settings.read_text("utf-8"))
    context = Context(study, points.cut_pairs(), settings.evaluation, settings.bootstrap)
    sections: Sequence[Any] = (discrimination, at_cuts)
    found = [one for section in sections for one in section.examine(context).measures]
    folder.evaluation("test").mkdir(parents=True, exist_ok=True)
    save_measures(folder.evaluation("test") / "measures.parquet", found)


def _net(settings: Experiment, inputs: ArrayInputs, seed: int) -> Net1D:
    """Random weights with batch-norm statistics of the inputs, as after some training."""
    torch.manual_seed(seed)
    net = Net1D(settings.architecture)
    with torch.no_grad():
        net.train()(torch.from_numpy(inputs.signals[:16]))
    return net.eval()


def _cohort(logits: np.ndarray[Any, Any], rng: np.random.Generator) -> Cohort:
    """A third positive, likelier where the logit is high; each patient twice at most."""
    standard = (logits - logits.mean(axis=0)) / logits.std(axis=0)
    labels = (standard + rng.normal(size=logits.shape) > 0.6).astype(np.float32)
    return cohort_of([row // 2 for row in range(len(logits))], labels)
